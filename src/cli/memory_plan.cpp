#include "cli/memory_plan.h"

#include <algorithm>
#include <string>

#include "kv/block_table.h"

namespace kvasir::cli {
namespace {

// 8 million tokens: more than a session of agents reads, little enough for the tree's own tables.
constexpr std::uint64_t kMostBlocks = std::uint64_t{1} << 17;

// A block's entries in pool, tree and key index: its tokens, links, key, place in the order of eviction.
constexpr std::uint64_t kBlockTableBytes = 768;

// Bodies of requests, their tokens and grammars, answers on their way, connections, and what the allocator
// keeps of them: a share of the budget within these. Three clients at once took less than the least
// (bench/memory.py).
constexpr std::uint64_t kRequestShare = 24;
constexpr std::uint64_t kRequestLeast = std::uint64_t{16} << 20;
constexpr std::uint64_t kRequestMost = std::uint64_t{64} << 20;

// What the last huge pages of activations and scratch leave empty: some twenty buffers, less than half a page
// each.
constexpr std::uint64_t kPageRounding = std::uint64_t{16} << 20;

// A conversation that a budget must hold at least, where --ctx names no length.
constexpr std::uint64_t kLeastTokens = 512;

std::uint64_t blocks_with_spare(std::uint64_t tokens) {
  return kv::blocks_for(tokens) + 1;
}

std::string megabytes(std::uint64_t bytes) {
  return std::to_string((bytes + (1U << 20) - 1) >> 20) + " MB";
}

}  // namespace

std::uint64_t growth_bytes(const executor::Description& model, const engine::EngineOptions& options,
                           std::uint64_t budget, bool has_disk) {
  const std::uint64_t step_tokens =
      std::uint64_t{std::max(options.prefill_chunk, options.prefill_chunk_busy + options.max_batch)};
  const std::uint64_t logits =
      std::uint64_t{engine::most_logits_rows(options)} * model.vocab_size * sizeof(float);
  return kPageRounding + step_tokens * model.activation_bytes_per_token + logits + model.mapped_bytes +
         (has_disk ? options.disk_queue_bytes : 0) +
         std::clamp(budget / kRequestShare, kRequestLeast, kRequestMost);
}

Status plan_memory(const executor::Description& model, const Footprint& footprint, const MemoryLimits& limits,
                   engine::EngineOptions& options) {
  const std::uint64_t fixed = footprint.resident + footprint.growth;
  const std::uint64_t room = limits.budget > fixed ? limits.budget - fixed : 0;
  const std::uint64_t blocks = std::min(room / (model.kv_bytes_per_block + kBlockTableBytes), kMostBlocks);
  const std::uint64_t context =
      limits.context != 0 ? std::min(limits.context, model.context_length) : model.context_length;
  const std::uint64_t states = engine::states_of_one(model);
  const std::uint64_t needed = blocks_with_spare(limits.context != 0 ? context : kLeastTokens) + states;
  if (blocks < needed) {
    return make_error(ErrorCode::kResourceExhausted,
                      "--memory " + megabytes(limits.budget) +
                          " is too little: the model and the program take " + megabytes(footprint.resident) +
                          ", requests up to " + megabytes(footprint.growth) + ", and a conversation of " +
                          std::to_string((needed - states - 1) * kBlockTokens) + " tokens " +
                          megabytes(needed * model.kv_bytes_per_block));
  }
  options.context_length =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(context, (blocks - states - 1) * kBlockTokens));
  options.kv_bytes = static_cast<std::size_t>(blocks) * model.kv_bytes_per_block;
  return {};
}

}  // namespace kvasir::cli
