#pragma once
// The kernels driven over rows and threads: what a model family's file is written with.
//
// All matrices of activations are row-major (tokens, features). Every result depends on its own row's inputs
// only.

#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "models/model.h"

namespace kvasir::models {

// Activation rows, with their int8 form once quantised. Grows, never shrinks.
class Rows {
 public:
  // Room for `tokens` rows of `columns`; contents are undefined afterwards.
  void resize(std::size_t tokens, std::size_t columns);
  // Quantised with two planes (about 15 bits) instead of one (8 bits). Set before resize().
  void set_precise(bool precise) { precise_ = precise; }
  float* row(std::size_t t) { return floats_.as<float>().data() + t * columns_; }
  float* data() { return row(0); }
  std::size_t tokens() const { return tokens_; }
  std::size_t columns() const { return columns_; }
  const kernels::QuantizedRows& quantized() const { return quantized_; }

 private:
  std::size_t tokens_ = 0;
  std::size_t columns_ = 0;
  bool precise_ = false;
  AlignedBuffer floats_;
  AlignedBuffer bytes_;
  kernels::QuantizedRows quantized_;
};

// One y = W x (+ bias) of a set that shares x.
struct Linear {
  const kernels::PackedMatrix* weight = nullptr;
  kernels::MatmulOutput out;
};

class Ops {
 public:
  Ops(ThreadPool& pool, const kernels::KernelTable& table);

  // Attention in bf16 where the kernels have it (docs/decisions/0009-bf16-attention.md); in f32 otherwise.
  void set_bf16_attention(bool on) {
    attend_ = on && table_.attention_segment_bf16 != nullptr ? table_.attention_segment_bf16
                                                             : table_.attention_segment;
  }

  // Quantises rows of x in place of their int8 form; x must have been written.
  void quantize(Rows& x);
  // out row t = rms_norm(x row t) * weight, then quantised.
  void norm(Rows& x, std::span<const float> weight, float epsilon, Rows& out);
  // gate row t = silu(gate row t) * up row t, then quantised.
  void silu_mul(Rows& gate, Rows& up);
  // All products of one x in one pass over the threads. x is quantised already.
  void linear(std::span<const Linear> products, Rows& x);

  // Rotary embedding: (tokens, head_dim / 2) tables for the positions of the batch.
  void rope_tables(const Batch& batch, const ModelConfig& config, std::span<const float> factors);
  // Rotates q (tokens, heads * head_dim) and k, scales q by 1/sqrt(head_dim), and writes k and v into the KV
  // blocks.
  void rope_and_store(const Batch& batch, const ModelConfig& config, bool interleaved, std::size_t layer,
                      Rows& q, Rows& k, Rows& v);
  // out (tokens, heads * head_dim), quantised.
  void attention(const Batch& batch, const ModelConfig& config, std::size_t layer, Rows& q, Rows& out);
  // Calls f(t) for every t < count, on all threads.
  template <class F>
  void each(std::size_t count, const F& f) {
    const std::size_t chunk = count / (pool_.size() * 4) + 1;
    pool_.parallel_for(count, chunk, [&](std::size_t begin, std::size_t end, std::size_t) {
      for (std::size_t i = begin; i < end; ++i) f(i);
    });
  }

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
  void plan_attention(const Batch& batch, const ModelConfig& config);
  void run_unit(const Unit& unit, const Batch& batch, const ModelConfig& config, std::size_t layer, Rows& q,
                Rows& out, std::byte* scratch);
  std::byte* scratch(std::size_t worker, std::size_t bytes);

  ThreadPool& pool_;
  const kernels::KernelTable& table_;
  decltype(kernels::KernelTable::attention_segment) attend_;
  std::vector<AlignedBuffer> scratch_;  // one a thread
  std::vector<float> cos_;
  std::vector<float> sin_;
  std::vector<Unit> units_;
  std::vector<Unit> joins_;
  std::vector<float> split_states_;
};

}  // namespace kvasir::models
