#include "chat/answer_grammar.h"

#include <algorithm>

#include "chat/gbnf.h"
#include "chat/gbnf_lark.h"
#include "chat/lark_writer.h"
#include "chat/python_regex.h"

namespace kvasir::chat {
namespace {

// What is larger is no grammar that a person wrote; each costs its compiling, on the request's own thread.
constexpr std::size_t kRegexMax = 16 * 1024;
constexpr std::size_t kChoicesMax = 256 * 1024;
constexpr std::size_t kGrammarMax = 128 * 1024;
constexpr std::size_t kNestingMax = 200;

Status check_size(std::size_t size, std::size_t most) {
  if (size <= most) return {};
  return make_error(ErrorCode::kInvalidArgument, "has " + std::to_string(size) + " bytes; at most " +
                                                     std::to_string(most) + " can be used");
}

}  // namespace

Result<std::string> regex_grammar(std::string_view pattern) {
  KVASIR_RETURN_IF_ERROR(check_size(pattern.size(), kRegexMax));
  KVASIR_ASSIGN_OR_RETURN(const std::string regex, python_regex(pattern));
  if (regex.empty()) return make_error(ErrorCode::kInvalidArgument, "admits no text");
  return "start: ANSWER\nANSWER: /" + regex + "/\n";
}

Result<std::string> choice_grammar(const std::vector<std::string>& choices) {
  std::string any;
  bool optional = false;
  for (const std::string& choice : choices) {
    if (choice.empty()) {
      optional = true;
    } else {
      any += (any.empty() ? "" : " | ") + lark_quoted(choice);
    }
  }
  if (any.empty()) return make_error(ErrorCode::kInvalidArgument, "needs at least one text to choose");
  KVASIR_RETURN_IF_ERROR(check_size(any.size(), kChoicesMax));
  return std::string("start: ") + (optional ? "( ANSWER )?" : "ANSWER") + "\nANSWER: " + any + "\n";
}

Result<std::string> any_grammar(std::string_view text) {
  KVASIR_RETURN_IF_ERROR(check_size(text.size(), kGrammarMax));
  if (is_gbnf(text)) return gbnf_to_lark(text);
  // The engine reads Lark by recursion. Brackets in strings count, too: nobody nests so far.
  std::size_t depth = 0;
  for (const char c : text) {
    if (c == '(' || c == '[' || c == '{') ++depth;
    if ((c == ')' || c == ']' || c == '}') && depth > 0) --depth;
    if (depth > kNestingMax) {
      return make_error(ErrorCode::kInvalidArgument,
                        "brackets are nested more than " + std::to_string(kNestingMax) + " deep");
    }
  }
  return std::string(text);
}

}  // namespace kvasir::chat
