#include "chat/python_regex.h"

#include <cstdio>
#include <vector>

#include "chat/ascii.h"

namespace kvasir::chat {
namespace {

struct Problem {
  std::size_t at;
  std::string words;
};

// Throws a Problem, which stays in this file.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  std::string run() {
    while (at_ < in_.size()) step();
    if (!groups_.empty()) throw Problem{groups_.back().at, "this \"(\" is not closed"};
    return std::move(out_);
  }

 private:
  struct Group {
    std::size_t at;
    bool begins;  // nothing stands before it
  };

  char peek(std::size_t ahead = 0) const { return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0'; }
  [[noreturn]] void fail(const std::string& words) const { throw Problem{at_, words}; }

  void step() {
    const char c = in_[at_];
    switch (c) {
      case '\\':
        return escape(false);
      case '[':
        return character_class();
      case '(':
        return open_group();
      case ')':
        if (groups_.empty()) fail("\")\" without \"(\"");
        groups_.pop_back();
        return copy_item(1);
      case '|':
        at_begin_ = groups_.empty() || groups_.back().begins;
        out_ += '|';
        ++at_;
        return;
      case '^':
        if (!at_begin_) fail("\"^\" can only begin the expression");
        ++at_;
        return;
      case '$':
        if (!ends_behind(at_ + 1)) fail("\"$\" can only end the expression");
        ++at_;
        return;
      case '*':
      case '+':
      case '?':
        out_ += c;
        ++at_;
        return quantifier_tail();
      case '{':
        return braces();
      case '}':
      case ']':
      case '/':
        out_ += '\\';
        return copy_item(1);
      default:
        return copy_item(1);
    }
  }

  void copy_item(std::size_t size) {
    out_ += in_.substr(at_, size);
    at_ += size;
    at_begin_ = false;
  }

  // Lazy or not, the same texts match.
  void quantifier_tail() {
    if (peek() == '?') {
      ++at_;
    } else if (peek() == '+') {
      fail("possessive repetition cannot be used");
    }
  }

  // What is no repetition is plain text.
  void braces() {
    std::size_t end = at_ + 1;
    std::size_t commas = 0;
    std::size_t digits = 0;
    for (; end < in_.size() && (is_digit(in_[end]) || in_[end] == ','); ++end) {
      commas += in_[end] == ',' ? 1 : 0;
      digits += is_digit(in_[end]) ? 1 : 0;
    }
    if (end >= in_.size() || in_[end] != '}' || commas > 1 || digits + commas == 0) {
      out_ += '\\';
      return copy_item(1);
    }
    std::string bounds(in_.substr(at_ + 1, end - at_ - 1));
    if (bounds.front() == ',') bounds.insert(0, "0");
    out_ += "{" + bounds + "}";
    at_ = end + 1;
    quantifier_tail();
  }

  void open_group() {
    groups_.push_back({at_, at_begin_});
    if (peek(1) != '?') {
      out_ += "(?:";
      ++at_;
      return;
    }
    const char kind = peek(2);
    if (kind == ':') {
      out_ += "(?:";
      at_ += 3;
    } else if (kind == 'P' && peek(3) == '<') {
      const std::size_t end = in_.find('>', at_);
      if (end == std::string_view::npos) fail("this group's name is not closed");
      out_ += "(?:";
      at_ = end + 1;
    } else if (kind == '=' || kind == '!' || (kind == '<' && (peek(3) == '=' || peek(3) == '!'))) {
      fail("look-around cannot be used");
    } else if (kind == 'P' && peek(3) == '=') {
      fail("back-references cannot be used");
    } else {
      flags();
    }
  }

  void flags() {
    std::size_t end = at_ + 2;
    while (end < in_.size() && (in_[end] == 'i' || in_[end] == 's' || in_[end] == '-')) ++end;
    const bool ends = end < in_.size() && end > at_ + 2 && (in_[end] == ':' || in_[end] == ')');
    if (!ends) fail("this kind of group cannot be used");
    out_ += in_.substr(at_, end + 1 - at_);
    if (in_[end] == ')') groups_.pop_back();
    at_ = end + 1;
  }

  void character_class() {
    const std::size_t open = at_++;
    out_ += '[';
    if (peek() == '^') {
      out_ += '^';
      ++at_;
    }
    for (bool first = true; at_ < in_.size(); first = false) {
      const char c = in_[at_];
      if (c == ']' && !first) {
        out_ += ']';
        ++at_;
        at_begin_ = false;
        return;
      }
      if (c == '\\') {
        escape(true);
        continue;
      }
      // These mean something inside the engine's classes. A '-' at an end is itself.
      const bool dash = c == '-' && (first || peek(1) == ']' || out_.back() == '-');
      if (dash || std::string_view("[]&~/^").find(c) != std::string_view::npos) out_ += '\\';
      out_ += c;
      ++at_;
    }
    throw Problem{open, "this character class is not closed"};
  }

  void escape(bool in_class) {
    const char c = peek(1);
    if (at_ + 1 >= in_.size()) fail("a lone \"\\\" ends the expression");
    const auto put = [this](std::string_view text) {
      out_ += text;
      at_ += 2;
      at_begin_ = false;
    };
    // Python's words: letters and numbers of any script, and '_'. Its spaces have the four separators, too.
    if (c == 'w') return put(R"([\p{L}\p{N}_])");
    if (c == 'W') return put(R"([^\p{L}\p{N}_])");
    if (c == 'S') return put(R"([^\s\x1c-\x1f])");
    if (c == 'b' && in_class) return put(R"(\x08)");
    if (!in_class && (c == 'b' || c == 'B')) fail("word boundaries cannot be used");
    if (!in_class && c >= '1' && c <= '9') fail("back-references cannot be used");
    if (c == '0') return put(R"(\x00)");
    if (!in_class && c == 'A') {
      if (!at_begin_) fail("\"\\A\" can only begin the expression");
      at_ += 2;
      return;
    }
    if (!in_class && (c == 'Z' || c == 'z')) {
      if (!ends_behind(at_ + 2)) fail("\"\\Z\" can only end the expression");
      at_ += 2;
      return;
    }
    if (std::string_view("dDsntrfvaxuU").find(c) != std::string_view::npos) {
      return put(in_.substr(at_, 2));
    }
    if (is_letter(c) || is_digit(c)) fail("this escape is not known");
    if (static_cast<unsigned char>(c) >= 0x80) return put(in_.substr(at_ + 1, 1));
    char code[8];
    (void)std::snprintf(code, sizeof code, "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    put(code);
  }

  // Whether nothing can follow: only closing parentheses, and other alternatives.
  bool ends_behind(std::size_t at) const {
    while (at < in_.size()) {
      const char c = in_[at];
      if (c == ')') {
        ++at;
      } else if (c == '|') {
        at = end_of_group(at);
      } else {
        return false;
      }
    }
    return true;
  }

  // The ")" that closes the group that `at` is in, or the end.
  std::size_t end_of_group(std::size_t at) const {
    std::size_t depth = 0;
    bool in_class = false;
    for (; at < in_.size(); ++at) {
      const char c = in_[at];
      if (c == '\\') {
        ++at;
      } else if (in_class) {
        in_class = c != ']';
      } else if (c == '[') {
        in_class = true;
        if (at + 1 < in_.size() && in_[at + 1] == '^') ++at;
        if (at + 1 < in_.size() && in_[at + 1] == ']') ++at;
      } else if (c == '(') {
        ++depth;
      } else if (c == ')') {
        if (depth == 0) return at;
        --depth;
      }
    }
    return in_.size();
  }

  std::string_view in_;
  std::size_t at_ = 0;
  std::string out_;
  std::vector<Group> groups_;
  bool at_begin_ = true;
};

}  // namespace

Result<std::string> python_regex(std::string_view pattern) {
  try {
    return Translator(pattern).run();
  } catch (const Problem& problem) {
    return make_error(ErrorCode::kInvalidArgument,
                      "at character " + std::to_string(problem.at + 1) + ": " + problem.words);
  }
}

}  // namespace kvasir::chat
