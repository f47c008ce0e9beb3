#pragma once
// The executor boundary: tokens in, logits out. Everything above drives an Executor and does not know which
// one runs.
//
// Implementations: `native` (our CPU kernels, exact), `scripted` (plays given text, for tests and
// demonstrations). Promise 1: where describe().exact, the logits at a token depend on the model and the
// tokens before it and on nothing else: not on batch mates, on how the prompt was cut into spans, on threads,
// nor on which physical blocks were used.

#include <atomic>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/types.h"
#include "kv/block_layout.h"

namespace kvasir::executor {

struct Description {
  std::string family;  // "qwen2", "llama", "scripted", ...
  std::uint32_t layers = 0;
  std::size_t vocab_size = 0;          // length of a logits row
  std::uint32_t context_length = 0;    // the model's own limit, in tokens
  std::size_t kv_bytes_per_block = 0;  // bytes that one block of kBlockTokens tokens takes, over all layers
  kv::BlockLayout kv_layout;           // which of these bytes belong to which of the block's tokens
  // Blocks of the same size that the state of a recurrent model takes for each sequence: what its layers keep
  // of all tokens so far, besides the KV of its other layers. 0: all that a model keeps is KV.
  std::uint32_t state_blocks = 0;
  double matrix_weights =
      0;  // weights that every read token is multiplied with, 2 operations each (not the output layer's)
  std::size_t weight_bytes = 0;  // resident bytes of the packed weights
  std::size_t mapped_bytes = 0;  // of the model's file, that become resident as they are looked up
  std::size_t activation_bytes_per_token = 0;  // of the tokens in a step
  std::string kernel_variant;                  // for example "avx512vnni"; part of the cache's root key
  std::string precision;                       // "standard" or "high"; part of the cache's root key
  std::string kv_type;                         // "f16", "bf16", "q8"; part of the cache's root key
  std::string weights_id;                      // hash that names the weights; part of the cache's root key
  std::uint32_t rounding_version =
      0;  // bumped when the same tokens give other bits; part of the cache's root key
  bool exact = false;
};

// KV memory owned by the caller (kv::BlockPool). Block i occupies [base + i * block_bytes, + block_bytes).
// What is inside a block is the executor's own; it never reads places past the tokens written.
struct KvStorage {
  std::byte* base = nullptr;
  std::size_t block_bytes = 0;
};

// A run of tokens of one sequence, to be read in this step.
struct SequenceSpan {
  std::span<const TokenId> tokens;  // not empty
  std::uint32_t start = 0;  // position of tokens[0] = tokens of this sequence whose KV is already in `blocks`
  std::span<const BlockId>
      blocks;  // block table, at least ceil((start + tokens.size()) / kBlockTokens) entries.
               // Blocks that this span writes into belong to this sequence alone
  std::uint32_t logits_rows =
      0;  // logits are wanted for this many last tokens of the span (0 .. tokens.size())
  // Where a model has a state (Description::state_blocks): where that after the token before the span is read
  // (not at the start of a sequence), and where that after its last token is written. They may be the same
  // blocks; those of state_out belong to this sequence alone.
  std::span<const BlockId> state_in = {};
  std::span<const BlockId> state_out = {};
};

class Executor {
 public:
  virtual ~Executor() = default;
  virtual const Description& describe() const = 0;

  // Reads every span: writes its KV into its blocks, and the asked logits rows (batch order, then token
  // order) into `logits`, which holds (sum of logits_rows) * vocab_size floats. Called by one thread at a
  // time. On error no promise is made about the contents of the blocks that the batch wrote.
  //
  // Where `interrupt` is given and becomes true meanwhile, forward() may end early with kCancelled; KV in
  // front of every span is then as it was. Where a model has a state, which may be written in place, it does
  // not end early.
  virtual Status forward(std::span<const SequenceSpan> batch, KvStorage kv, std::span<float> logits,
                         const std::atomic<bool>* interrupt = nullptr) = 0;
};

}  // namespace kvasir::executor
