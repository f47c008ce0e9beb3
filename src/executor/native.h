#pragma once
// The executor on our own CPU kernels: exact (promise 1), the default everywhere.

#include <atomic>
#include <functional>
#include <memory>

#include "base/thread_pool.h"
#include "executor/executor.h"
#include "kernels/kernels.h"
#include "models/model.h"
#include "weights/checkpoint.h"

namespace kvasir::executor {

struct NativeOptions {
  std::shared_ptr<ThreadPool> pool;               // shared by every engine of the process
  const kernels::KernelTable* kernels = nullptr;  // null: the process's choice
  models::Precision precision = models::Precision::kAuto;
  kernels::KvType kv_type = kernels::KvType::kF16;
  std::function<void(double)> progress;     // 0..1 while weights are repacked; on the calling thread
  const std::atomic<bool>* stop = nullptr;  // models::LoadOptions
  models::PartTimes* times = nullptr;       // models::LoadOptions
  std::size_t context = 0;                  // the longest sequence that will be asked for; 0: the model's own
};

// Loads the model of a checkpoint. Errors as models::load_model.
Result<std::unique_ptr<Executor>> load_native(std::shared_ptr<const weights::Checkpoint> file,
                                              NativeOptions options);

// What load_native would say of the model (weights_id left empty), without reading a weight: all checks are
// made. Errors as load_native.
Result<Description> measure_native(const std::shared_ptr<const weights::Checkpoint>& file,
                                   NativeOptions options);

}  // namespace kvasir::executor
