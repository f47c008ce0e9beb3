#pragma once
// Who runs, and what each step reads. Policy only: it moves sequences between waiting and running and sees to
// their blocks, but sends no events and runs no model.
//
// Clients share the engine evenly, whatever each of them asks for (docs/decisions/0019-fair-clients.md). The
// running sequences are ranked: every client's oldest first, by age, then every client's second, and so on.
// With one client that is age alone.
//
// Admission takes the oldest request of the client that has the fewest running, as soon as the blocks for all
// of its tokens so far can be had on top of what the running ones still need; for a client that has fewer,
// the last in rank of another's make room. Answers grow on demand; when no block is left, the last in rank
// gives up its blocks (its KV stays in the tree as long as it can) and waits by its age. The oldest is the
// first in rank, never preempted, and fits by itself, so something always moves on and nothing is ever killed
// (docs/decisions/0003-prefix-tree.md).
//
// A step holds a token of every decoding sequence, as long as no client has many more than another, and, as
// often as the decoding ones can bear (pace.h), a chunk of prompt. Clients that read prompts take turns, and
// so do the prompts of one: a short prompt waits for one chunk of a long one, not for all of it. A sequence
// whose next tokens are just being read by one before it in rank waits for them: full blocks it takes from
// the tree, of the block in which the two part it copies what they share. One whose KV is on its way from
// disk computes at most what is in front of that until it is there.
//
// Owned by the engine's thread.

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/pace.h"
#include "engine/sequence.h"

namespace kvasir::engine {

// What a step reads of one sequence: `tokens` tokens from sequence->computed on.
struct Slice {
  Sequence* sequence = nullptr;
  std::uint32_t tokens = 0;
  bool samples = false;  // the slice reaches the end: the next token is to be sampled
  bool scores = false;   // the logits of all its tokens are wanted
  // What may come behind them, read as well (prompt_lookup.h); the engine's to fill in.
  std::vector<TokenId> guess;

  std::uint32_t logits_rows() const {
    if (scores) return tokens;
    return samples ? 1 + static_cast<std::uint32_t>(guess.size()) : 0;
  }
};

class Scheduler {
 public:
  Scheduler(kv::PrefixTree& tree, const EngineOptions& options)
      : tree_(tree), options_(options), pace_(options.decode_slowdown) {}

  void enqueue(std::unique_ptr<Sequence> sequence) { waiting_.push_back(std::move(sequence)); }
  // Admits what fits, and returns it.
  std::vector<Sequence*> admit();
  // The next step; empty when nothing runs, or all that runs waits for the disk. Room for every slice is
  // reserved.
  std::vector<Slice> plan();
  // What a step of a plan took: so many answers decoded, and so many tokens of prompts were read.
  void took(std::size_t answers, std::uint32_t read, double seconds);
  // Takes a sequence out; null when the id is unknown.
  std::unique_ptr<Sequence> remove(RequestId id);
  std::unique_ptr<Sequence> remove_any();

  bool idle() const { return running_.empty() && waiting_.empty(); }
  const std::vector<std::unique_ptr<Sequence>>& running() const { return running_; }
  std::uint32_t preempted_waiting() const { return preempted_waiting_; }
  std::uint64_t preemptions() const { return preemptions_; }

 private:
  // Whoever comes waits for no one that had a turn since, and goes before nobody who has waited longer.
  std::uint64_t just_before_last_turn() const { return turn_ - 1; }
  std::uint32_t running_of(std::string_view client) const;
  std::size_t next_waiting() const;
  bool make_way(const Sequence& next);
  bool fits(const Sequence& next) const;
  std::uint64_t needed_with(const Sequence& next, std::size_t tiers) const;
  void start(std::unique_ptr<Sequence> sequence);
  void mark_states(Sequence& sequence);
  void update_tiers();
  Sequence& last_in_rank() const;
  void preempt(Sequence& victim);
  bool make_room(Sequence& sequence, std::uint32_t tokens, std::vector<Slice>& plan);
  void add(Sequence& sequence, std::uint32_t tokens, std::vector<Slice>& plan);
  void plan_decoding(std::vector<Slice>& plan);
  void plan_prefill(std::vector<Slice>& plan);
  void adopt_what_others_read();
  std::vector<Sequence*> decoding_in_rank() const;
  std::vector<Sequence*> prefilling_in_turn() const;
  void copy_what_others_read(Sequence& sequence);
  bool is_being_read(const Sequence& sequence) const;
  void take_turn(Sequence& sequence);

  // A client that has something running, and when one of its prompts last had a turn.
  struct Turn {
    std::string client;
    std::uint64_t last = 0;
    std::uint32_t running = 0;
  };

  kv::PrefixTree& tree_;
  const EngineOptions& options_;
  Pace pace_;
  std::deque<std::unique_ptr<Sequence>> waiting_;   // by age: preempted ones are older than new ones
  std::vector<std::unique_ptr<Sequence>> running_;  // by age, oldest first
  std::vector<Turn> turns_;
  std::uint64_t turn_ = 2;  // of the last turn, even
  std::uint32_t preempted_waiting_ = 0;
  std::uint64_t preemptions_ = 0;
};

}  // namespace kvasir::engine
