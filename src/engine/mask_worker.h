#pragma once
// Computes which tokens grammars admit while the model computes its logits: the tokens before are known by
// then. A thread of its own, started when the first mask is wanted.
//
// begin() and finish() alternate, on the engine's thread. Between them the constraints belong to the worker.

#include <condition_variable>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "engine/constraint.h"

namespace kvasir::engine {

class MaskWorker {
 public:
  using Mask = Result<std::optional<std::span<const std::uint32_t>>>;

  MaskWorker() = default;
  ~MaskWorker();
  MaskWorker(const MaskWorker&) = delete;
  MaskWorker& operator=(const MaskWorker&) = delete;

  // One entry a row of logits; null where every token is allowed.
  void begin(std::vector<Constraint*> constraints);
  // Waits. One mask an entry, each valid until its constraint is touched.
  std::vector<Mask> finish();

 private:
  void run();

  std::mutex mutex_;  // guards all below it
  std::condition_variable wake_;
  std::condition_variable done_;
  std::vector<Constraint*> wanted_;
  std::vector<Mask> masks_;
  bool pending_ = false;
  bool stopping_ = false;
  std::thread thread_;  // the engine's thread only
};

}  // namespace kvasir::engine
