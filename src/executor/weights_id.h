#pragma once
// Names a model's weights: a hash over every tensor's name, shape and bytes, and nothing that may differ
// between two copies. One thread at a time.

#include <string>
#include <unordered_map>

#include "base/thread_pool.h"
#include "weights/checkpoint.h"

namespace kvasir::executor {

class WeightsId {
 public:
  // Both outlive it.
  WeightsId(const weights::Checkpoint& file, ThreadPool& pool) : file_(file), pool_(pool) {}
  // Hashes a tensor of the file, where that has not been done: best just before it is read for another
  // reason, so that the file is read from the disk once.
  void add(const weights::TensorInfo& tensor);
  // Hashes what is left and returns the name. Gives the pages of what it hashed back.
  std::string finish();

 private:
  const weights::Checkpoint& file_;
  ThreadPool& pool_;
  std::unordered_map<std::string, std::string> hashes_;  // by tensor
};

}  // namespace kvasir::executor
