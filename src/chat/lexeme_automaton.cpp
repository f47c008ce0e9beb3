#include "chat/lexeme_automaton.h"

#include <algorithm>
#include <unordered_set>

namespace kvasir::chat {
namespace {

constexpr std::size_t kPositionsMax = 3000;
constexpr std::size_t kEdgesMax = 200'000;
constexpr std::size_t kDepthMax = 400;
constexpr std::uint32_t kCopiesMax = 4;  // of a repeated part; more is as good as without a bound

class TooLarge {};

// What is known of a part whose positions have been added.
struct Part {
  bool nullable = true;
  std::vector<std::size_t> first;
  std::vector<std::size_t> last;
};

class Builder {
 public:
  explicit Builder(const Gbnf& grammar) : grammar_(grammar) {}

  LexemeAutomaton build(const GbnfNode& node) {
    Part whole = add(node, 0);
    automaton_.nullable = whole.nullable;
    automaton_.first = std::move(whole.first);
    automaton_.last.assign(automaton_.characters.size(), false);
    for (const std::size_t position : whole.last) automaton_.last[position] = true;
    return std::move(automaton_);
  }

 private:
  Part add(const GbnfNode& node, std::size_t depth) {
    if (depth > kDepthMax) throw TooLarge();
    switch (node.kind) {
      case GbnfNode::Kind::kCharacter: {
        if (automaton_.characters.size() >= kPositionsMax) throw TooLarge();
        const std::size_t position = automaton_.characters.size();
        automaton_.characters.push_back(node.set);
        automaton_.follow.emplace_back();
        return {false, {position}, {position}};
      }
      case GbnfNode::Kind::kSequence: {
        Part all;
        for (const GbnfNode& part : node.parts) append(all, add(part, depth + 1));
        return all;
      }
      case GbnfNode::Kind::kAlternatives: {
        Part any;
        any.nullable = false;
        for (const GbnfNode& part : node.parts) {
          Part one = add(part, depth + 1);
          any.nullable = any.nullable || one.nullable;
          any.first.insert(any.first.end(), one.first.begin(), one.first.end());
          any.last.insert(any.last.end(), one.last.begin(), one.last.end());
        }
        return any;
      }
      case GbnfNode::Kind::kRepeat:
        return repeat(node, depth);
      case GbnfNode::Kind::kRule:
        return add(grammar_.rules[node.rule], depth + 1);
    }
    return {};
  }

  Part repeat(const GbnfNode& node, std::size_t depth) {
    if (node.most && *node.most == 0) return {};
    const bool loops = !node.most || *node.most > kCopiesMax;
    const std::uint32_t copies = loops ? 1 : *node.most;
    Part all;
    for (std::uint32_t i = 0; i < copies; ++i) {
      Part one = add(node.parts.front(), depth + 1);
      if (loops) link(one.last, one.first);
      one.nullable = one.nullable || i >= node.least;
      append(all, std::move(one));
    }
    return all;
  }

  void append(Part& all, Part next) {
    link(all.last, next.first);
    if (all.nullable) all.first.insert(all.first.end(), next.first.begin(), next.first.end());
    if (next.nullable) next.last.insert(next.last.end(), all.last.begin(), all.last.end());
    all.last = std::move(next.last);
    all.nullable = all.nullable && next.nullable;
  }

  void link(const std::vector<std::size_t>& from, const std::vector<std::size_t>& to) {
    edges_ += from.size() * to.size();
    if (edges_ > kEdgesMax) throw TooLarge();
    for (const std::size_t position : from) {
      auto& follow = automaton_.follow[position];
      follow.insert(follow.end(), to.begin(), to.end());
    }
  }

  const Gbnf& grammar_;
  LexemeAutomaton automaton_;
  std::size_t edges_ = 0;
};

bool goes_on(const LexemeAutomaton& automaton, std::size_t position, const CharSet& characters) {
  return std::ranges::any_of(automaton.follow[position], [&](std::size_t next) {
    return intersect(automaton.characters[next], characters);
  });
}

}  // namespace

CharSet LexemeAutomaton::first_characters() const {
  std::vector<CharRange> all;
  for (const std::size_t position : first) {
    all.insert(all.end(), characters[position].begin(), characters[position].end());
  }
  return char_set(std::move(all));
}

std::optional<LexemeAutomaton> lexeme_automaton(const Gbnf& grammar, const GbnfNode& node) {
  try {
    return Builder(grammar).build(node);
  } catch (const TooLarge&) {
    return std::nullopt;
  }
}

std::optional<LexemeOverlap> overlap(const LexemeAutomaton& a, const CharSet& after_a,
                                     const LexemeAutomaton& b, const CharSet& after_b, std::size_t& steps) {
  LexemeOverlap found;
  std::vector<std::pair<std::size_t, std::size_t>> open;
  std::unordered_set<std::size_t> seen;
  // False when the steps are used up.
  const auto visit = [&](const std::vector<std::size_t>& of_a, const std::vector<std::size_t>& of_b) {
    for (const std::size_t p : of_a) {
      for (const std::size_t q : of_b) {
        if (steps == 0) return false;
        --steps;
        if (!intersect(a.characters[p], b.characters[q])) continue;
        if (seen.insert(p * b.characters.size() + q).second) open.emplace_back(p, q);
      }
    }
    return true;
  };
  if (!visit(a.first, b.first)) return std::nullopt;
  while (!open.empty()) {
    const auto [p, q] = open.back();
    open.pop_back();
    found.same_text = found.same_text || (a.last[p] && b.last[q]);
    if (a.last[p] && !found.second_goes_on) found.second_goes_on = goes_on(b, q, after_a);
    if (b.last[q] && !found.first_goes_on) found.first_goes_on = goes_on(a, p, after_b);
    if (!visit(a.follow[p], b.follow[q])) return std::nullopt;
  }
  return found;
}

}  // namespace kvasir::chat
