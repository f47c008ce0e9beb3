#pragma once
// The engine's one thread: take what came in, admit, plan, forward, sample, emit.
//
// mutex_ guards what other threads share with it: the inbox, cancellations, errands, the ids of requests that
// were never admitted, the published stats. It is never held while a sink or the executor runs. Everything
// else belongs to the thread.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/disk_link.h"
#include "engine/engine.h"
#include "engine/families.h"
#include "engine/mask_worker.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "executor/executor.h"
#include "kv/prefix_tree.h"
#include "text/tokenizer.h"

namespace kvasir::engine {

class Engine::Loop {
 public:
  // `options.context_length` is already what the KV memory and the model allow.
  Loop(std::unique_ptr<executor::Executor> executor, std::shared_ptr<const text::Tokenizer> tokenizer,
       EngineOptions options, std::unique_ptr<kv::BlockPool> pool, std::unique_ptr<kv::DiskStore> disk);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  Result<RequestId> submit(Request request, EventSink sink);
  void cancel(RequestId id);
  EngineStats stats() const;
  std::optional<kv::DiskStats> disk_stats() const;
  const EngineOptions& options() const { return options_; }
  std::vector<CachedConversation> cached_conversations(const kv::NameSpaceFilter& whose);
  std::uint64_t forget(const kv::NameSpaceFilter& whose);
  kv::DiskTier* disk() { return disk_ ? &disk_->tier() : nullptr; }

 private:
  // Something that another thread has the engine's do between two steps: `slice` is called, once a step,
  // until it returns true.
  struct Errand {
    std::function<bool()> slice;
    std::promise<void> done;
  };
  void do_on_thread(std::function<bool()> slice);
  void run_errand();
  void run();
  Status check_queue(const std::string& client) const;
  // Sleeps while there is nothing to do, or, `stalled`, nothing until the disk moves; false when the engine
  // stops.
  bool take_inbox(bool stalled);
  void take_arrived(std::vector<std::unique_ptr<Sequence>> arrived);
  void admit();
  void announce(Sequence& sequence);
  bool step();  // false when nothing could be done: all that runs waits for the disk
  bool forward(std::span<const Slice> plan);
  void guess_ahead(std::vector<Slice>& plan);
  // False when that has ended the sequence, which is gone then.
  bool sample(Sequence& sequence, std::span<const float> row, const MaskWorker::Mask& mask);
  void sample_along(const Slice& slice, std::span<const float> rows, const MaskWorker::Mask& mask);
  void ban_ends(const Sequence& sequence, std::vector<TokenId>& banned) const;
  Result<SampledToken> choose(Sequence& sequence, std::span<const float> row, const MaskWorker::Mask& mask);
  bool accept(Sequence& sequence, SampledToken token);
  void write(Sequence& sequence, SampledToken token);
  static bool may_force(const Sequence& sequence);
  void score(Sequence& sequence, std::uint32_t begin, std::span<const float> rows);
  static std::uint32_t prompt_tokens_in(const Slice& slice);
  void report_progress(Sequence& sequence);
  void finish(Sequence& sequence, FinishReason reason);
  void fail(std::unique_ptr<Sequence> sequence, Error error);
  void retire(Sequence& sequence);
  void publish();
  void finish_disk();

  std::unique_ptr<executor::Executor> executor_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  const EngineOptions options_;
  std::size_t vocab_size_;  // tokens that both the model and the tokenizer know
  std::vector<TokenId> end_tokens_;
  std::vector<TokenId> never_excluded_;  // SampleInput's
  std::unique_ptr<kv::BlockPool> pool_;
  kv::PrefixTree tree_;
  Families families_;
  Scheduler scheduler_;
  Sampler sampler_;
  std::vector<TokenId> banned_;     // of the row that is sampled
  std::unique_ptr<DiskLink> disk_;  // null without a disk tier
  std::vector<float> logits_;
  MaskWorker mask_worker_;
  std::vector<MaskWorker::Mask> masks_;  // of the last step, one a row of logits_
  EngineStats counted_;                  // the thread's own; publish() copies it

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::unique_ptr<Sequence>> inbox_;
  std::vector<RequestId> cancellations_;
  std::deque<Errand*> errands_;
  std::unordered_map<std::uint64_t, std::string> queued_;  // submitted, neither admitted nor cancelled: whose
  EngineStats published_;
  std::uint64_t last_id_ = 0;
  // Somebody's request has come, or the engine ends: what a step reads for later can wait. Set and reset
  // under mutex_, read by the executor in the middle of such a step.
  std::atomic<bool> interrupt_{false};
  bool disk_woke_ = false;  // a load has finished, or the write queue has room
  bool stopping_ = false;

  std::thread thread_;  // last: it starts when everything else is there
};

// kInvalidArgument, kContextOverflow: what submit() refuses for the request's own sake.
Status check_request(const Request& request, std::size_t vocab_size, std::uint32_t context_length);

}  // namespace kvasir::engine
