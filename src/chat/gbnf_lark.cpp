#include "chat/gbnf_lark.h"

#include <map>
#include <set>

#include "chat/gbnf_loops.h"
#include "chat/gbnf_pieces.h"
#include "chat/lark_writer.h"

namespace kvasir::chat {
namespace {

constexpr std::size_t kLexemesMax = 1500;
constexpr std::size_t kStepsMax = 20'000'000;  // some hundred milliseconds

std::string bounded(std::string body, std::uint32_t least, std::optional<std::uint32_t> most) {
  if (most && *most == 0) return "\"\"";
  std::string repeated = "( " + std::move(body) + " )";
  if (!most && least <= 1) return repeated + (least == 0 ? "*" : "+");
  if (most && *most == 1 && least == 0) return repeated + "?";
  return repeated + "{" + std::to_string(least) + "," + (most ? std::to_string(*most) : "") + "}";
}

class Translator {
 public:
  explicit Translator(Gbnf grammar) : grammar_(std::move(grammar)) {}

  Result<std::string> run() {
    if (!ends(grammar_)) {
      return make_error(ErrorCode::kInvalidArgument,
                        "the rule \"root\" refers back to itself without an end");
    }
    write_loops(grammar_);
    regular_ = regular_rules(grammar_);
    if (regular_[grammar_.root]) {
      GbnfNode all{GbnfNode::Kind::kRule};
      all.rule = grammar_.root;
      const std::string answer = terminal(all, "ANSWER");
      return "start: " + answer + "\n" + terminals();
    }
    pieces_ = cut(grammar_, regular_);
    if (!settle()) {
      return make_error(ErrorCode::kInvalidArgument,
                        "the grammar is too large or too ambiguous: write fewer and simpler rules");
    }
    std::string lark = "start: " + rule_name(grammar_.root) + "\n";
    std::set<std::size_t> written;
    while (!rules_to_write_.empty()) {
      const std::size_t rule = *rules_to_write_.begin();
      rules_to_write_.erase(rules_to_write_.begin());
      if (!written.insert(rule).second) continue;
      lark += rule_name(rule) + ": " + expression(pieces_[rule]) + "\n";
    }
    return lark + terminals();
  }

 private:
  // Cuts lexemes until the longest reading is the only one everywhere.
  bool settle() {
    std::size_t steps = kStepsMax;
    for (;;) {
      std::vector<GbnfPiece*> lexemes;
      while (!read_automata(pieces_)) {
        if (cuts_ > kLexemesMax) return false;
      }
      const LexemeOrder order = order_lexemes(pieces_, grammar_.root, lexemes);
      if (lexemes.size() > kLexemesMax) return false;
      LexemeSet to_cut(lexemes.size());
      if (!find_conflicts(lexemes, order, to_cut, steps)) return false;
      bool any = false;
      for (std::size_t i = 0; i < lexemes.size(); ++i) {
        if (!to_cut[i]) continue;
        cut_finer(grammar_, *lexemes[i]);
        any = true;
      }
      if (!any) return true;
    }
  }

  // False where a lexeme was too large to be looked at, and has been cut.
  bool read_automata(std::vector<GbnfPiece>& pieces) {
    bool all = true;
    for (GbnfPiece& piece : pieces) {
      if (piece.kind == GbnfPiece::Kind::kLexeme && piece.automaton == nullptr) {
        std::optional<LexemeAutomaton> automaton = lexeme_automaton(grammar_, piece.lexeme);
        if (automaton) {
          piece.automaton = std::make_shared<const LexemeAutomaton>(std::move(*automaton));
        } else {
          if (++cuts_ > kLexemesMax) return false;
          cut_finer(grammar_, piece);
          all = false;
        }
      }
      all = read_automata(piece.parts) && all;
      if (cuts_ > kLexemesMax) return false;
    }
    return all;
  }

  // Over all pairs of lexemes that may be looked for at one place. False when the steps are used up.
  static bool find_conflicts(const std::vector<GbnfPiece*>& lexemes, const LexemeOrder& order,
                             LexemeSet& to_cut, std::size_t& steps) {
    const std::size_t count = lexemes.size();
    std::vector<CharSet> after(count);
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<CharRange> all;
      for (std::size_t j = 0; j < count; ++j) {
        if (!order.follow[i][j]) continue;
        const CharSet first = lexemes[j]->automaton->first_characters();
        all.insert(all.end(), first.begin(), first.end());
      }
      after[i] = char_set(std::move(all));
    }
    std::vector<bool> seen(count * count);
    std::vector<std::pair<std::size_t, std::size_t>> open;
    const auto meet = [&](const LexemeSet& some, const LexemeSet& others) {
      for (std::size_t i = 0; i < count; ++i) {
        if (!some[i]) continue;
        for (std::size_t j = 0; j < count; ++j) {
          if (steps == 0) return false;
          --steps;
          if (!others[j] || seen[i * count + j]) continue;
          seen[i * count + j] = seen[j * count + i] = true;
          open.emplace_back(i, j);
        }
      }
      return true;
    };
    if (!meet(order.first, order.first)) return false;
    while (!open.empty()) {
      const auto [i, j] = open.back();
      open.pop_back();
      const auto common = overlap(*lexemes[i]->automaton, after[i], *lexemes[j]->automaton, after[j], steps);
      if (!common) return false;
      if (common->first_goes_on) to_cut[i] = true;
      if (common->second_goes_on) to_cut[j] = true;
      if (common->same_text && !meet(order.follow[i], order.follow[j])) return false;
    }
    return true;
  }

  std::string rule_name(std::size_t rule) {
    rules_to_write_.insert(rule);
    return "r" + std::to_string(rule);
  }

  std::string expression(const GbnfPiece& piece) {
    switch (piece.kind) {
      case GbnfPiece::Kind::kLexeme:
        return terminal(piece.lexeme, "T" + std::to_string(piece.id));
      case GbnfPiece::Kind::kRule:
        return rule_name(piece.rule);
      case GbnfPiece::Kind::kRepeat:
        return bounded(expression(piece.parts.front()), piece.least, piece.most);
      default:
        break;
    }
    const bool alternatives = piece.kind == GbnfPiece::Kind::kAlternatives;
    std::string all;
    for (const GbnfPiece& part : piece.parts) {
      if (!all.empty()) all += alternatives ? " | " : " ";
      all += expression(part);
    }
    if (all.empty()) return "\"\"";
    return alternatives ? "( " + all + " )" : all;
  }

  // A lexeme's name, after its definition. Lexemes are not empty: where the text may be, none need come.
  std::string terminal(const GbnfNode& node, const std::string& name) {
    const Length length = length_of(node);
    if (!length.something) return "\"\"";
    std::string body = terminal_expression(node);
    if (length.nothing) body = "( " + body + " ) & /(?s:.+)/";
    terminals_ += name + ": " + body + "\n";
    return length.nothing ? "( " + name + " )?" : name;
  }

  std::string terminals() {
    std::set<std::size_t> written;
    while (!named_.empty()) {
      const std::size_t rule = *named_.begin();
      named_.erase(named_.begin());
      if (!written.insert(rule).second) continue;
      terminals_ += "R" + std::to_string(rule) + ": " + terminal_expression(grammar_.rules[rule]) + "\n";
    }
    return std::move(terminals_);
  }

  std::string terminal_expression(const GbnfNode& node) {
    switch (node.kind) {
      case GbnfNode::Kind::kCharacter:
        return "/" + regex_class(node.set) + "/";
      case GbnfNode::Kind::kRule:
        named_.insert(node.rule);
        return "R" + std::to_string(node.rule);
      case GbnfNode::Kind::kRepeat:
        return bounded(terminal_expression(node.parts.front()), node.least, node.most);
      case GbnfNode::Kind::kAlternatives: {
        std::string all;
        for (const GbnfNode& part : node.parts) all += (all.empty() ? "" : " | ") + terminal_expression(part);
        return "( " + all + " )";
      }
      case GbnfNode::Kind::kSequence:
        break;
    }
    std::string all;
    std::string literal;
    const auto flush = [&] {
      if (!literal.empty()) all += (all.empty() ? "" : " ") + lark_quoted(literal);
      literal.clear();
    };
    for (const GbnfNode& part : node.parts) {
      const bool plain = part.kind == GbnfNode::Kind::kCharacter && part.set.size() == 1 &&
                         part.set.front().first == part.set.front().last && part.set.front().first >= 0x20 &&
                         part.set.front().first < 0x7F;
      if (plain) {
        literal += static_cast<char>(part.set.front().first);
        continue;
      }
      flush();
      all += (all.empty() ? "" : " ") + terminal_expression(part);
    }
    flush();
    return all.empty() ? "\"\"" : "( " + all + " )";
  }

  struct Length {
    bool nothing = false;    // the empty text is one of its texts
    bool something = false;  // some other is
  };

  Length length_of(const GbnfNode& node) {
    switch (node.kind) {
      case GbnfNode::Kind::kCharacter:
        return {false, true};
      case GbnfNode::Kind::kRule: {
        const auto known = lengths_.find(node.rule);
        if (known != lengths_.end()) return known->second;
        const Length length = length_of(grammar_.rules[node.rule]);
        lengths_[node.rule] = length;
        return length;
      }
      case GbnfNode::Kind::kRepeat: {
        if (node.most && *node.most == 0) return {true, false};
        const Length one = length_of(node.parts.front());
        return {one.nothing || node.least == 0, one.something};
      }
      case GbnfNode::Kind::kSequence: {
        Length all{true, false};
        for (const GbnfNode& part : node.parts) {
          const Length one = length_of(part);
          all = {all.nothing && one.nothing, all.something || one.something};
        }
        return all;
      }
      case GbnfNode::Kind::kAlternatives:
        break;
    }
    Length any;
    for (const GbnfNode& part : node.parts) {
      const Length one = length_of(part);
      any = {any.nothing || one.nothing, any.something || one.something};
    }
    return any;
  }

  Gbnf grammar_;
  std::vector<bool> regular_;
  std::vector<GbnfPiece> pieces_;
  std::size_t cuts_ = 0;  // of lexemes that were too large
  std::set<std::size_t> rules_to_write_;
  std::set<std::size_t> named_;  // regular rules that have been named
  std::map<std::size_t, Length> lengths_;
  std::string terminals_;
};

}  // namespace

Result<std::string> lark_of(Gbnf grammar) {
  return Translator(std::move(grammar)).run();
}

Result<std::string> gbnf_to_lark(std::string_view text) {
  KVASIR_ASSIGN_OR_RETURN(Gbnf grammar, parse_gbnf(text));
  return lark_of(std::move(grammar));
}

}  // namespace kvasir::chat
