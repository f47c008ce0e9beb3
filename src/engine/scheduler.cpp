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
  // What comes from disk is written by another thread; behind a part of a block no state is known.
  if (sequence.from_disk() || other.from_disk() || sequence.table.keeps_states()) return sequence.computed;
  if (begin >= other.tokens.size() || !sequence.table.shares_all_before(other.table, index)) {
    return sequence.computed;
  }
  const auto own = std::span(sequence.tokens).first(sequence.tokens.size() - 1).subspan(begin);
  const auto same = kv::common_prefix(own.first(std::min<std::size_t>(own.size(), kBlockTokens)),
                                      std::span(other.tokens).subspan(begin));
  return std::max(sequence.computed, static_cast<std::uint32_t>(begin) + same);
}

// The last full block's end before the token whose logits are wanted.
std::uint32_t last_boundary(const Sequence& sequence) {
  return (sequence.length() - 1) / kBlockTokens * kBlockTokens;
}

// Where two sequences part, as far as both would share a state there.
std::uint32_t parting(const Sequence& a, const Sequence& b) {
  const auto same = std::ranges::mismatch(a.keys, b.keys).in1 - a.keys.begin();
  return std::min({static_cast<std::uint32_t>(same) * kBlockTokens, last_boundary(a), last_boundary(b)});
}

bool before_in_rank(const Sequence* a, const Sequence* b) {
  return a->tier != b->tier ? a->tier < b->tier : a->id < b->id;
}

std::uint64_t still_needed(const Sequence& running) {
  const auto have = static_cast<std::uint32_t>(running.table.blocks().size());
  // And one to grow into: a new guest should not cause a preemption at once.
  return running.blocks_wanted() - std::min(have, running.blocks_wanted()) + 1 + running.table.state_demand();
}

// A step's decoding sequences of one client, in rank: the first, and those that have waited longest.
void keep_longest_waiting(std::vector<Sequence*>& sequences, std::size_t most) {
  if (sequences.size() <= most) return;
  std::sort(sequences.begin() + 1, sequences.end(), [](const Sequence* a, const Sequence* b) {
    return a->last_turn != b->last_turn ? a->last_turn < b->last_turn : before_in_rank(a, b);
  });
  sequences.resize(most);
}

}  // namespace

std::vector<Sequence*> Scheduler::admit() {
  std::vector<Sequence*> admitted;
  while (!waiting_.empty()) {
    const std::size_t at = next_waiting();
    Sequence& next = *waiting_[at];
    if (!make_way(next)) break;
    // What made way waits behind it or before it: by age.
    const auto place = std::ranges::find(waiting_, &next, [](const auto& s) { return s.get(); });
    std::unique_ptr<Sequence> sequence = std::move(*place);
    waiting_.erase(place);
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

std::uint32_t Scheduler::running_of(std::string_view client) const {
  const auto turn = std::ranges::find(turns_, client, &Turn::client);
  return turn == turns_.end() ? 0 : turn->running;
}

std::size_t Scheduler::next_waiting() const {
  std::size_t best = 0;
  std::uint32_t fewest = running_of(waiting_.front()->request.client);
  for (std::size_t i = 1; i < waiting_.size() && fewest > 0; ++i) {
    const std::uint32_t running = running_of(waiting_[i]->request.client);
    if (running >= fewest) continue;
    fewest = running;
    best = i;
  }
  return best;
}

// Room for `next`, at the cost of those that would be behind it in rank if it ran.
bool Scheduler::make_way(const Sequence& next) {
  const std::uint32_t tier = running_of(next.request.client);
  const auto has_room = [&] { return running_.size() < options_.max_batch && fits(next); };
  if (has_room()) return true;
  std::uint64_t theirs = 0;
  std::size_t behind = 0;
  for (const auto& sequence : running_) {
    if (sequence->tier <= tier) continue;
    ++behind;
    theirs += sequence->table.blocks().size();
  }
  // Shared blocks are not given back with one of their users: this may hope for too much, and then `next` has
  // the room when the others have ended.
  if (behind == 0 || needed_with(next, tier) > tree_.available() + theirs) return false;
  while (!has_room()) {
    Sequence& victim = last_in_rank();
    if (victim.tier <= tier) return false;
    preempt(victim);
  }
  return true;
}

bool Scheduler::fits(const Sequence& next) const {
  if (running_.empty()) return true;  // submit() refused what cannot fit by itself
  return needed_with(next, running_.size()) <= tree_.available();
}

// Blocks that `next` takes, on top of what the running ones up to a tier still need.
std::uint64_t Scheduler::needed_with(const Sequence& next, std::size_t tiers) const {
  std::uint64_t needed = next.table.demand(next.tokens, next.length() + 1);
  for (const auto& sequence : running_) {
    if (sequence->tier <= tiers) needed += still_needed(*sequence);
  }
  return needed;
}

void Scheduler::start(std::unique_ptr<Sequence> sequence) {
  sequence->computed = sequence->table.open(sequence->tokens);
  sequence->running = true;
  sequence->last_turn = just_before_last_turn();
  if (sequence->reads_cache() && sequence->remaining() > kBlockTokens) {
    sequence->keys = tree_.chain(sequence->request.cache_namespace, sequence->tokens);
  }
  if (sequence->table.keeps_states()) mark_states(*sequence);
  const auto place =
      std::ranges::upper_bound(running_, sequence->id, {}, [](const auto& s) { return s->id; });
  running_.insert(place, std::move(sequence));
  update_tiers();
}

// Where somebody may go on from: the end of the prompt, where a conversation returns that is rendered
// otherwise behind it, and where this sequence parts from others, those in the tree and those that run.
void Scheduler::mark_states(Sequence& sequence) {
  sequence.table.mark(last_boundary(sequence));
  sequence.table.mark(sequence.table.known_blocks() * kBlockTokens);
  for (const auto& other : running_) {
    const std::uint32_t until = parting(sequence, *other);
    if (until > other->computed) other->table.mark(until);
    if (until > sequence.computed) sequence.table.mark(until);
  }
}

void Scheduler::update_tiers() {
  for (Turn& turn : turns_) turn.running = 0;
  for (const auto& sequence : running_) {
    const std::string& client = sequence->request.client;
    auto turn = std::ranges::find(turns_, client, &Turn::client);
    if (turn == turns_.end()) turn = turns_.insert(turn, {client, just_before_last_turn(), 0});
    sequence->tier = turn->running++;
  }
  std::erase_if(turns_, [](const Turn& turn) { return turn.running == 0; });
}

Sequence& Scheduler::last_in_rank() const {
  return **std::ranges::max_element(
      running_, [](const auto& a, const auto& b) { return before_in_rank(a.get(), b.get()); });
}

void Scheduler::preempt(Sequence& victim) {
  const auto at = std::ranges::find(running_, &victim, [](const auto& s) { return s.get(); });
  std::unique_ptr<Sequence> sequence = std::move(*at);
  running_.erase(at);
  victim.drop_load();
  victim.table.close(victim.tokens, victim.computed);
  victim.computed = 0;
  victim.running = false;
  const auto place = std::ranges::upper_bound(waiting_, victim.id, {}, [](const auto& s) { return s->id; });
  waiting_.insert(place, std::move(sequence));
  ++preempted_waiting_;
  ++preemptions_;
  update_tiers();
}

bool Scheduler::make_room(Sequence& sequence, std::uint32_t tokens, std::vector<Slice>& plan) {
  while (!sequence.table.reserve(sequence.computed + tokens)) {
    Sequence& victim = last_in_rank();
    if (&victim == &sequence) return false;  // the last waits, keeping what it has
    std::erase_if(plan, [&](const Slice& slice) { return slice.sequence == &victim; });
    preempt(victim);
  }
  return true;
}

void Scheduler::add(Sequence& sequence, std::uint32_t tokens, std::vector<Slice>& plan) {
  const bool samples = tokens == sequence.remaining() && !sequence.request.background;
  plan.push_back({&sequence, tokens, samples && sequence.request.max_tokens > 0, sequence.scoring(), {}});
}

std::vector<Slice> Scheduler::plan() {
  adopt_what_others_read();
  std::vector<Slice> plan;
  plan_decoding(plan);
  plan_prefill(plan);
  KVASIR_CHECK(!plan.empty() || running_.empty() ||
                   std::ranges::any_of(running_, [](const auto& s) { return s->load != nullptr; }),
               "the oldest sequence can always go on");
  return plan;
}

void Scheduler::plan_decoding(std::vector<Slice>& plan) {
  // In rank, so that only what comes behind is ever preempted.
  for (Sequence* sequence : decoding_in_rank()) {
    if (!sequence->running) continue;
    const std::uint32_t tokens = sequence->remaining();
    if (!make_room(*sequence, tokens, plan)) continue;
    add(*sequence, tokens, plan);
    sequence->last_turn = turn_ += 2;
  }
}

void Scheduler::plan_prefill(std::vector<Slice>& plan) {
  if (!plan.empty() && !pace_.may_read(plan.size())) return;
  std::uint32_t to_score = kScoredAtOnce;
  std::uint32_t budget = plan.empty() ? options_.prefill_chunk : pace_.chunk(options_.prefill_chunk_busy);
  for (Sequence* sequence : prefilling_in_turn()) {
    if (budget == 0) break;
    if (!sequence->running || is_being_read(*sequence)) continue;
    // Whoever comes meanwhile waits for no more than a short step.
    std::uint32_t most =
        sequence->request.background ? std::min(budget, options_.prefill_chunk_busy) : budget;
    if (sequence->scoring()) most = std::min(most, to_score);
    const std::uint32_t tokens =
        std::min({most, sequence->computable(), sequence->table.until_mark(sequence->computed)});
    if (tokens == 0) continue;
    if (!make_room(*sequence, tokens, plan)) continue;
    add(*sequence, tokens, plan);
    budget -= tokens;
    if (sequence->scoring()) to_score -= tokens;
    take_turn(*sequence);
  }
}

void Scheduler::took(std::size_t answers, std::uint32_t read, double seconds) {
  if (answers == 0) return;
  if (read == 0)
    pace_.decoded(answers, seconds);
  else
    pace_.read(read, seconds);
}

void Scheduler::take_turn(Sequence& sequence) {
  sequence.last_turn = turn_ += 2;
  const auto turn = std::ranges::find(turns_, sequence.request.client, &Turn::client);
  KVASIR_CHECK(turn != turns_.end(), "the client of a running sequence is known");
  turn->last = turn_;
}

// Those that decode in this step. Where several clients do, the step of one with few is not stretched by
// another's many: those take turns, all but the first in rank, which always goes on.
std::vector<Sequence*> Scheduler::decoding_in_rank() const {
  constexpr std::size_t kTimesTheFewest = 4;  // batch mates are cheap, up to a point
  std::vector<std::vector<Sequence*>> of_client(turns_.size());
  for (const auto& sequence : running_) {
    if (!sequence->decoding() || sequence->computable() != sequence->remaining()) continue;
    const auto turn = std::ranges::find(turns_, sequence->request.client, &Turn::client);
    of_client[static_cast<std::size_t>(turn - turns_.begin())].push_back(sequence.get());
  }
  std::erase_if(of_client, [](const auto& sequences) { return sequences.empty(); });
  std::size_t fewest = running_.size();
  for (const auto& sequences : of_client) fewest = std::min(fewest, sequences.size());
  std::vector<Sequence*> order;
  for (auto& sequences : of_client) {
    if (of_client.size() > 1) keep_longest_waiting(sequences, kTimesTheFewest * fewest);
    order.insert(order.end(), sequences.begin(), sequences.end());
  }
  std::ranges::sort(order, before_in_rank);
  return order;
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
  for (const auto& other : running_) {
    if (other.get() == &sequence) continue;
    const std::uint32_t until = std::min(shared_until(sequence, *other), other->computed);
    if (until > sequence.computed &&
        sequence.table.copy_from(other->table, sequence.computed / kBlockTokens)) {
      sequence.computed = until;
    }
  }
}

// The client that has waited longest first, and of each client the prompt that has.
std::vector<Sequence*> Scheduler::prefilling_in_turn() const {
  struct Place {
    std::size_t round = 0;  // how many of the same client come before it
    std::uint64_t client_turn = 0;
    Sequence* sequence = nullptr;
  };
  std::vector<Place> places;
  for (const auto& sequence : running_) {
    if (sequence->computable() == 0 || sequence->decoding()) continue;
    const auto turn = std::ranges::find(turns_, sequence->request.client, &Turn::client);
    places.push_back({0, turn->last, sequence.get()});
  }
  const auto waited_longer = [](const Place& a, const Place& b) {
    return a.sequence->last_turn != b.sequence->last_turn ? a.sequence->last_turn < b.sequence->last_turn
                                                          : a.sequence->id < b.sequence->id;
  };
  std::ranges::sort(places, waited_longer);
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (places[j].sequence->request.client == places[i].sequence->request.client) ++places[i].round;
    }
  }
  std::ranges::sort(places, [&](const Place& a, const Place& b) {
    if (a.round != b.round) return a.round < b.round;
    return a.client_turn != b.client_turn ? a.client_turn < b.client_turn : waited_longer(a, b);
  });
  std::vector<Sequence*> order;
  order.reserve(places.size());
  for (const Place& place : places) order.push_back(place.sequence);
  return order;
}

// One before it in rank is on its way through the very block that this one needs next, or the start of it;
// or, where the model keeps a state, to where the two part.
bool Scheduler::is_being_read(const Sequence& sequence) const {
  const std::uint32_t index = sequence.computed / kBlockTokens;
  const bool whole = index < sequence.keys.size() && (index + 1) * kBlockTokens < sequence.length();
  for (const auto& other : running_) {
    if (!before_in_rank(other.get(), &sequence) || other->decoding()) continue;
    if (sequence.table.keeps_states()) {
      const std::uint32_t until = parting(sequence, *other);
      if (until > sequence.computed && other->computed < until) return true;
      continue;
    }
    if (whole && index < other->keys.size() && other->keys[index] == sequence.keys[index] &&
        other->computed < (index + 1) * kBlockTokens) {
      return true;
    }
    const std::uint32_t until = shared_until(sequence, *other);
    if (until > sequence.computed && other->computed < until) return true;
  }
  return false;
}

std::unique_ptr<Sequence> Scheduler::remove(RequestId id) {
  const auto has_id = [id](const auto& sequence) { return sequence->id == id; };
  if (const auto at = std::ranges::find_if(running_, has_id); at != running_.end()) {
    std::unique_ptr<Sequence> sequence = std::move(*at);
    running_.erase(at);
    update_tiers();
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
