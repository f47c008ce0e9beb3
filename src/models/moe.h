#pragma once
// The mixture of experts of one layer: routing, and the experts' feed-forward blocks over the tokens that
// chose them.
//
// Tokens are gathered by expert, so that an expert's weights are read once a batch; a token's sum adds its
// experts in the order in which the router ranked them, whoever its batch mates are.

#include <cstdint>
#include <span>
#include <vector>

#include "models/description.h"
#include "models/ops.h"

namespace kvasir::models {

struct ExpertWeights {
  kernels::PackedMatrix router;  // (count, width)
  std::vector<float> router_bias;
  std::vector<float> selection_bias;             // (count)
  std::vector<kernels::PackedMatrix> gate, up;   // count of (hidden, width)
  std::vector<kernels::PackedMatrix> down;       // count of (width, hidden)
  std::vector<float> gate_bias, up_bias;         // (count, hidden) or empty
  std::vector<float> down_bias;                  // (count, width) or empty
  kernels::PackedMatrix shared_gate, shared_up;  // (shared_hidden, width)
  kernels::PackedMatrix shared_down;             // (width, shared_hidden)
  kernels::PackedMatrix shared_router;           // (1, width), or empty
};

// An expert that a token has chosen.
struct Choice {
  std::uint32_t expert = 0;
  float weight = 0;
};

// Floats of scratch that choose_experts() wants.
constexpr std::size_t choice_scratch(const Experts& experts) {
  return 2 * experts.count + experts.used + experts.groups;
}
// The choices of one token (experts.used), best first, from the router's logits (experts.count). Of equals
// the first is taken. Allocates nothing.
void choose_experts(const Experts& experts, std::span<const float> logits,
                    std::span<const float> selection_bias, std::span<float> scratch, std::span<Choice> out);

class MixtureOfExperts {
 public:
  // `precise_input`: x has two planes (Rows::set_precise); `precise`: what the experts' last matrix works on.
  MixtureOfExperts(Ops& ops, const Description& description, bool precise_input, bool precise);

  // out (tokens, width) = what the experts make of x, which is quantised. Allocates nothing but to grow for
  // more tokens than before.
  void forward(const ExpertWeights& weights, Rows& x, Rows& out);

 private:
  void route(const ExpertWeights& weights, Rows& x);
  void gather(Rows& x);
  void run_experts(const ExpertWeights& weights);
  void run_shared(const ExpertWeights& weights, Rows& x);

  Ops& ops_;
  const Experts& e_;
  Activation activation_;
  Rows logits_, gathered_, gate_, up_, down_, shared_gate_, shared_up_, shared_down_, shared_logit_;
  std::vector<Choice> choices_;       // (tokens, used)
  std::vector<std::uint32_t> begin_;  // (count + 1): where an expert's rows begin in gathered_
  std::vector<std::uint32_t> next_;   // (count): scratch of gather()
  std::vector<std::uint32_t> slot_;   // (tokens, used): the row of a choice in gathered_
  std::vector<Linear> products_;
};

}  // namespace kvasir::models
