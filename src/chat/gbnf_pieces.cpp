#include "chat/gbnf_pieces.h"

#include <utility>

#include "chat/gbnf_loops.h"

namespace kvasir::chat {
namespace {

using Kind = GbnfPiece::Kind;

GbnfPiece lexeme(GbnfNode node) {
  GbnfPiece piece{Kind::kLexeme};
  piece.lexeme = std::move(node);
  return piece;
}

// Regular neighbours become one lexeme.
void add_merging(GbnfPiece& to, GbnfNode::Kind kind, const GbnfNode& part, const std::vector<bool>& regular);

GbnfNode loop(GbnfNode body, std::uint32_t least) {
  GbnfNode all{GbnfNode::Kind::kRepeat};
  all.least = least;
  all.parts.push_back(std::move(body));
  return all;
}

// A loop over regular (L) and other alternatives (N): (L | N)* is L* (N L*)*, in which whole runs of L are
// one lexeme. Free text between brackets is of this kind.
std::optional<GbnfNode> with_runs(const GbnfNode& node, const std::vector<bool>& regular) {
  const GbnfNode& body = node.parts.front();
  if (node.most || node.least > 1 || body.kind != GbnfNode::Kind::kAlternatives) return std::nullopt;
  GbnfNode run{GbnfNode::Kind::kAlternatives};
  GbnfNode others{GbnfNode::Kind::kAlternatives};
  for (const GbnfNode& part : body.parts) (is_regular(part, regular) ? run : others).parts.push_back(part);
  if (run.parts.empty() || others.parts.empty()) return std::nullopt;
  GbnfNode step;
  step.parts = {std::move(others), loop(run, 0)};
  GbnfNode from_run;
  from_run.parts = {loop(std::move(run), node.least), loop(step, 0)};
  if (node.least == 0) return from_run;
  GbnfNode either{GbnfNode::Kind::kAlternatives};
  either.parts = {std::move(from_run), loop(std::move(step), 1)};
  return either;
}

GbnfPiece cut_node(const GbnfNode& node, const std::vector<bool>& regular) {
  if (is_regular(node, regular)) return lexeme(node);
  if (node.kind == GbnfNode::Kind::kRepeat) {
    if (const auto runs = with_runs(node, regular)) return cut_node(*runs, regular);
  }
  GbnfPiece piece;
  switch (node.kind) {
    case GbnfNode::Kind::kRule:
      piece.kind = Kind::kRule;
      piece.rule = node.rule;
      break;
    case GbnfNode::Kind::kRepeat:
      piece.kind = Kind::kRepeat;
      piece.least = node.least;
      piece.most = node.most;
      piece.parts.push_back(cut_node(node.parts.front(), regular));
      break;
    default:
      piece.kind = node.kind == GbnfNode::Kind::kSequence ? Kind::kSequence : Kind::kAlternatives;
      for (const GbnfNode& part : node.parts) add_merging(piece, node.kind, part, regular);
      break;
  }
  return piece;
}

void add_merging(GbnfPiece& to, GbnfNode::Kind kind, const GbnfNode& part, const std::vector<bool>& regular) {
  const bool merges = is_regular(part, regular) && !to.parts.empty() && to.parts.back().kind == Kind::kLexeme;
  if (!merges) {
    to.parts.push_back(cut_node(part, regular));
    if (to.parts.back().kind == Kind::kLexeme) {
      GbnfNode holder{kind};
      holder.parts.push_back(std::move(to.parts.back().lexeme));
      to.parts.back().lexeme = std::move(holder);
    }
    return;
  }
  to.parts.back().lexeme.parts.push_back(part);
}

void join(LexemeSet& to, const LexemeSet& from) {
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (from[i]) to[i] = true;
  }
}

class Orderer {
 public:
  Orderer(std::vector<GbnfPiece>& rules, std::vector<GbnfPiece*>& lexemes)
      : rules_(rules), lexemes_(lexemes), reached_(rules.size()) {}

  LexemeOrder run(std::size_t root) {
    lexemes_.clear();
    std::vector<std::size_t> open{root};
    reached_[root] = true;
    while (!open.empty()) {
      const std::size_t rule = open.back();
      open.pop_back();
      number(rules_[rule], open);
      order_.push_back(rule);
    }
    const LexemeSet none(lexemes_.size());
    nullable_.assign(rules_.size(), false);
    first_.assign(rules_.size(), none);
    until_stable([&](std::size_t rule) {
      LexemeSet first = none;
      const bool nullable = begin_of(rules_[rule], first);
      const bool changed = nullable != nullable_[rule] || first != first_[rule];
      nullable_[rule] = nullable;
      first_[rule] = std::move(first);
      return changed;
    });
    follow_.assign(lexemes_.size(), none);
    after_rule_.assign(rules_.size(), none);
    until_stable([&](std::size_t rule) {
      changed_ = false;
      walk(rules_[rule], after_rule_[rule]);
      return changed_;
    });
    return {first_[root], std::move(follow_)};
  }

 private:
  template <class Step>
  void until_stable(Step step) {
    for (bool changed = true; changed;) {
      changed = false;
      for (const std::size_t rule : order_) changed = step(rule) || changed;
    }
  }

  void number(GbnfPiece& piece, std::vector<std::size_t>& open) {
    if (piece.kind == Kind::kLexeme) {
      piece.id = lexemes_.size();
      lexemes_.push_back(&piece);
    } else if (piece.kind == Kind::kRule && !reached_[piece.rule]) {
      reached_[piece.rule] = true;
      open.push_back(piece.rule);
    }
    for (GbnfPiece& part : piece.parts) number(part, open);
  }

  // Adds what the piece may begin with; whether it may be empty.
  bool begin_of(const GbnfPiece& piece, LexemeSet& first) const {
    switch (piece.kind) {
      case Kind::kLexeme:
        first[piece.id] = true;
        return piece.automaton->nullable;
      case Kind::kRule:
        join(first, first_[piece.rule]);
        return nullable_[piece.rule];
      case Kind::kRepeat:
        if (piece.most && *piece.most == 0) return true;
        return begin_of(piece.parts.front(), first) || piece.least == 0;
      case Kind::kSequence:
        for (const GbnfPiece& part : piece.parts) {
          if (!begin_of(part, first)) return false;
        }
        return true;
      case Kind::kAlternatives:
        break;
    }
    bool nullable = false;
    for (const GbnfPiece& part : piece.parts) nullable = begin_of(part, first) || nullable;
    return nullable;
  }

  void grow(LexemeSet& set, const LexemeSet& by) {
    for (std::size_t i = 0; i < by.size(); ++i) {
      if (!by[i] || set[i]) continue;
      set[i] = true;
      changed_ = true;
    }
  }

  // `after`: what may follow the piece.
  void walk(const GbnfPiece& piece, LexemeSet after) {
    switch (piece.kind) {
      case Kind::kLexeme:
        grow(follow_[piece.id], after);
        return;
      case Kind::kRule:
        grow(after_rule_[piece.rule], after);
        return;
      case Kind::kRepeat:
        if (!piece.most || *piece.most > 1) (void)begin_of(piece.parts.front(), after);
        walk(piece.parts.front(), std::move(after));
        return;
      case Kind::kAlternatives:
        for (const GbnfPiece& part : piece.parts) walk(part, after);
        return;
      case Kind::kSequence:
        break;
    }
    for (std::size_t i = piece.parts.size(); i-- > 0;) {
      walk(piece.parts[i], after);
      LexemeSet first(after.size());
      if (begin_of(piece.parts[i], first)) join(first, after);
      after = std::move(first);
    }
  }

  std::vector<GbnfPiece>& rules_;
  std::vector<GbnfPiece*>& lexemes_;
  std::vector<bool> reached_;
  std::vector<std::size_t> order_;
  std::vector<bool> nullable_;
  std::vector<LexemeSet> first_;
  std::vector<LexemeSet> follow_;
  std::vector<LexemeSet> after_rule_;
  bool changed_ = false;
};

}  // namespace

std::vector<GbnfPiece> cut(const Gbnf& grammar, const std::vector<bool>& regular) {
  std::vector<GbnfPiece> rules(grammar.rules.size());
  for (std::size_t rule = 0; rule < rules.size(); ++rule) {
    if (!regular[rule]) rules[rule] = cut_node(grammar.rules[rule], regular);
  }
  return rules;
}

void cut_finer(const Gbnf& grammar, GbnfPiece& piece) {
  GbnfNode node = std::move(piece.lexeme);
  // A name, or a holder of one part, is no cut yet.
  for (;;) {
    if (node.kind == GbnfNode::Kind::kRule) {
      node = GbnfNode(grammar.rules[node.rule]);
    } else if (node.kind != GbnfNode::Kind::kRepeat && node.parts.size() == 1) {
      GbnfNode only = std::move(node.parts.front());
      node = std::move(only);
    } else {
      break;
    }
  }
  GbnfPiece finer;
  switch (node.kind) {
    case GbnfNode::Kind::kSequence:
      finer.kind = Kind::kSequence;
      break;
    case GbnfNode::Kind::kAlternatives:
      finer.kind = Kind::kAlternatives;
      break;
    case GbnfNode::Kind::kRepeat:
      finer.kind = Kind::kRepeat;
      finer.least = node.least;
      finer.most = node.most;
      break;
    default:
      piece = lexeme(std::move(node));
      return;
  }
  for (GbnfNode& part : node.parts) finer.parts.push_back(lexeme(std::move(part)));
  piece = std::move(finer);
}

LexemeOrder order_lexemes(std::vector<GbnfPiece>& rules, std::size_t root, std::vector<GbnfPiece*>& lexemes) {
  return Orderer(rules, lexemes).run(root);
}

}  // namespace kvasir::chat
