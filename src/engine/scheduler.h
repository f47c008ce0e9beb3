#pragma once
// Who runs, and what each step reads. Policy only: it moves sequences between waiting and running and sees to
// their blocks, but sends no events and runs no model.
//
// Admission is first come, first served, as soon as the blocks for all of a request's tokens so far can be
// had on top of what the running ones still need. Answers grow on demand; when no block is left, the youngest
// running sequence gives up its blocks (its KV stays in the tree as long as it can) and waits at the front of
// the queue. The oldest is never preempted and fits by itself, so something always moves on and nothing is
// ever killed (docs/decisions/0003-prefix-tree.md).
//
// A step holds one token of every decoding sequence and a chunk of prompt. Sequences that read their prompts
// take turns: a short prompt waits for one chunk of a long one, not for all of it. A sequence whose next
// tokens are just being read by an older one waits for them: full blocks it takes from the tree, of the block
// in which the two part it copies what they share. One whose KV is on its way from disk computes at most what
// is in front of that until it is there.
//
// Owned by the engine's thread.

#include <deque>
#include <memory>
#include <vector>

#include "engine/sequence.h"

namespace kvasir::engine {

// What a step reads of one sequence: `tokens` tokens from sequence->computed on.
struct Slice {
  Sequence* sequence = nullptr;
  std::uint32_t tokens = 0;
  bool wants_logits = false;  // the slice reaches the end: the next token is to be sampled
};

class Scheduler {
 public:
  Scheduler(kv::PrefixTree& tree, const EngineOptions& options) : tree_(tree), options_(options) {}

  void enqueue(std::unique_ptr<Sequence> sequence) { waiting_.push_back(std::move(sequence)); }
  // Admits what fits, and returns it.
  std::vector<Sequence*> admit();
  // The next step; empty when nothing runs, or all that runs waits for the disk. Room for every slice is
  // reserved.
  std::vector<Slice> plan();
  // Takes a sequence out; null when the id is unknown.
  std::unique_ptr<Sequence> remove(RequestId id);
  std::unique_ptr<Sequence> remove_any();

  bool idle() const { return running_.empty() && waiting_.empty(); }
  const std::vector<std::unique_ptr<Sequence>>& running() const { return running_; }
  std::uint32_t preempted_waiting() const { return preempted_waiting_; }
  std::uint64_t preemptions() const { return preemptions_; }

 private:
  bool fits(const Sequence& next) const;
  void start(std::unique_ptr<Sequence> sequence);
  void preempt_youngest(std::vector<Slice>& plan);
  bool make_room(Sequence& sequence, std::uint32_t tokens, std::vector<Slice>& plan);
  void add(Sequence& sequence, std::uint32_t tokens, std::vector<Slice>& plan);
  void adopt_what_others_read();
  std::vector<Sequence*> prefilling_in_turn() const;
  void copy_what_others_read(Sequence& sequence);
  bool is_being_read(const Sequence& sequence) const;

  kv::PrefixTree& tree_;
  const EngineOptions& options_;
  std::deque<std::unique_ptr<Sequence>> waiting_;   // by age: preempted ones are older than new ones
  std::vector<std::unique_ptr<Sequence>> running_;  // by age, oldest first
  RequestId last_prefilled_{};                      // whose turn it was
  std::uint32_t preempted_waiting_ = 0;
  std::uint64_t preemptions_ = 0;
};

}  // namespace kvasir::engine
