#pragma once
// A model: config and packed weights -> forward pass. A family's file (llama.cpp, qwen3.cpp, ...) describes
// its graph; decoder.h computes it.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "base/types.h"
#include "kernels/kernels.h"
#include "models/part_times.h"
#include "weights/checkpoint.h"

namespace kvasir::models {

struct ModelConfig {
  std::string family;  // general.architecture
  std::size_t layers = 0;
  std::size_t width = 0;   // d_model
  std::size_t hidden = 0;  // of the plain feed-forward block; 0 where every layer has experts
  std::size_t heads = 0;
  std::size_t kv_heads = 0;   // divides heads
  std::size_t head_dim = 0;   // of queries and keys
  std::size_t value_dim = 0;  // of values
  std::size_t kv_layers = 0;  // layers with attention; the others are recurrent
  std::size_t vocab = 0;
  std::size_t context = 0;         // tokens that the model was trained for
  std::size_t served_context = 0;  // the longest that will be asked for
  float norm_epsilon = 0;
  kernels::KvType kv_type = kernels::KvType::kF16;  // chosen by who loads the model

  // Of K and V of one layer and KV head.
  kernels::KvHeadLayout kv_layout() const { return kernels::kv_head_layout(kv_type, head_dim, value_dim); }
  std::size_t kv_head_block_bytes() const { return kv_layout().bytes; }
  // At least as large as any one part of a state, which lies in such blocks too.
  std::size_t kv_block_bytes() const {
    return std::max({kv_layers * kv_heads * kv_head_block_bytes(), conv_state_bytes, head_state_bytes});
  }

  // What the recurrent layers keep of all tokens so far; 0 where there are none.
  std::size_t state_layers = 0;
  std::size_t conv_state_bytes = 0;  // of a layer: the last inputs of its convolution
  std::size_t state_heads = 0;       // of a layer
  std::size_t head_state_bytes = 0;  // of one of them
  std::size_t state_blocks() const;  // KV blocks that a sequence's state takes
};

// Where the parts of a state lie in its blocks; none straddles two.
struct StatePlace {
  std::size_t block = 0;  // index among the state's blocks
  std::size_t offset = 0;
};
// (state_layers, 1 + state_heads): of each layer its convolution's part, then its heads'.
std::vector<StatePlace> state_places(const ModelConfig& config);

// A run of tokens of one sequence; the executor boundary (executor/executor.h) documents the fields.
struct Span {
  std::span<const TokenId> tokens;
  std::uint32_t start = 0;
  std::span<const BlockId> blocks;
  std::uint32_t logits_rows = 0;
  std::span<const BlockId> state_in = {};
  std::span<const BlockId> state_out = {};
};

struct Batch {
  std::span<const Span> spans;
  std::byte* kv_base = nullptr;  // block i at kv_base + i * config.kv_block_bytes(); [layer with
                                 // attention][kv head]{K, V} inside
  std::span<float> logits;       // (sum of logits_rows, vocab)
  const std::atomic<bool>* interrupt = nullptr;  // looked at between layers
};

// How activations are quantised for matrix products.
enum class Precision {
  kAuto,      // kHigh for models that lose most by 8 bits and can best afford 15: those of few weights
  kStandard,  // 8 bits, and 15 where it is cheap and matters most; attention in bf16 where the CPU has it
  kHigh,      // 15 bits everywhere, attention in f32: logits as of f32 activations
};

class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelConfig& config() const = 0;
  virtual std::size_t weight_bytes() const = 0;  // resident, packed
  virtual Precision precision() const = 0;       // kStandard or kHigh
  // Weights that every read token is multiplied with (not the output layer's).
  virtual double matrix_weights() const = 0;
  virtual std::size_t activation_bytes_per_token() const = 0;  // of the tokens in a step
  // Names what the same weights may compute differently by how they were loaded; empty where nothing does. KV
  // of one is not the other's.
  virtual std::string variant() const = 0;
  // One thread at a time. Token ids, positions and block tables must be valid: the executor has checked them.
  // False when it was interrupted; KV in front of every span is then as it was. Not looked at by models with
  // a state, which may be updated in place.
  virtual bool forward(const Batch& batch) = 0;
};

struct LoadOptions {
  ThreadPool* pool = nullptr;                     // not owned; outlives the model
  const kernels::KernelTable* kernels = nullptr;  // null: kernels::kernels()
  Precision precision = Precision::kAuto;
  kernels::KvType kv_type = kernels::KvType::kF16;
  std::function<void(double)> progress;  // 0..1, on the calling thread; may be empty
  // Called with a tensor of the file before a weight of it is read, on the calling thread, at least once for
  // each that is read; may be empty.
  std::function<void(const weights::TensorInfo&)> before_tensor;
  // Set by another thread to give up: kCancelled. Null: never.
  const std::atomic<bool>* stop = nullptr;
  std::size_t context = 0;  // the longest that will be asked for; 0: the model's own
  // Gets what every forward pass takes, as it goes; outlives the model. Null: nothing is measured.
  PartTimes* times = nullptr;
  // No weight is read: all checks are made and sizes are told, but the model must not run.
  bool measure_only = false;
};

// Reads a model of any supported family. Everything that a file can lie about (missing or misshaped tensors,
// absurd hyper-parameters) is one clear kCorruptData, everything that this build does not compute (unknown
// families, tensors of a variant) one clear kUnsupported that names it, both before weights are read. The
// file stays mapped while it is used.
Result<std::unique_ptr<Model>> load_model(std::shared_ptr<const weights::Checkpoint> file,
                                          const LoadOptions& options);
// The checks of load_model that need no tensors: family and hyper-parameters.
Result<ModelConfig> read_config(const weights::Checkpoint& file);

}  // namespace kvasir::models
