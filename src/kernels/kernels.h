#pragma once
// The kernels: SIMD maths on raw spans. They know no model, no file and no thread; src/models drives them.
//
// One KernelTable a instruction set, all compiled from the same generic source over thin primitives, so that
// every table gives the same bits: integer dots are exact, float steps are explicit FMAs in a fixed order,
// lanes own outputs. Attention in bf16 alone is a variant's own.
// KVASIR_KERNEL=scalar|avx2|avxvnni|avx512vnni|avx512bf16|avx512amx|neon forces one.
//
// Shapes are in the comments; all pointers must be aligned for their element type only. Functions are pure
// and may be called from any number of threads on disjoint outputs.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/types.h"
#include "kernels/kv_type.h"
#include "kernels/packed.h"

namespace kvasir::kernels {

// A sum of fewer than 2^22 either way that starts here is, its bits read as a float, kFloatSumBase more than
// it is: no instruction is needed to convert it.
inline constexpr std::int32_t kSumBase = 0x4B400000;
inline constexpr float kFloatSumBase = 12582912;

// A row of activations as integers with a scale per block of 32: x = scale * q. q is one int8 plane, or,
// where the model asks for precision, two: q = 128 * high + low. Row t of a matrix of tokens is at base + t *
// stride of each array.
struct QuantizedRows {
  std::int8_t* q = nullptr;     // (tokens, K): the only plane, or the high one
  std::int8_t* low = nullptr;   // (tokens, K), or null for one plane
  float* scale = nullptr;       // (tokens, K / 32)
  float* scaled_sum = nullptr;  // (tokens, K / 32): scale * sum of q, what an affine minimum is multiplied by
  std::int32_t* shift = nullptr;    // (tokens, K / 16): kSumBase - 128 * sum of q over 16 k
  std::int32_t* shift32 = nullptr;  // (tokens, K / 32): the same over 32 k
  std::size_t k = 0;
};

// y (tokens, rows) with row stride y_stride. What is done with a product before it is stored.
struct MatmulOutput {
  float* y = nullptr;
  std::size_t y_stride = 0;
  const float* bias = nullptr;  // (rows) or null
  bool accumulate = false;      // add to what y holds (residual connections)
  std::size_t first_row = 0;    // of W: the one whose products are column 0 of y
};

// Attention of one KV head over a paged cache; kv_type.h says what is in a KV block.
struct AttentionInput {
  const float* q = nullptr;        // (query rows, head_dim), rotated, already multiplied by the softmax scale
  std::size_t q_token_stride = 0;  // floats between the same head of consecutive tokens
  std::size_t q_head_stride = 0;   // floats between consecutive query heads of this KV head
  std::size_t tokens = 0;
  std::size_t heads = 0;       // query heads that share this KV head
  std::uint32_t position = 0;  // of the first token; token t sees keys [0, position + t]
  std::size_t head_dim = 0;    // of queries and keys: a multiple of 16, at most kMaxHeadDim
  std::size_t value_dim = 0;   // of values: the same
  std::size_t window = 0;      // token t sees its last `window` keys, its own included; 0: all
  float soft_cap = 0;          // scores s become soft_cap * tanh(s / soft_cap); 0: they stay
  KvType kv_type = KvType::kF16;
  const std::byte* kv_base = nullptr;
  std::size_t kv_block_bytes = 0;
  std::size_t kv_offset = 0;  // of this layer and head inside a block
  std::span<const BlockId> blocks;
};

// A causal convolution over the last `taps` tokens, each channel by itself, and its state: y[t] = bias +
// sum over j of weight[j] * u[t - taps + 1 + j], u = x or x * in_gate; then silu where asked, then times
// out_gate. All rows are `channels` long; x and both gates have row stride x_stride. out may alias x.
struct ConvInput {
  const float* x = nullptr;         // (tokens, channels)
  const float* in_gate = nullptr;   // (tokens, channels) or null
  const float* out_gate = nullptr;  // (tokens, channels) or null
  std::size_t x_stride = 0;
  std::size_t tokens = 0;
  std::size_t channels = 0;  // a multiple of 16
  std::size_t taps = 0;      // 2 to kMaxTaps
  bool silu = false;
  const float* weight = nullptr;  // (taps, channels), row stride channel_stride
  const float* bias = nullptr;    // (channels) or null
  float* state = nullptr;         // (taps - 1, channels), row stride channel_stride: u before, and then after
  std::size_t channel_stride = 0;
  float* out = nullptr;  // (tokens, channels), row stride out_stride
  std::size_t out_stride = 0;
};
inline constexpr std::size_t kMaxTaps = 8;

// One head of a linear recurrence, token by token in order. state: (rows, columns), updated in place; lanes
// own its columns and walk its rows in order. `columns` is a multiple of 16.
struct RecurrenceInput {
  std::size_t tokens = 0;
  std::size_t rows = 0;          // of a key and a query
  std::size_t columns = 0;       // of a value and an output
  const float* key = nullptr;    // (tokens, rows)
  const float* query = nullptr;  // (tokens, rows)
  const float* value = nullptr;  // (tokens, columns)
  std::size_t key_stride = 0;    // of key and query
  std::size_t value_stride = 0;
  const float* decay = nullptr;  // (tokens): the state is multiplied by it
  const float* rate = nullptr;   // (tokens): what is written is multiplied by it
  std::size_t scalar_stride = 0;
  float skip = 0;  // scan alone: out += skip * value
  float* state = nullptr;
  float* out = nullptr;  // (tokens, columns)
  std::size_t out_stride = 0;
};

// Keys are reduced in order inside fixed segments of blocks, segments left to right: the order does not
// depend on who computes what.
inline constexpr std::size_t kSegmentBlocks = 8;
inline constexpr std::size_t kMaxHeadDim = 576;  // DeepSeek's latent keys: 512 and 64 rotated

// The softmax state of one query row over some run of keys: maximum, sum of exp, weighted values.
// Layout in memory: [m, l, unused x 14, o[value_dim]] floats.
constexpr std::size_t attention_state_floats(std::size_t value_dim) {
  return 16 + value_dim;
}

// Up to so many tokens (half as many of two planes) are multiplied with about so many blocks of a few groups
// at a time.
inline constexpr std::size_t kPartTokens = 64;
inline constexpr std::size_t kPartBlocks = 16;

// Bytes of scratch that matmul and attention need per thread.
std::size_t matmul_scratch_bytes(std::size_t k);
// Of which an unpacked group of rows takes: per block of 32 k its bytes, and at most two scales and two
// minima.
constexpr std::size_t matmul_panel_bytes(std::size_t k) {
  return k / kBlockK * (512 + 4 * kGroupRows * sizeof(float));
}
// Groups of rows that a matmul of many tokens unpacks at a time, so that a token's row is read once for all
// of them: as many as stay in a second-level cache, with room for the tokens.
constexpr std::size_t matmul_panels(std::size_t k) {
  return std::clamp<std::size_t>(std::size_t{768} * 1024 / matmul_panel_bytes(k), 2, 8);
}
std::size_t attention_scratch_bytes(std::size_t rows, std::size_t head_dim, std::size_t value_dim);

struct KernelTable {
  std::string_view name;

  // out = x * rsqrt(mean(x^2) + eps) * weight; all (n), n a multiple of 16. out may alias x.
  void (*rms_norm)(const float* x, const float* weight, float eps, std::size_t n, float* out);
  // Quantises row `row` of `out` from x (out.k).
  void (*quantize)(const float* x, const QuantizedRows& out, std::size_t row);
  // The same of a part of the row: its blocks from `first` on, `count` of them, from x (count * 32).
  void (*quantize_blocks)(const float* x, const QuantizedRows& out, std::size_t row, std::size_t first,
                          std::size_t count);
  // Rows [first_group * 16, last_group * 16) of W times `tokens` rows of x. `scratch` is per thread.
  void (*matmul)(const PackedMatrix& w, std::size_t first_group, std::size_t last_group,
                 const QuantizedRows& x, std::size_t tokens, const MatmulOutput& out, std::byte* scratch);
  // The same for unquantised W; x (tokens, K) floats with row stride x_stride.
  void (*matmul_float)(const PackedMatrix& w, std::size_t first_group, std::size_t last_group, const float* x,
                       std::size_t x_stride, std::size_t tokens, const MatmulOutput& out);
  // Gated activations: out = f(gate) * up, all (n), n a multiple of 16. out may alias either.
  // f = silu.
  void (*silu_mul)(const float* gate, const float* up, std::size_t n, float* out);
  // f = gelu by its tanh form (Hendrycks and Gimpel, 2016).
  void (*gelu_mul)(const float* gate, const float* up, std::size_t n, float* out);
  // gpt-oss: g = min(gate, limit), u = up clamped to +-limit; out = g * sigmoid(alpha * g) * (u + 1).
  void (*clamped_swiglu)(const float* gate, const float* up, float alpha, float limit, std::size_t n,
                         float* out);
  // out = sigmoid(gate) * up, all (n), n a multiple of 16. out may alias either.
  void (*sigmoid_mul)(const float* gate, const float* up, std::size_t n, float* out);
  // Rotates one head, or its first `head_dim` dimensions, in place. x: (head_dim), cos and sin: (head_dim /
  // 2).
  void (*rope_neox)(float* x, const float* cos, const float* sin,
                    std::size_t head_dim);  // pairs (i, i + d/2)
  void (*rope_interleaved)(float* x, const float* cos, const float* sin,
                           std::size_t head_dim);  // pairs (2i, 2i + 1)
  void (*scale)(float* x, float factor, std::size_t n);
  // x += factor * y, all (n), n a multiple of 16.
  void (*add_scaled)(float* x, const float* y, float factor, std::size_t n);
  // x = cap * tanh(x / cap), x (n), any n.
  void (*soft_cap)(float* x, float cap, std::size_t n);
  // Writes one token's k (head_dim) and v (value_dim) into place `slot` of a KV block of this layer and head.
  void (*store_kv)(KvType type, const float* k, const float* v, std::size_t head_dim, std::size_t value_dim,
                   std::size_t slot, std::byte* block);
  // States of all rows (tokens x heads, token-major) over the keys of blocks [first_block, last_block), which
  // lie in one segment. Rows that see none of them get the empty state (l = 0).
  void (*attention_segment)(const AttentionInput& in, std::size_t first_block, std::size_t last_block,
                            float* states, std::byte* scratch);
  // The same with keys, values, queries and weights rounded to bf16 and sums in f32, in half the time. Null
  // where the instruction set has no bf16 dot: then there is nothing to gain.
  void (*attention_segment_bf16)(const AttentionInput& in, std::size_t first_block, std::size_t last_block,
                                 float* states, std::byte* scratch) = nullptr;
  // into = into (+) next, for one row.
  void (*attention_merge)(float* into, const float* next, std::size_t value_dim);
  // out (value_dim) = state.o / state.l.
  void (*attention_finish)(const float* state, std::size_t value_dim, float* out);

  void (*convolve)(const ConvInput& in);
  // Mamba 2 (Dao and Gu, 2024): S = decay S + key (rate value)^T; out = S^T query + skip value.
  void (*scan)(const RecurrenceInput& in);
  // The gated delta rule (Yang et al., 2024): S = decay S, then S += key (rate (value - S^T key))^T; out =
  // S^T query.
  void (*delta_rule)(const RecurrenceInput& in);

  // The machine's limits, for benchmarks. Reads `bytes` (a multiple of 64) once; the result depends on all of
  // them.
  std::uint8_t (*read_bytes)(const std::byte* data, std::size_t bytes);
  // `rounds` int8 dots of 64 products each (128 operations), in independent chains, from registers.
  std::int32_t (*dot_bytes)(std::size_t rounds);
  // `rounds` multiply-adds of 16 floats each (32 operations), in independent chains, from registers.
  float (*fma_floats)(std::size_t rounds);
  // `rounds` bf16 dots of 32 products each (64 operations), in independent chains, from registers. Null where
  // there is none.
  float (*dot_pairs)(std::size_t rounds) = nullptr;
};

// The table that this process uses: KVASIR_KERNEL, else the best that the CPU runs. Decided once; an unknown
// or unsupported name in KVASIR_KERNEL ends the process with one clear line.
const KernelTable& kernels();
// Every table that this CPU can run, "scalar" first, best last.
std::span<const KernelTable* const> available_kernels();

}  // namespace kvasir::kernels
