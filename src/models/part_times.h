#pragma once
// Where a forward pass spends its time and what it works there: for profiles as shares of a machine's limits
// (Williams et al., "Roofline", 2009).

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace kvasir::models {

enum class Part : std::uint8_t {
  kProducts,       // of quantised weights, and what is activated and quantised between two of them in cache
  kFloatProducts,  // of unquantised weights
  kRows,           // norms, quantising, residual sums
  kAttention,      // softmax(q k) v over the KV cache
  kOther,          // rotation and storing of k and v, embeddings, recurrent layers, choosing experts
};
inline constexpr std::size_t kParts = 5;

struct PartWork {
  double seconds = 0;  // of the thread that drives the pass, while all threads work for it
  // A multiplication or addition each. Of products as the machine does them: twice as many where activations
  // have two planes. Of attention what a causal mask leaves.
  double operations = 0;
  double bytes = 0;  // of attention: K and V, read once for every span
};

// One pass at a time, driven by one thread.
class PartTimes {
 public:
  void start() { since_ = Clock::now(); }
  // What goes on from now on is of `part`; returns what it was before.
  Part enter(Part part) {
    const Clock::time_point now = Clock::now();
    (*this)[part_].seconds += std::chrono::duration<double>(now - since_).count();
    since_ = now;
    return std::exchange(part_, part);
  }
  PartWork& operator[](Part part) { return work_[static_cast<std::size_t>(part)]; }
  const PartWork& operator[](Part part) const { return work_[static_cast<std::size_t>(part)]; }

 private:
  using Clock = std::chrono::steady_clock;
  std::array<PartWork, kParts> work_{};
  Part part_ = Part::kOther;
  Clock::time_point since_;
};

// From here to the end of the scope; nothing where `times` is null.
class PartScope {
 public:
  PartScope(PartTimes* times, Part part) : times_(times) {
    if (times_ != nullptr) before_ = times_->enter(part);
  }
  ~PartScope() {
    if (times_ != nullptr) times_->enter(before_);
  }
  PartScope(const PartScope&) = delete;
  PartScope& operator=(const PartScope&) = delete;

 private:
  PartTimes* times_;
  Part before_ = Part::kOther;
};

}  // namespace kvasir::models
