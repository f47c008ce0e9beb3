#include "chat/gbnf_loops.h"

#include <algorithm>
#include <utility>

namespace kvasir::chat {
namespace {

using Kind = GbnfNode::Kind;

bool refers_to(const GbnfNode& node, std::size_t rule) {
  if (node.kind == Kind::kRule) return node.rule == rule;
  return std::ranges::any_of(node.parts, [rule](const GbnfNode& part) { return refers_to(part, rule); });
}

// node = step rule | base (or rule step | base, where the rule stands at the left).
struct Split {
  std::optional<GbnfNode> step;
  std::optional<GbnfNode> base;
};

void add_alternative(std::optional<GbnfNode>& to, std::optional<GbnfNode> node) {
  if (!node) return;
  if (!to) {
    to = GbnfNode{Kind::kAlternatives};
  }
  to->parts.push_back(std::move(*node));
}

// Nothing where the rule stands elsewhere too.
std::optional<Split> split(const GbnfNode& node, std::size_t rule, bool at_right) {
  if (node.kind == Kind::kRule && node.rule == rule) return Split{GbnfNode(), std::nullopt};
  if (!refers_to(node, rule)) return Split{std::nullopt, node};
  if (node.kind == Kind::kSequence) {
    const std::size_t end = at_right ? node.parts.size() - 1 : 0;
    for (std::size_t i = 0; i < node.parts.size(); ++i) {
      if (i != end && refers_to(node.parts[i], rule)) return std::nullopt;
    }
    std::optional<Split> of_end = split(node.parts[end], rule, at_right);
    if (!of_end) return std::nullopt;
    for (std::optional<GbnfNode>* part : {&of_end->step, &of_end->base}) {
      if (!*part) continue;
      GbnfNode sequence = node;
      sequence.parts[end] = std::move(**part);
      *part = std::move(sequence);
    }
    return of_end;
  }
  Split all;
  if (node.kind == Kind::kAlternatives) {
    for (const GbnfNode& part : node.parts) {
      std::optional<Split> one = split(part, rule, at_right);
      if (!one) return std::nullopt;
      add_alternative(all.step, std::move(one->step));
      add_alternative(all.base, std::move(one->base));
    }
    return all;
  }
  // Of repetitions, only the optional part.
  if (node.kind != Kind::kRepeat || node.least != 0 || node.most != 1U) return std::nullopt;
  std::optional<Split> once = split(node.parts.front(), rule, at_right);
  if (!once) return std::nullopt;
  add_alternative(all.base, std::move(once->base));
  add_alternative(all.base, GbnfNode());
  all.step = std::move(once->step);
  return all;
}

void collect_rules(const GbnfNode& node, std::vector<std::size_t>& rules) {
  if (node.kind == Kind::kRule) rules.push_back(node.rule);
  for (const GbnfNode& part : node.parts) collect_rules(part, rules);
}

bool ends(const GbnfNode& node, const std::vector<bool>& ending) {
  const auto part_ends = [&](const GbnfNode& part) { return ends(part, ending); };
  switch (node.kind) {
    case Kind::kCharacter:
      return true;
    case Kind::kRule:
      return ending[node.rule];
    case Kind::kRepeat:
      return node.least == 0 || part_ends(node.parts.front());
    case Kind::kSequence:
      return std::ranges::all_of(node.parts, part_ends);
    case Kind::kAlternatives:
      break;
  }
  return std::ranges::any_of(node.parts, part_ends);
}

}  // namespace

bool ends(const Gbnf& grammar) {
  std::vector<bool> ending(grammar.rules.size());
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t rule = 0; rule < grammar.rules.size(); ++rule) {
      if (ending[rule] || !ends(grammar.rules[rule], ending)) continue;
      ending[rule] = true;
      changed = true;
    }
  }
  return ending[grammar.root];
}

void write_loops(Gbnf& grammar) {
  for (std::size_t rule = 0; rule < grammar.rules.size(); ++rule) {
    GbnfNode& body = grammar.rules[rule];
    if (!refers_to(body, rule)) continue;
    for (const bool at_right : {true, false}) {
      std::optional<Split> found = split(body, rule, at_right);
      if (!found || !found->step || !found->base) continue;
      GbnfNode loop{Kind::kRepeat};
      loop.least = 0;
      loop.parts.push_back(std::move(*found->step));
      GbnfNode whole;
      whole.parts.push_back(std::move(loop));
      whole.parts.insert(at_right ? whole.parts.end() : whole.parts.begin(), std::move(*found->base));
      body = std::move(whole);
      break;
    }
  }
}

std::vector<bool> regular_rules(const Gbnf& grammar) {
  std::vector<bool> regular(grammar.rules.size());
  std::vector<std::size_t> waits_for(grammar.rules.size());
  std::vector<std::vector<std::size_t>> used_by(grammar.rules.size());
  std::vector<std::size_t> ready;
  for (std::size_t rule = 0; rule < grammar.rules.size(); ++rule) {
    std::vector<std::size_t> used;
    collect_rules(grammar.rules[rule], used);
    waits_for[rule] = used.size();
    for (const std::size_t other : used) used_by[other].push_back(rule);
    if (used.empty()) ready.push_back(rule);
  }
  while (!ready.empty()) {
    const std::size_t rule = ready.back();
    ready.pop_back();
    regular[rule] = true;
    for (const std::size_t user : used_by[rule]) {
      if (--waits_for[user] == 0) ready.push_back(user);
    }
  }
  return regular;
}

bool is_regular(const GbnfNode& node, const std::vector<bool>& regular) {
  if (node.kind == Kind::kRule) return regular[node.rule];
  return std::ranges::all_of(node.parts, [&](const GbnfNode& part) { return is_regular(part, regular); });
}

}  // namespace kvasir::chat
