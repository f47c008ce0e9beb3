#pragma once
// How much of --memory the KV cache gets. The budget bounds the process's resident memory: what it takes once
// the model is loaded is measured, what it will still grow by is reckoned, and all the rest is KV.

#include <cstdint>

#include "base/error.h"
#include "engine/engine.h"
#include "executor/executor.h"

namespace kvasir::cli {

// Besides KV, in bytes.
struct Footprint {
  std::uint64_t resident = 0;  // now: weights, vocabulary, grammars, the program itself
  std::uint64_t growth = 0;    // by requests: see growth_bytes()
};

// What serving will add to the footprint: activations and logits of the largest step, pages of the model's
// file that are looked up, the queue to the disk, requests' own memory.
std::uint64_t growth_bytes(const executor::Description& model, const engine::EngineOptions& options,
                           std::uint64_t budget, bool has_disk);

struct MemoryLimits {
  std::uint64_t budget = 0;
  std::uint32_t context = 0;  // tokens that a conversation must be able to hold; 0: as many as fit
};

// Sets kv_bytes and context_length of `options`, within the budget. kResourceExhausted when the budget does
// not hold one conversation.
Status plan_memory(const executor::Description& model, const Footprint& footprint, const MemoryLimits& limits,
                   engine::EngineOptions& options);

}  // namespace kvasir::cli
