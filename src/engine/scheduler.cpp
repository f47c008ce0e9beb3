#include "engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace kvasir::engine {
namespace {

// Up to which token both are the same, in the block that `sequence` reads next; its own position where that
// is not further. Its last token is always read, for its logits.
std::uint32_t shared_until(const Sequence& sequence, const Sequence& other) {
  const std::uint32_t index = sequence.computed / kBlockTokens;
  const std::size_t begin = std::size_t{index} * kBlockTokens;
  // What comes from disk is written by another thread.
  if (sequence.from_disk() || other.from_disk()) return sequence.computed;
  if (begin >= other.tokens.size() || !sequence.table.shares_all_before(other.table, index)) {
    return sequence.computed;
  }
  const auto own = std::span(sequence.tokens).first(sequence.tokens.size() - 1).subspan(begin);
  const auto same = kv::common_prefix(own.first(std::min<std::size_t>(own.size(), kBlockTokens)),
                                      std::span(other.tokens).subspan(begin));
  return std::max(sequence.computed, static_cast<std::uint32_t>(begin) + same);
}

}  // namespace

std::vector<Sequence*> Scheduler::admit() {
  std::vector<Sequence*> admitted;
  while (!waiting_.empty() && running_.size() < options_.max_batch && fits(*waiting_.front())) {
    Sequence& next = *waiting_.front();
    std::unique_ptr<Sequence> sequence = std::move(waiting_.front());
    waiting_.pop_front();
    start(std::move(sequence));
    if (next.started) {
      --preempted_waiting_;
    } else {
      next.started = true;
      next.admitted = Clock::now();
      next.count_found(0);
    }
    admitted.push_back(&next);
  }
  KVASIR_CHECK(!running_.empty() || waiting_.empty(), "a request that waits alone is admitted");
  return admitted;
}

bool Scheduler::fits(const Sequence& next) const {
  if (running_.empty()) return true;  // submit() refused what cannot fit by itself
  std::uint64_t needed = next.table.demand(next.tokens, next.length() + 1);
  for (const auto& sequence : running_) {
    const auto have = static_cast<std::uint32_t>(sequence->table.blocks().size());
    needed += sequence->blocks_wanted() - std::min(have, sequence->blocks_wanted());
    needed += 1;  // and one to grow into: a new guest should not cause a preemption at once
  }
  return needed <= tree_.available();
}

void Scheduler::start(std::unique_ptr<Sequence> sequence) {
  sequence->computed = sequence->table.open(sequence->tokens);
  sequence->running = true;
  if (sequence->request.use_cache && sequence->remaining() > kBlockTokens) {
    sequence->keys = tree_.chain(sequence->request.cache_namespace, sequence->tokens);
  }
  const auto place =
      std::ranges::upper_bound(running_, sequence->id, {}, [](const auto& s) { return s->id; });
  running_.insert(place, std::move(sequence));
}

void Scheduler::preempt_youngest(std::vector<Slice>& plan) {
  std::unique_ptr<Sequence> victim = std::move(running_.back());
  running_.pop_back();
  std::erase_if(plan, [&](const Slice& slice) { return slice.sequence == victim.get(); });
  victim->drop_load();
  victim->table.close(victim->tokens, victim->computed);
  victim->computed = 0;
  victim->running = false;
  const auto place = std::ranges::upper_bound(waiting_, victim->id, {}, [](const auto& s) { return s->id; });
  waiting_.insert(place, std::move(victim));
  ++preempted_waiting_;
  ++preemptions_;
}

bool Scheduler::make_room(Sequence& sequence, std::uint32_t tokens, std::vector<Slice>& plan) {
  while (!sequence.table.reserve(sequence.computed + tokens)) {
    if (running_.back().get() == &sequence) return false;  // the youngest waits, keeping what it has
    preempt_youngest(plan);
  }
  return true;
}

void Scheduler::add(Sequence& sequence, std::uint32_t tokens, std::vector<Slice>& plan) {
  plan.push_back({&sequence, tokens, tokens == sequence.remaining() && !sequence.request.background});
}

std::vector<Slice> Scheduler::plan() {
  adopt_what_others_read();
  std::vector<Slice> plan;
  // Only sequences behind the current one are ever preempted, so the index stays good.
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (!sequence.decoding() || sequence.computable() != sequence.remaining()) continue;
    const std::uint32_t tokens = sequence.remaining();
    if (make_room(sequence, tokens, plan)) add(sequence, tokens, plan);
  }
  std::uint32_t budget = plan.empty() ? options_.prefill_chunk : options_.prefill_chunk_busy;
  for (Sequence* sequence : prefilling_in_turn()) {
    if (budget == 0) break;
    if (!sequence->running || is_being_read(*sequence)) continue;
    // Whoever comes meanwhile waits for no more than a short step.
    const std::uint32_t most =
        sequence->request.background ? std::min(budget, options_.prefill_chunk_busy) : budget;
    const std::uint32_t tokens = std::min(most, sequence->computable());
    if (!make_room(*sequence, tokens, plan)) continue;
    add(*sequence, tokens, plan);
    budget -= tokens;
    last_prefilled_ = sequence->id;
  }
  KVASIR_CHECK(!plan.empty() || running_.empty() ||
                   std::ranges::any_of(running_, [](const auto& s) { return s->load != nullptr; }),
               "the oldest sequence can always go on");
  return plan;
}

void Scheduler::adopt_what_others_read() {
  for (const auto& sequence : running_) {
    if (sequence->decoding() || sequence->computable() == 0) continue;
    const std::uint32_t before = sequence->computed;
    if (sequence->computable() >= kBlockTokens) {
      // The last token is computed in any case; of those in front of what is loaded, none need be.
      const std::uint32_t limit = sequence->from_disk() ? sequence->load_begin + 1 : sequence->length();
      sequence->computed = sequence->table.adopt(std::span(sequence->tokens).first(limit), before);
    }
    copy_what_others_read(*sequence);
    sequence->count_found(before);
  }
}

void Scheduler::copy_what_others_read(Sequence& sequence) {
  for (const auto& older : running_) {
    if (older.get() == &sequence) return;
    const std::uint32_t until = std::min(shared_until(sequence, *older), older->computed);
    if (until > sequence.computed &&
        sequence.table.copy_from(older->table, sequence.computed / kBlockTokens)) {
      sequence.computed = until;
    }
  }
}

std::vector<Sequence*> Scheduler::prefilling_in_turn() const {
  std::vector<Sequence*> order;
  for (const auto& sequence : running_) {
    if (sequence->computable() > 0 && !sequence->decoding()) order.push_back(sequence.get());
  }
  const auto next =
      std::ranges::upper_bound(order, last_prefilled_, {}, [](const Sequence* s) { return s->id; });
  std::ranges::rotate(order, next);
  return order;
}

// An older sequence is on its way through the very block that this one needs next, or the start of it.
bool Scheduler::is_being_read(const Sequence& sequence) const {
  const std::uint32_t index = sequence.computed / kBlockTokens;
  const bool whole = index < sequence.keys.size() && (index + 1) * kBlockTokens < sequence.length();
  for (const auto& older : running_) {
    if (older.get() == &sequence) return false;
    if (older->decoding()) continue;
    if (whole && index < older->keys.size() && older->keys[index] == sequence.keys[index] &&
        older->computed < (index + 1) * kBlockTokens) {
      return true;
    }
    const std::uint32_t until = shared_until(sequence, *older);
    if (until > sequence.computed && older->computed < until) return true;
  }
  return false;
}

std::unique_ptr<Sequence> Scheduler::remove(RequestId id) {
  const auto has_id = [id](const auto& sequence) { return sequence->id == id; };
  if (const auto at = std::ranges::find_if(running_, has_id); at != running_.end()) {
    std::unique_ptr<Sequence> sequence = std::move(*at);
    running_.erase(at);
    return sequence;
  }
  if (const auto at = std::ranges::find_if(waiting_, has_id); at != waiting_.end()) {
    std::unique_ptr<Sequence> sequence = std::move(*at);
    waiting_.erase(at);
    if (sequence->started) --preempted_waiting_;
    return sequence;
  }
  return nullptr;
}

std::unique_ptr<Sequence> Scheduler::remove_any() {
  if (!running_.empty()) return remove(running_.front()->id);
  return waiting_.empty() ? nullptr : remove(waiting_.front()->id);
}

}  // namespace kvasir::engine
