#include "engine/mask_worker.h"

#include <algorithm>
#include <utility>

namespace kvasir::engine {

MaskWorker::~MaskWorker() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void MaskWorker::begin(std::vector<Constraint*> constraints) {
  const bool any = std::ranges::any_of(constraints, [](const Constraint* c) { return c != nullptr; });
  {
    const std::lock_guard lock(mutex_);
    masks_.assign(constraints.size(), Mask(std::nullopt));
    wanted_ = std::move(constraints);
    pending_ = any;
  }
  if (!any) return;
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  wake_.notify_one();
}

std::vector<MaskWorker::Mask> MaskWorker::finish() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return !pending_; });
  return std::move(masks_);
}

void MaskWorker::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return pending_ || stopping_; });
    if (stopping_) return;
    lock.unlock();
    // Between begin() and finish() nobody else looks at either list.
    for (std::size_t i = 0; i < wanted_.size(); ++i) {
      if (wanted_[i] != nullptr) masks_[i] = wanted_[i]->mask();
    }
    lock.lock();
    pending_ = false;
    done_.notify_one();
  }
}

}  // namespace kvasir::engine
