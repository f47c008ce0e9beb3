#include "chat/markers.h"

#include <algorithm>

namespace kvasir::chat {
namespace {

using Texts = std::vector<std::string>;

void add(Texts& texts, std::initializer_list<std::string> more) {
  texts.insert(texts.end(), more);
}

void add(Texts& texts, const Texts& more) {
  texts.insert(texts.end(), more.begin(), more.end());
}

struct AddStyle {
  Texts& texts;
  void operator()(const JsonCallStyle& /*style*/) const {}
  void operator()(const NamedJsonStyle& style) const {
    add(texts, {style.name_end, style.id_mark});
    add(texts, style.other_name_ends);
  }
  void operator()(const TaggedStyle& style) const {
    add(texts, {style.name_end, style.parameter_open, style.parameter_name_end, style.other_name_end,
                style.value_open, style.parameter_close});
  }
  void operator()(const LiteralStyle& style) const { add(texts, {style.quote}); }
};

Texts texts_of(const ToolFormat& format, const ReasoningFormat& reasoning) {
  Texts texts = {format.section.open, format.section.close, format.list.open, format.list.close,
                 format.call.open,    format.call.close,    format.separator, format.answer_open,
                 reasoning.open,      reasoning.close};
  add(texts, format.other_call_opens);
  add(texts, format.silent);
  std::visit(AddStyle{texts}, format.style);
  return texts;
}

}  // namespace

std::vector<Marker> find_markers(const ToolFormat& format, const ReasoningFormat& reasoning,
                                 const text::Tokenizer& tokenizer) {
  const Texts texts = texts_of(format, reasoning);
  std::vector<Marker> markers;
  const auto count = static_cast<TokenId>(tokenizer.vocab_size());
  for (TokenId token = 0; token < count; ++token) {
    if (!tokenizer.is_special(token)) continue;
    const std::string_view mark = tokenizer.bytes(token);
    const auto holds = [mark](const std::string& text) { return text.find(mark) != std::string::npos; };
    if (!mark.empty() && std::ranges::any_of(texts, holds)) {
      const bool ends = std::ranges::find(tokenizer.end_tokens(), token) != tokenizer.end_tokens().end();
      markers.push_back({std::string(mark), token, ends});
    }
  }
  return markers;
}

}  // namespace kvasir::chat
