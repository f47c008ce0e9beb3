// libFuzzer: any generated text, cut anywhere, through the output parser, in every tool format. The first
// byte says which, the second and third cut the text and place a word in it.
//
// However the text is cut, the events are the same. The word comes out again, in a text, a thought, a name or
// arguments; only a call may swallow it (an id, a parameter that is written twice, a key that calls do not
// have), so where no call began or ended around it, it is text.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "chat/output_parser.h"

namespace {

using namespace kvasir::chat;  // NOLINT: a fuzzer is one file

constexpr std::string_view kWord = "QZXJ";
enum Kind : char { kText = 1, kThought, kBegin, kArguments, kEnd };

OutputParserOptions options_for(const ToolFormat& format) {
  OutputParserOptions options;
  options.format = format;
  options.reasoning = {"<think>", "</think>"};
  const boost::json::object text_type{{"type", "string"}};
  const boost::json::object properties{
      {"a", text_type},
      {"b", boost::json::object{{"type", "integer"}}},
      {"c", boost::json::object{{"type", boost::json::array{"string", "null", "array"}}}}};
  options.tools = {{"f", {}, boost::json::object{{"properties", properties}}}, {"get_weather", {}, {}}};
  options.make_id = [] { return std::string("id"); };
  return options;
}

// What came out, adjacent deltas of a kind joined as a client joins them.
struct Output {
  std::string events;
  std::size_t begun = 0;
  std::size_t ended = 0;

  void add(const std::vector<OutputEvent>& list) {
    for (const OutputEvent& event : list) {
      if (const auto* text = std::get_if<TextDelta>(&event)) join(kText, text->text);
      if (const auto* thought = std::get_if<ReasoningDelta>(&event)) join(kThought, thought->text);
      if (const auto* part = std::get_if<ToolCallArguments>(&event)) join(kArguments, part->fragment);
      if (const auto* begin = std::get_if<ToolCallBegin>(&event)) {
        ++begun;
        last_ = kBegin;
        events += static_cast<char>(kBegin) + begin->name;
      }
      if (std::get_if<ToolCallEnd>(&event) != nullptr) {
        ++ended;
        last_ = kEnd;
        events += static_cast<char>(kEnd);
      }
    }
  }

 private:
  void join(Kind kind, std::string_view text) {
    if (last_ != kind) events += static_cast<char>(kind);
    last_ = kind;
    events += text;
  }
  char last_ = 0;
};

std::vector<std::string_view> pieces_of(std::string_view text, std::size_t size_max, unsigned seed) {
  std::minstd_rand random(seed);
  std::vector<std::string_view> pieces;
  while (!text.empty()) {
    const std::size_t size = size_max == 1 ? 1 : 1 + random() % size_max;
    pieces.push_back(text.substr(0, size));
    text.remove_prefix(std::min(size, text.size()));
  }
  return pieces;
}

Output parse(const ToolFormat& format, const std::vector<std::string_view>& pieces, bool finish = true) {
  OutputParser parser(options_for(format));
  Output output;
  std::vector<OutputEvent> events;
  for (const std::string_view piece : pieces) parser.feed(piece, events);
  if (finish) parser.finish(events);
  output.add(events);
  return output;
}

[[noreturn]] void fail(const char* what, const ToolFormat& format, const std::string& text, const Output& a,
                       const Output& b) {
  std::fprintf(stderr, "%s: %s\n%s\n--\n%s\n--\n%s\n", what, format.name.c_str(), text.c_str(),
               a.events.c_str(), b.events.c_str());
  std::abort();
}

// What calls of a format are made of, so that few bytes make a call.
std::vector<std::string> pieces_of_calls(const ToolFormat& format) {
  std::vector<std::string> pieces = {"<think>",
                                     "</think>",
                                     "f",
                                     "get_weather",
                                     "{\"a\": \"x\"}",
                                     "\"a\"",
                                     "b",
                                     "3",
                                     "null",
                                     "[1, 2]",
                                     "\n",
                                     " ",
                                     "{\"name\": \"f\", \"arguments\": ",
                                     "```json\n",
                                     "```",
                                     "\\u00e9",
                                     "\\",
                                     "'",
                                     "\"",
                                     "{",
                                     "}",
                                     ":",
                                     ", "};
  const auto add = [&](const std::string& piece) {
    if (!piece.empty()) pieces.push_back(piece);
  };
  for (const Wrap& wrap : {format.section, format.list, format.call}) add(wrap.open), add(wrap.close);
  for (const std::string& open : format.other_call_opens) add(open);
  for (const std::string& mark : format.silent) add(mark);
  add(format.separator);
  if (const auto* style = format.as<JsonCallStyle>()) {
    add("\"" + style->name_key + "\": \"f\"");
    for (const std::string& key : style->arguments_keys) add("\"" + key + "\": ");
    add(style->index_key), add(style->id_key);
  } else if (const auto* named = format.as<NamedJsonStyle>()) {
    add("f" + named->name_end + "{"), add(named->name_end), add(named->index_mark), add(named->id_mark);
    for (const std::string& end : named->other_name_ends) add(end);
  } else if (const auto* tagged = format.as<TaggedStyle>()) {
    add("f" + tagged->name_end), add(tagged->parameter_open), add(tagged->parameter_name_end);
    add(tagged->parameter_open + "c" + tagged->parameter_name_end + tagged->value_open);
    add(tagged->other_name_end), add(tagged->value_open), add(tagged->parameter_close);
  } else if (const auto* literal = format.as<LiteralStyle>()) {
    add("f" + literal->arguments.open), add(literal->arguments.close), add("a" + literal->assign),
        add(literal->quote);
  }
  return pieces;
}

// Whole characters, as the engine gives them: bytes that begin none stand for pieces of calls.
std::string generated_text(const ToolFormat& format, std::string_view bytes) {
  const std::vector<std::string> pieces = pieces_of_calls(format);
  std::string out;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto byte = static_cast<unsigned char>(bytes[at]);
    const std::size_t size = byte < 0x80                   ? 1
                             : byte >= 0xC2 && byte < 0xE0 ? 2
                             : byte >= 0xE1 && byte < 0xED ? 3
                                                           : 0;
    bool whole = size > 0 && at + size <= bytes.size() && (byte == 0 || byte > kEnd);
    for (std::size_t i = 1; whole && i < size; ++i) whole = (bytes[at + i] & 0xC0) == 0x80;
    out += whole ? std::string(bytes.substr(at, size)) : pieces[byte % pieces.size()];
    at += whole ? size : 1;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const auto formats = known_tool_formats();
  const ToolFormat& format = formats[data[0] % formats.size()];
  const unsigned seed = data[1];
  const std::string text = generated_text(format, {reinterpret_cast<const char*>(data) + 3, size - 3});

  const Output whole = parse(format, {text});
  for (const std::size_t size_max : {1, 3, 16}) {
    const Output cut = parse(format, pieces_of(text, size_max, seed));
    if (cut.events != whole.events) fail("cut differently", format, text, whole, cut);
  }
  if (whole.begun != whole.ended) fail("a call without an end", format, text, whole, whole);

  if (text.find(kWord) != std::string::npos) return 0;
  std::size_t at = text.size() * data[2] / 256;
  while (at < text.size() && (text[at] & 0xC0) == 0x80) ++at;
  const std::string before = text.substr(0, at);
  const std::size_t ended = parse(format, {before}, false).ended;
  for (const std::string& with :
       {before + std::string(kWord), before + std::string(kWord) + text.substr(at)}) {
    const Output output = parse(format, {with});
    const bool lost = output.events.find(kWord) == std::string::npos;
    if (lost && output.begun == ended) fail("lost", format, with, output, output);
  }
  return 0;
}
