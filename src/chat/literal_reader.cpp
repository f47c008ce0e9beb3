#include "chat/literal_reader.h"

#include <algorithm>
#include <cstdlib>

#include "chat/ascii.h"
#include "chat/json_scanner.h"
#include "chat/json_text.h"

namespace kvasir::chat {
namespace {

constexpr std::size_t kDepthMax = 256;
constexpr std::size_t kWordBytesMax = 512;

bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' ||
         c == '+' || c == '-';
}
bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool is_json_number(std::string_view text) {
  JsonScanner scanner;
  for (const char c : text) {
    if (scanner.feed(c) != JsonScanner::Step::kMore) return false;
  }
  return scanner.feed(' ') == JsonScanner::Step::kDoneBefore;
}

void append_utf8(std::string& out, unsigned long code) {
  constexpr unsigned long kLast = 0x10FFFF;
  if (code > kLast || (code >= 0xD800 && code <= 0xDFFF)) code = 0xFFFD;
  const auto byte = [&out](unsigned long bits) { out.push_back(static_cast<char>(bits)); };
  if (code < 0x80) {
    append_quoted(out, static_cast<char>(code));
  } else if (code < 0x800) {
    byte(0xC0 | code >> 6U), byte(0x80 | (code & 0x3FU));
  } else if (code < 0x10000) {
    byte(0xE0 | code >> 12U), byte(0x80 | (code >> 6U & 0x3FU)), byte(0x80 | (code & 0x3FU));
  } else {
    byte(0xF0 | code >> 18U), byte(0x80 | (code >> 12U & 0x3FU));
    byte(0x80 | (code >> 6U & 0x3FU)), byte(0x80 | (code & 0x3FU));
  }
}

}  // namespace

std::string literal_word(std::string_view word) {
  if (word == "true" || word == "True") return "true";
  if (word == "false" || word == "False") return "false";
  if (word == "null" || word == "None") return "null";
  if (is_json_number(word)) return std::string(word);
  // Python's other spellings: +1, 1_000, .5, 1.
  std::string number(word);
  std::erase(number, '_');
  if (number.starts_with('+')) number.erase(0, 1);
  const std::size_t point = number.find('.');
  if (point != std::string::npos) {
    const auto digit_at = [&](std::size_t at) {
      return at < number.size() && number[at] >= '0' && number[at] <= '9';
    };
    if (!digit_at(point + 1)) number.insert(point + 1, "0");
    if (point == 0 || !digit_at(point - 1)) number.insert(point, "0");
  }
  return is_json_number(number) ? number : std::string();
}

void LiteralReader::reset() {
  *this = LiteralReader(syntax_);
}

LiteralReader::Step LiteralReader::feed(char c, std::string& out) {
  switch (state_) {
    case State::kValue:
    case State::kFirstItem:
      return feed_value(c, out);
    case State::kFirstKey:
    case State::kKey:
      if (is_space(c)) return Step::kMore;
      if (c == '}') return close('{', c, out);
      flush_comma(out);
      key_ = true;
      if (c == '"' || c == '\'') return open_string(c, out);
      if (!syntax_.quote.empty() && c == syntax_.quote.front()) return feed_quote(c, out);
      if (!syntax_.bare_keys) return Step::kError;
      word_.assign(1, c);
      state_ = State::kBareKey;
      return Step::kMore;
    case State::kBareKey:
      if (c != ':') {
        if (c == '}' || c == ',' || word_.size() == kWordBytesMax) return Step::kError;
        word_.push_back(c);
        return Step::kMore;
      }
      out += quoted(trim(word_)) + ": ";
      key_ = false;
      state_ = State::kValue;
      return Step::kMore;
    case State::kColon:
      if (is_space(c)) return Step::kMore;
      if (c != ':') return Step::kError;
      out += ": ";
      state_ = State::kValue;
      return Step::kMore;
    case State::kAfter:
      return feed_after(c, out);
    case State::kWord:
      return feed_word(c, out);
    case State::kQuote:
      return feed_quote(c, out);
    case State::kString:
      return quote_ == 0 ? feed_long_quote_string(c, out) : feed_string(c, out);
    case State::kEscape:
      return feed_escape(c, out);
  }
  return Step::kError;
}

LiteralReader::Step LiteralReader::feed_value(char c, std::string& out) {
  if (is_space(c)) return Step::kMore;
  if (c == ']' && !open_.empty() && open_.back() == '[')
    return close('[', c, out);  // [], or a comma at the end
  flush_comma(out);
  key_ = false;
  if (c == '{' || c == '[') {
    if (open_.size() == kDepthMax) return Step::kError;
    open_.push_back(c);
    out.push_back(c);
    state_ = c == '{' ? State::kFirstKey : State::kFirstItem;
    return Step::kMore;
  }
  if (c == '"' || c == '\'') return open_string(c, out);
  if (!syntax_.quote.empty() && c == syntax_.quote.front()) return feed_quote(c, out);
  if (!is_word(c)) return Step::kError;
  word_.assign(1, c);
  state_ = State::kWord;
  return Step::kMore;
}

LiteralReader::Step LiteralReader::feed_word(char c, std::string& out) {
  if (is_word(c)) {
    if (word_.size() == kWordBytesMax) return Step::kError;
    word_.push_back(c);
    return Step::kMore;
  }
  // A word that no syntax knows was meant as a text.
  const std::string json = literal_word(word_);
  out += json.empty() ? quoted(word_) : json;
  state_ = State::kAfter;
  return open_.empty() ? Step::kDoneBefore : feed_after(c, out);
}

void LiteralReader::cut(std::string& out) const {
  if (state_ == State::kWord) out += word_;
  if (state_ != State::kString || quote_ != 0) return;
  for (const char c : syntax_.quote.substr(0, matched_)) append_quoted(out, c);
}

LiteralReader::Step LiteralReader::feed_quote(char c, std::string& out) {
  if (state_ != State::kQuote) matched_ = 0;
  state_ = State::kQuote;
  if (c != syntax_.quote[matched_]) return Step::kError;
  if (++matched_ < syntax_.quote.size()) return Step::kMore;
  return open_string(0, out);
}

LiteralReader::Step LiteralReader::open_string(char quote, std::string& out) {
  quote_ = quote;
  matched_ = 0;
  out.push_back('"');
  state_ = State::kString;
  return Step::kMore;
}

LiteralReader::Step LiteralReader::string_ended(std::string& out) {
  out.push_back('"');
  if (!key_) return value_ended();
  key_ = false;
  state_ = State::kColon;
  return Step::kMore;
}

LiteralReader::Step LiteralReader::feed_string(char c, std::string& out) {
  if (c == quote_) return string_ended(out);
  if (c == '\\') {
    state_ = State::kEscape;
    escape_ = 0;
    return Step::kMore;
  }
  append_quoted(out, c);
  return Step::kMore;
}

// No escapes; what may be the closing quote is held back.
LiteralReader::Step LiteralReader::feed_long_quote_string(char c, std::string& out) {
  while (matched_ > 0 && c != syntax_.quote[matched_]) {
    append_quoted(out, syntax_.quote.front());
    // The longest shorter beginning of the quote that ends what has been matched.
    std::size_t shorter = matched_ - 1;
    while (syntax_.quote.substr(0, shorter) != syntax_.quote.substr(matched_ - shorter, shorter)) {
      append_quoted(out, syntax_.quote[matched_ - shorter]);
      --shorter;
    }
    matched_ = shorter;
  }
  if (c != syntax_.quote[matched_]) {
    append_quoted(out, c);
    return Step::kMore;
  }
  if (++matched_ < syntax_.quote.size()) return Step::kMore;
  return string_ended(out);
}

LiteralReader::Step LiteralReader::feed_escape(char c, std::string& out) {
  const auto digits = [this] { return escape_ == 'x' ? 2U : escape_ == 'u' ? 4U : 8U; };
  if (escape_ != 0) {
    if (!is_hex(c)) return Step::kError;
    word_.push_back(c);
    if (word_.size() == digits()) flush_code_point(out);
    return Step::kMore;
  }
  if (c == 'x' || c == 'u' || c == 'U') {
    escape_ = c;
    word_.clear();
    return Step::kMore;
  }
  constexpr std::string_view kNamed = "nrtbf";
  constexpr std::string_view kMeant = "\n\r\t\b\f";
  const std::size_t named = kNamed.find(c);
  state_ = State::kString;
  if (named != std::string_view::npos) {
    append_quoted(out, kMeant[named]);
  } else if (std::string_view("\\'\"/").find(c) != std::string_view::npos) {
    append_quoted(out, c);
  } else if (c != '\n') {  // Python keeps the backslash of an escape that it does not know
    append_quoted(out, '\\');
    append_quoted(out, c);
  }
  return Step::kMore;
}

void LiteralReader::flush_code_point(std::string& out) {
  constexpr int kHex = 16;
  const unsigned long code = std::strtoul(word_.c_str(), nullptr, kHex);
  if (escape_ == 'u' && code >= 0xD800 && code <= 0xDFFF) {
    out += "\\u" + word_;  // half a character, as JSON writes it: the other half follows
  } else {
    append_utf8(out, code);
  }
  word_.clear();
  escape_ = 0;
  state_ = State::kString;
}

LiteralReader::Step LiteralReader::feed_after(char c, std::string& out) {
  if (is_space(c)) return Step::kMore;
  if (open_.empty()) return Step::kError;
  if (c == ',') {
    state_ = open_.back() == '{' ? State::kKey : State::kValue;
    comma_ = true;
    return Step::kMore;
  }
  if (c == '}') return close('{', c, out);
  if (c == ']') return close('[', c, out);
  return Step::kError;
}

LiteralReader::Step LiteralReader::close(char opener, char c, std::string& out) {
  if (open_.empty() || open_.back() != opener) return Step::kError;
  open_.pop_back();
  comma_ = false;  // Python allows one at the end
  out.push_back(c);
  return value_ended();
}

void LiteralReader::flush_comma(std::string& out) {
  if (comma_) out += ", ";
  comma_ = false;
}

LiteralReader::Step LiteralReader::value_ended() {
  state_ = State::kAfter;
  return open_.empty() ? Step::kDone : Step::kMore;
}

}  // namespace kvasir::chat
