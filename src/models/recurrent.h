#pragma once
// Layers that keep a state of fixed size instead of keys and values: short convolutions (LFM2), Mamba 2
// (Granite 4) and gated delta nets (Qwen3-Next).
//
// A span reads the state after the tokens before it from its state_in blocks, all zeros at a sequence's
// start, and leaves the state after its last token in its state_out blocks, which may be the same. Within a
// span, tokens are computed one after the other, so the bits do not depend on how a sequence was cut.

#include <cstddef>
#include <vector>

#include "models/description.h"
#include "models/ops.h"

namespace kvasir::models {

// Empty where the kind has no such thing.
struct RecurrentWeights {
  kernels::PackedMatrix in;      // (channels or 3 channels, width): what is convolved
  kernels::PackedMatrix gate;    // (inner, width)
  kernels::PackedMatrix step;    // (heads, width); both kinds of rows where `rate` is empty
  kernels::PackedMatrix rate;    // (heads, width)
  std::vector<float> conv;       // (taps, channels); in the file (channels, taps)
  std::vector<float> conv_bias;  // (channels)
  std::vector<float> step_bias;  // (heads)
  std::vector<float> decay;      // (heads): a step's rate of decay, negative
  std::vector<float> skip;       // (heads)
  std::vector<float> norm;       // (inner) or (value_dim)
};

class RecurrentForward {
 public:
  // All are borrowed and outlive this. `precise`: of what forward() returns.
  RecurrentForward(Ops& ops, const Description& description, bool precise);

  // (tokens, inner), quantised: what the layer's last matrix works on. x is quantised. Valid until the next
  // call.
  Rows& forward(const Batch& batch, std::size_t layer, const RecurrentWeights& weights, Rows& x);
  std::size_t activation_floats_per_token() const;

 private:
  // Where a span's state of one part lies; the old one has been copied there or made zero.
  float* state(const Batch& batch, const Span& span, std::size_t layer, std::size_t part) const;
  void convolve(const Batch& batch, std::size_t layer, const RecurrentWeights& w);
  void short_conv(const Batch& batch, std::size_t layer, const RecurrentWeights& w, Rows& x);
  void mamba2(const Batch& batch, std::size_t layer, const RecurrentWeights& w, Rows& x);
  void delta_net(const Batch& batch, std::size_t layer, const RecurrentWeights& w, Rows& x);
  void run_heads(const Batch& batch, std::size_t layer, const RecurrentWeights& w);
  kernels::RecurrenceInput head_input(std::size_t row, std::size_t head, const RecurrentWeights& w);

  Ops& ops_;
  const Description& d_;
  const Recurrence& r_;
  const std::vector<StatePlace> places_;
  Rows mixed_, gate_, step_, rate_, out_;
  std::vector<float> decay_;     // (tokens, heads)
  std::vector<float> rates_;     // (tokens, heads)
  std::vector<float> key_norm_;  // (key_dim)
  std::vector<float> query_norm_;
};

}  // namespace kvasir::models
