#pragma once
// Attention over the KV pages of a batch: rotation, storing, and the softmax over what each token sees.

#include <cstddef>
#include <span>
#include <vector>

#include "models/description.h"
#include "models/ops.h"

namespace kvasir::models {

// What one layer's attention works with, besides the description.
struct AttentionLayer {
  std::size_t index = 0;
  std::span<const float> q_norm;  // by Description::qk_norm, or empty
  std::span<const float> k_norm;
  std::span<const float> sinks;  // (heads) or empty
};

class Attention {
 public:
  // All are borrowed and outlive this.
  Attention(Ops& ops, const Description& description);

  // In bf16 where the kernels have it (docs/decisions/0009-bf16-attention.md); in f32 otherwise.
  void set_bf16(bool on);

  // Once for each batch, before the others: rotation tables, and who computes what.
  void begin(const Batch& batch);
  // Norms and rotates q (tokens, heads * head_dim) and k, scales q, and writes k and v into the KV blocks.
  void store(const Batch& batch, const AttentionLayer& layer, Rows& q, Rows& k, Rows& v);
  // Writes k and v as they are. They may be the same rows, of which values are the first dimensions.
  void write(const Batch& batch, const AttentionLayer& layer, Rows& k, Rows& v);
  // out (tokens, heads * value_dim), quantised.
  void attend(const Batch& batch, const AttentionLayer& layer, Rows& q, Rows& out);

  // Rotates the first dimensions of x, which is at the batch's row `row`, by the layer's rope.
  void rotate(const LayerDescription& layer, std::size_t row, float* x) const;
  // What the queries of position `position` are multiplied by.
  float query_scale(std::size_t position) const;

 private:
  // A run of tokens of one span for one KV head, over the segments [first_segment, last_segment). A split
  // unit leaves its states at split_states_ + states; a join merges `parts` consecutive units' states and
  // finishes the rows.
  struct Unit {
    const Span* span = nullptr;
    std::size_t row = 0;  // of the span's first token in the batch
    std::size_t kv_head = 0;
    std::size_t first_token = 0;
    std::size_t tokens = 0;
    std::size_t first_segment = 0;
    std::size_t last_segment = 0;
    bool split = false;
    std::size_t states = 0;
    std::size_t parts = 0;
  };
  // The units of layers with one window.
  struct Plan {
    std::size_t window = 0;
    std::vector<Unit> units;
    std::vector<Unit> joins;
    // Units are of a segment each, and a thread reads those of a sequence one after the other.
    bool in_runs = false;
  };
  // cos and sin of one rope, (tokens, dimensions / 2) each.
  struct Table {
    std::vector<float> cos;
    std::vector<float> sin;
  };
  void write_token(const Batch& batch, const Span& span, std::size_t token, std::size_t place, const float* k,
                   const float* v) const;
  void fill_table(const Batch& batch, const Rope& rope, Table& table);
  std::size_t plan(const Batch& batch, Plan& plan);
  void run_unit(const Unit& unit, const Batch& batch, const AttentionLayer& layer, Rows& q, Rows& out,
                std::byte* scratch);
  void join(const Unit& join, const AttentionLayer& layer, float* sink_state, Rows& out);
  void finish(const AttentionLayer& layer, std::size_t head, float* state, float* sink_state, float* out);
  const Plan& plan_of(std::size_t layer) const;
  void count_work(const Batch& batch, std::size_t window, PartTimes& times) const;
  std::size_t unit_tokens() const;
  std::size_t group() const { return d_.config.heads / d_.config.kv_heads; }

  Ops& ops_;
  const kernels::KernelTable& table_;
  const Description& d_;
  decltype(kernels::KernelTable::attention_segment) attend_;
  std::vector<Table> tables_;  // (ropes)
  std::vector<Plan> plans_;    // one for each window that a layer has
  std::vector<float> split_states_;
};

}  // namespace kvasir::models
