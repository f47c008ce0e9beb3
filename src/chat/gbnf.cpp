#include "chat/gbnf.h"

#include <algorithm>
#include <map>

#include "chat/ascii.h"

namespace kvasir::chat {
namespace {

constexpr std::size_t kDepthMax = 200;  // of parentheses
constexpr std::size_t kRulesMax = 2000;
constexpr std::uint32_t kRepeatMax = 2000;  // llama.cpp's own bound

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || is_digit(c);
}

struct Problem {
  std::size_t at;
  std::string words;
};

// Throws a Problem, which stays in this file.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Gbnf parse() {
    skip_space(true);
    while (at_ < text_.size()) parse_rule();
    Gbnf grammar;
    for (const auto& [name, rule] : rules_) {
      if (!rule.defined) throw Problem{rule.seen_at, "the rule \"" + name + "\" is not defined"};
    }
    const auto root = rules_.find("root");
    if (root == rules_.end()) throw Problem{0, "there is no rule \"root\""};
    grammar.root = root->second.index;
    grammar.rules = std::move(bodies_);
    return grammar;
  }

 private:
  struct Rule {
    std::size_t index;
    std::size_t seen_at;
    bool defined = false;
  };

  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool done() const { return at_ >= text_.size(); }
  [[noreturn]] void fail(const std::string& words) const { throw Problem{at_, words}; }

  void skip_space(bool over_lines) {
    while (!done()) {
      const char c = text_[at_];
      if (c == '#') {
        while (!done() && text_[at_] != '\n' && text_[at_] != '\r') ++at_;
      } else if (c == ' ' || c == '\t' || (over_lines && (c == '\n' || c == '\r'))) {
        ++at_;
      } else {
        return;
      }
    }
  }

  Rule& named(const std::string& name, std::size_t seen_at) {
    const auto [found, is_new] = rules_.try_emplace(name, Rule{bodies_.size(), seen_at});
    if (is_new) {
      if (bodies_.size() >= kRulesMax) fail("more than " + std::to_string(kRulesMax) + " rules");
      bodies_.emplace_back();
    }
    return found->second;
  }

  std::string word() {
    const std::size_t begin = at_;
    while (!done() && is_word(text_[at_])) ++at_;
    if (at_ == begin) fail("a rule's name is expected");
    return std::string(text_.substr(begin, at_ - begin));
  }

  void parse_rule() {
    const std::size_t begin = at_;
    const std::string name = word();
    skip_space(false);
    if (text_.substr(at_, 3) != "::=") fail("\"::=\" is expected behind the rule's name");
    at_ += 3;
    skip_space(true);
    Rule& rule = named(name, begin);
    rule.defined = true;
    const std::size_t index = rule.index;
    bodies_[index] = alternatives(false, 0);
    if (!done() && peek() != '\n' && peek() != '\r') fail("the rule should end here, or go on with an item");
    skip_space(true);
  }

  GbnfNode alternatives(bool nested, std::size_t depth) {
    if (depth > kDepthMax) fail("parentheses are nested more than " + std::to_string(kDepthMax) + " deep");
    GbnfNode all{GbnfNode::Kind::kAlternatives};
    all.parts.push_back(sequence(nested, depth));
    while (next_alternative()) {
      ++at_;
      skip_space(true);
      all.parts.push_back(sequence(nested, depth));
    }
    if (all.parts.size() > 1) return all;
    GbnfNode only = std::move(all.parts.front());
    return only;
  }

  // It may stand at the beginning of the next line, where llama.cpp wants it at the end of this one.
  bool next_alternative() {
    const std::size_t end = at_;
    skip_space(true);
    if (peek() == '|') return true;
    at_ = end;
    return false;
  }

  GbnfNode sequence(bool nested, std::size_t depth) {
    GbnfNode items;
    while (!done()) {
      std::optional<GbnfNode> next = item(depth);
      if (!next) break;
      skip_space(nested);
      while (repeat(*next)) skip_space(nested);
      items.parts.push_back(std::move(*next));
    }
    if (items.parts.size() != 1) return items;
    GbnfNode only = std::move(items.parts.front());
    return only;
  }

  // Nothing where the sequence ends.
  std::optional<GbnfNode> item(std::size_t depth) {
    const char c = peek();
    if (c == '"') return literal();
    if (c == '[') return character_class();
    if (c == '.') {
      ++at_;
      return character(complement({}));
    }
    if (c == '(') {
      const std::size_t open = at_++;
      skip_space(true);
      GbnfNode group = alternatives(true, depth + 1);
      if (peek() != ')')
        throw Problem{done() ? open : at_, done() ? "this \"(\" is not closed" : "\")\" is expected"};
      ++at_;
      return group;
    }
    if (c == '<' || c == '!') fail("references to tokens cannot be used; write the text itself");
    if (c == '*' || c == '+' || c == '?' || c == '{') fail("nothing stands here that could be repeated");
    if (!is_word(c)) return std::nullopt;
    const std::size_t begin = at_;
    const std::string name = word();
    GbnfNode reference{GbnfNode::Kind::kRule};
    reference.rule = named(name, begin).index;
    return reference;
  }

  static GbnfNode character(CharSet set) {
    GbnfNode node{GbnfNode::Kind::kCharacter};
    node.set = std::move(set);
    return node;
  }

  GbnfNode literal() {
    const std::size_t open = at_++;
    GbnfNode text;
    while (peek() != '"') {
      if (done()) throw Problem{open, "this string is not closed"};
      const char32_t c = code_point();
      CharSet set = char_set({{c, c}});
      if (set.empty()) fail("a surrogate is no character");
      text.parts.push_back(character(std::move(set)));
    }
    ++at_;
    return text;
  }

  GbnfNode character_class() {
    const std::size_t open = at_++;
    const bool negated = peek() == '^';
    if (negated) ++at_;
    std::vector<CharRange> ranges;
    while (peek() != ']') {
      if (done()) throw Problem{open, "this character class is not closed"};
      const char32_t first = code_point();
      char32_t last = first;
      if (peek() == '-' && peek(1) != ']' && at_ + 1 < text_.size()) {
        ++at_;
        last = code_point();
        if (last < first) fail("this range ends before it begins");
      }
      ranges.push_back({first, last});
    }
    ++at_;
    CharSet set = char_set(std::move(ranges));
    if (negated) set = complement(set);
    if (set.empty()) throw Problem{open, "this character class has no characters"};
    return character(std::move(set));
  }

  char32_t code_point() {
    if (peek() == '\\') return escape();
    const auto lead = static_cast<unsigned char>(text_[at_]);
    const std::size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    char32_t c = size == 1 ? lead : lead & (0xFFU >> (size + 1));
    for (std::size_t i = 1; i < size; ++i) {
      if ((static_cast<unsigned char>(peek(i)) & 0xC0U) != 0x80) fail("this is not valid UTF-8");
      c = (c << 6U) | (static_cast<unsigned char>(peek(i)) & 0x3FU);
    }
    at_ += size;
    return c;
  }

  char32_t escape() {
    const char kind = peek(1);
    const std::size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    if (digits == 0) {
      constexpr std::string_view kNames = "ntr\\\"[]-";
      constexpr std::string_view kMeanings = "\n\t\r\\\"[]-";
      const std::size_t found = kind == '\0' ? std::string_view::npos : kNames.find(kind);
      if (found == std::string_view::npos) fail("this escape is not known");
      at_ += 2;
      return static_cast<unsigned char>(kMeanings[found]);
    }
    char32_t c = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const char d = peek(2 + i);
      const int value = is_digit(d)            ? d - '0'
                        : d >= 'a' && d <= 'f' ? d - 'a' + 10
                        : d >= 'A' && d <= 'F' ? d - 'A' + 10
                                               : -1;
      if (value < 0) fail("this escape needs " + std::to_string(digits) + " hexadecimal digits");
      c = c * 16 + static_cast<char32_t>(value);
    }
    if (c > 0x10FFFF) fail("this escape is no Unicode character");
    at_ += 2 + digits;
    return c;
  }

  std::uint32_t count() {
    if (!is_digit(peek())) fail("a number is expected");
    std::uint32_t value = 0;
    while (is_digit(peek())) {
      value = value * 10 + static_cast<std::uint32_t>(text_[at_] - '0');
      if (value > kRepeatMax) fail("more than " + std::to_string(kRepeatMax) + " repetitions");
      ++at_;
    }
    return value;
  }

  bool repeat(GbnfNode& node) {
    std::uint32_t least = 0;
    std::optional<std::uint32_t> most;
    const char c = peek();
    if (c == '*' || c == '+' || c == '?') {
      ++at_;
      least = c == '+' ? 1 : 0;
      if (c == '?') most = 1;
    } else if (c == '{') {
      ++at_;
      skip_space(true);
      least = count();
      most = least;
      skip_space(true);
      if (peek() == ',') {
        ++at_;
        skip_space(true);
        most = is_digit(peek()) ? std::optional(count()) : std::nullopt;
        skip_space(true);
      }
      if (peek() != '}') fail("\"}\" is expected");
      if (most && *most < least) fail("the upper bound is below the lower one");
      ++at_;
    } else {
      return false;
    }
    GbnfNode repeated{GbnfNode::Kind::kRepeat};
    repeated.least = least;
    repeated.most = most;
    repeated.parts.push_back(std::move(node));
    node = std::move(repeated);
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::map<std::string, Rule> rules_;
  std::vector<GbnfNode> bodies_;
};

}  // namespace

bool is_gbnf(std::string_view grammar) {
  std::size_t at = 0;
  while (at < grammar.size()) {
    const bool comment = grammar[at] == '#' || grammar.substr(at, 2) == "//";
    if (comment) {
      at = std::min(grammar.find('\n', at), grammar.size());
    } else if (std::string_view(" \t\r\n").find(grammar[at]) != std::string_view::npos) {
      ++at;
    } else {
      break;
    }
  }
  while (at < grammar.size() && is_word(grammar[at])) ++at;
  at = std::min(grammar.find_first_not_of(" \t", at), grammar.size());
  return grammar.substr(at, 3) == "::=";
}

Result<Gbnf> parse_gbnf(std::string_view text) {
  try {
    return Parser(text).parse();
  } catch (const Problem& problem) {
    const std::string_view before = text.substr(0, problem.at);
    const auto line = std::ranges::count(before, '\n') + 1;
    const std::size_t start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    return make_error(ErrorCode::kInvalidArgument, "line " + std::to_string(line) + ", column " +
                                                       std::to_string(problem.at - start + 1) + ": " +
                                                       problem.words);
  }
}

}  // namespace kvasir::chat
