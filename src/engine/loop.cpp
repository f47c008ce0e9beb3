#include "engine/loop.h"

#include <algorithm>
#include <limits>
#include <list>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "base/check.h"

namespace kvasir::engine {
namespace {

// How long a full write queue is waited for before it is tried again.
constexpr std::chrono::milliseconds kDiskPatience{50};
// Answers at once that are guessed: with more, a step is bound by arithmetic, not by reading weights.
constexpr std::size_t kGuessedAtOnce = 2;
// Some milliseconds' worth of blocks.
constexpr std::uint32_t kForgottenASlice = 4096;

double seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

Engine::Loop::Loop(std::unique_ptr<executor::Executor> executor,
                   std::shared_ptr<const text::Tokenizer> tokenizer, EngineOptions options,
                   std::unique_ptr<kv::BlockPool> pool, std::unique_ptr<kv::DiskStore> disk)
    : executor_(std::move(executor)),
      tokenizer_(std::move(tokenizer)),
      options_(std::move(options)),
      vocab_size_(std::min(executor_->describe().vocab_size, tokenizer_->vocab_size())),
      pool_(std::move(pool)),
      tree_(*pool_, cache_root(executor_->describe(), *tokenizer_), kv::hash_block, disk != nullptr,
            state_shape(executor_->describe())),
      families_(tree_),
      scheduler_(tree_, options_),
      sampler_([this](TokenId token) { return tokenizer_->bytes(token); }) {
  for (const TokenId token : tokenizer_->end_tokens()) {
    if (static_cast<std::size_t>(token) < vocab_size_) end_tokens_.push_back(token);
  }
  never_excluded_ = end_tokens_;
  for (const TokenId token : tokenizer_->encode("\n", text::SpecialText::kAsText))
    never_excluded_.push_back(token);
  if (disk) {
    kv::DiskTierOptions tier;
    tier.queue_bytes = options_.disk_queue_bytes;
    tier.wake = [this] {
      {
        const std::lock_guard lock(mutex_);
        disk_woke_ = true;
      }
      wake_.notify_one();
    };
    tier.warn = options_.warn;
    disk_ = std::make_unique<DiskLink>(
        std::make_unique<kv::DiskTier>(std::move(disk), executor_->describe().kv_layout, pool_->block_bytes(),
                                       std::move(tier)),
        tree_, options_);
  }
  publish();
  thread_ = std::thread([this] { run(); });
}

Engine::Loop::~Loop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    interrupt_ = true;
  }
  wake_.notify_one();
  thread_.join();
  disk_.reset();  // its threads wake this loop: they end before what they touch
}

Result<RequestId> Engine::Loop::submit(Request request, EventSink sink) {
  KVASIR_RETURN_IF_ERROR(check_request(request, vocab_size_, options_.context_length));
  RequestId id{};
  {
    const std::lock_guard lock(mutex_);
    KVASIR_RETURN_IF_ERROR(check_queue(request.client));
    id = RequestId{++last_id_};
    queued_.emplace(last_id_, request.client);
    if (!request.background) interrupt_ = true;
    inbox_.push_back(std::make_unique<Sequence>(id, std::move(request), std::move(sink), tree_, *tokenizer_));
  }
  wake_.notify_one();
  return id;
}

// Under mutex_. One client's full queue leaves others their share, at most as much again.
Status Engine::Loop::check_queue(const std::string& client) const {
  const std::size_t limit = options_.queue_limit;
  if (queued_.size() < limit) return {};
  std::size_t own = 0;
  std::unordered_set<std::string_view> clients{client};
  for (const auto& [id, whose] : queued_) {
    clients.insert(whose);
    if (whose == client) ++own;
  }
  if (own < limit / clients.size() && queued_.size() < 2 * limit) return {};
  return make_error(ErrorCode::kResourceExhausted, "the queue is full: " + std::to_string(queued_.size()) +
                                                       " requests are waiting, " + std::to_string(own) +
                                                       " of them this client's, and queue_limit is " +
                                                       std::to_string(limit) + "; try again later");
}

void Engine::Loop::cancel(RequestId id) {
  {
    const std::lock_guard lock(mutex_);
    if (static_cast<std::uint64_t>(id) > last_id_) return;
    queued_.erase(static_cast<std::uint64_t>(id));  // its place in the queue is free at once
    cancellations_.push_back(id);
  }
  wake_.notify_one();
}

EngineStats Engine::Loop::stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats = published_;
  stats.waiting += static_cast<std::uint32_t>(queued_.size());
  return stats;
}

std::optional<kv::DiskStats> Engine::Loop::disk_stats() const {
  return disk_ ? std::optional(disk_->stats()) : std::nullopt;
}

std::vector<CachedConversation> Engine::Loop::cached_conversations(const kv::NameSpaceFilter& whose) {
  std::vector<CachedConversation> all;
  do_on_thread([&] {
    for (const auto& c : tree_.conversations(whose)) {
      all.push_back({std::string(c.name_space), c.tokens, c.in_use, std::string(families_.key_of(c.leaf))});
    }
    return true;
  });
  return all;
}

std::uint64_t Engine::Loop::forget(const kv::NameSpaceFilter& whose) {
  std::uint64_t gone = 0;
  do_on_thread([&] {
    const std::uint32_t now = tree_.forget(whose, kForgottenASlice);
    gone += now;
    if (now > 0) return false;
    // Nothing of it is left that could be queued again, but for what running requests use.
    if (disk_) disk_->tier().drop_queued(whose);
    return true;
  });
  return gone;
}

void Engine::Loop::do_on_thread(std::function<bool()> slice) {
  Errand errand{std::move(slice), {}};
  auto done = errand.done.get_future();
  {
    const std::lock_guard lock(mutex_);
    errands_.push_back(&errand);
  }
  wake_.notify_one();
  done.wait();
}

void Engine::Loop::run_errand() {
  Errand* errand = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (errands_.empty()) return;
    errand = errands_.front();
  }
  if (!errand->slice()) return;
  {
    const std::lock_guard lock(mutex_);
    errands_.pop_front();
  }
  publish();  // before whoever waits looks at the stats
  errand->done.set_value();
}

void Engine::Loop::run() {
  bool stalled = false;
  while (take_inbox(stalled)) {
    run_errand();
    if (disk_) {
      for (Sequence* sequence : disk_->finish_loads(scheduler_.running())) announce(*sequence);
    }
    admit();
    stalled = !scheduler_.running().empty() && !step();
    if (disk_) disk_->save_new(false);
    publish();
  }
  while (auto sequence = scheduler_.remove_any()) {
    fail(std::move(sequence), make_error(ErrorCode::kUnavailable, "the engine is shutting down"));
  }
  if (disk_) finish_disk();
}

// What is in memory only goes to disk, as far as the disk keeps up.
void Engine::Loop::finish_disk() {
  disk_->save_new(true);
  while (!disk_->all_saved() || disk_->loading()) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kDiskPatience, [this] { return disk_woke_; });
      disk_woke_ = false;
    }
    disk_->finish_loads(scheduler_.running());
    disk_->save_new(true);
  }
}

bool Engine::Loop::take_inbox(bool stalled) {
  std::vector<std::unique_ptr<Sequence>> arrived;
  std::vector<RequestId> cancelled;
  bool stopping = false;
  if (scheduler_.idle()) {
    KVASIR_CHECK(pool_->counts().in_use == 0 || (disk_ && disk_->loading()), "an idle engine uses no blocks");
    pool_->check_conservation();
    if (disk_) disk_->save_new(true);
  }
  {
    std::unique_lock lock(mutex_);
    if (scheduler_.idle() || stalled) {
      wake_.wait(lock, [this] {
        return stopping_ || disk_woke_ || !inbox_.empty() || !cancellations_.empty() || !errands_.empty();
      });
    }
    disk_woke_ = false;
    arrived.swap(inbox_);
    cancelled.swap(cancellations_);
    stopping = stopping_;
    interrupt_ = stopping;
  }
  take_arrived(std::move(arrived));
  for (const RequestId id : cancelled) {
    auto sequence = scheduler_.remove(id);
    if (sequence == nullptr) continue;  // it has ended meanwhile
    fail(std::move(sequence), make_error(ErrorCode::kCancelled, "the request was cancelled"));
  }
  return !stopping;
}

// Work for later gives way to work for somebody.
void Engine::Loop::take_arrived(std::vector<std::unique_ptr<Sequence>> arrived) {
  const auto is_real = [](const auto& sequence) { return !sequence->request.background; };
  const auto give_up = [this](std::unique_ptr<Sequence> sequence) {
    fail(std::move(sequence), make_error(ErrorCode::kCancelled, "other work came first"));
  };
  if (std::ranges::any_of(arrived, is_real)) {
    std::vector<RequestId> background;
    for (const auto& sequence : scheduler_.running()) {
      if (!is_real(sequence)) background.push_back(sequence->id);
    }
    for (const RequestId id : background) give_up(scheduler_.remove(id));
  }
  for (auto& sequence : arrived) {
    const bool busy = !scheduler_.idle() ||
                      std::ranges::any_of(arrived, [&](const auto& s) { return s != nullptr && is_real(s); });
    if (!is_real(sequence) && busy) {
      give_up(std::move(sequence));
    } else {
      // At least one token is left to the model.
      if (may_force(*sequence) && sequence->request.max_tokens > 0) {
        const auto forced = sequence->request.constraint->take_forced(
            std::min(sequence->request.max_tokens - 1, kForcedMost));
        sequence->tokens.insert(sequence->tokens.end(), forced.begin(), forced.end());
      }
      scheduler_.enqueue(std::move(sequence));
    }
  }
}

void Engine::Loop::admit() {
  const std::vector<Sequence*> admitted = scheduler_.admit();
  if (admitted.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    for (const Sequence* sequence : admitted) queued_.erase(static_cast<std::uint64_t>(sequence->id));
  }
  publish();
  for (Sequence* sequence : admitted) {
    const Request& request = sequence->request;
    for (const std::string& waiting : request.cache_ancestors)
      families_.touch(request.cache_namespace, waiting);
    families_.touch(request.cache_namespace, request.cache_family);
    if (disk_ && disk_->start_load(*sequence)) continue;  // announced when it is there
    announce(*sequence);
  }
}

void Engine::Loop::announce(Sequence& sequence) {
  if (std::exchange(sequence.announced, true)) return;
  sequence.reported = sequence.cached_tokens;
  sequence.sink(Started{sequence.prompt_tokens, sequence.cached_tokens, sequence.loaded_tokens});
}

bool Engine::Loop::step() {
  std::vector<Slice> plan = scheduler_.plan();
  guess_ahead(plan);
  for (const auto& sequence : scheduler_.running()) report_progress(*sequence);  // what was taken over
  if (plan.empty()) return false;
  ++counted_.steps;
  counted_.largest_batch = std::max(counted_.largest_batch, static_cast<std::uint32_t>(plan.size()));
  std::size_t answers = 0;
  std::uint32_t read = 0;
  for (const Slice& slice : plan) {
    if (slice.sequence->decoding())
      ++answers;
    else
      read += slice.tokens;
  }
  const auto before = Clock::now();
  if (!forward(plan)) return true;
  if (disk_) disk_->observe_prefill(read, seconds(Clock::now() - before));

  const std::size_t row_size = executor_->describe().vocab_size;
  std::size_t row = 0;
  std::size_t sampled = 0;
  for (const Slice& slice : plan) {
    Sequence& sequence = *slice.sequence;
    if (sequence.request.background) {
      counted_.idle_prefill_tokens += slice.tokens;
    } else if (!sequence.decoding()) {
      counted_.prefill_tokens += prompt_tokens_in(slice);
    }
    sequence.computed += slice.tokens;
    sequence.table.commit(sequence.tokens, sequence.computed);
    report_progress(sequence);
    const auto rows = std::span<const float>(logits_).subspan(row * row_size, slice.logits_rows() * row_size);
    row += slice.logits_rows();
    if (slice.scores) score(sequence, sequence.computed - slice.tokens, rows);
    const bool reads_only = sequence.request.background || sequence.request.max_tokens == 0;
    // Either may end the sequence; no other slice refers to it.
    if (reads_only && sequence.remaining() == 0) {
      finish(sequence, FinishReason::kLength);
    } else if (slice.samples) {
      sample_along(slice, rows.last((1 + slice.guess.size()) * row_size), masks_[sampled++]);
    }
  }
  scheduler_.took(answers, read, seconds(Clock::now() - before));
  return true;
}

// Guesses are free as long as a step waits for memory: not beside a prompt, nor in a large batch.
void Engine::Loop::guess_ahead(std::vector<Slice>& plan) {
  if (options_.prompt_lookup == 0 || plan.size() > kGuessedAtOnce || !executor_->describe().exact) return;
  // A state cannot be taken back behind a wrong guess (docs/decisions/0023-recurrent-state.md).
  if (executor_->describe().state_blocks > 0) return;
  if (std::ranges::any_of(plan, [](const Slice& slice) { return !slice.sequence->decoding(); })) return;
  const std::uint32_t share = options_.prompt_lookup / static_cast<std::uint32_t>(plan.size());
  for (Slice& slice : plan) {
    if (!slice.samples) continue;
    Sequence& sequence = *slice.sequence;
    // The answer's last token need not be read.
    const std::uint32_t left = sequence.request.max_tokens - sequence.generated();
    std::vector<TokenId> guess = sequence.lookup.guess(sequence.tokens, std::min(share, left - 1));
    const auto end = std::ranges::find_first_of(guess, end_tokens_);  // nothing comes behind it
    guess.erase(end, guess.end());
    const auto until = sequence.length() + static_cast<std::uint32_t>(guess.size());
    if (guess.empty() || !sequence.table.reserve(until)) continue;
    slice.guess = std::move(guess);
    ++counted_.guesses;
    counted_.guessed_tokens += slice.guess.size();
  }
}

// Samples behind the slice's last token, and, as long as the answer is what was guessed, behind the guess's.
// `rows`: the logits of that token and of the guess.
void Engine::Loop::sample_along(const Slice& slice, std::span<const float> rows,
                                const MaskWorker::Mask& mask) {
  Sequence& sequence = *slice.sequence;
  const std::size_t row_size = executor_->describe().vocab_size;
  const auto row_of = [&](std::size_t i) { return rows.subspan(i * row_size, vocab_size_); };
  if (!sample(sequence, row_of(0), mask)) return;
  std::uint32_t kept = 0;
  for (std::size_t i = 0; i < slice.guess.size(); ++i) {
    if (sequence.tokens[sequence.computed] != slice.guess[i]) break;
    ++kept;
    ++counted_.kept_guesses;
    ++sequence.computed;
    sequence.table.commit(sequence.tokens, sequence.computed);
    if (sequence.remaining() > 0) continue;  // a grammar forced what comes next
    Constraint* constraint = sequence.request.constraint.get();
    const MaskWorker::Mask next = constraint != nullptr ? constraint->mask() : MaskWorker::Mask(std::nullopt);
    if (!sample(sequence, row_of(i + 1), next)) return;
  }
  sequence.lookup.judge(static_cast<std::uint32_t>(slice.guess.size()), kept);
}

// `rows`: the logits of the tokens from position `begin` on; each scores the token behind it.
void Engine::Loop::score(Sequence& sequence, std::uint32_t begin, std::span<const float> rows) {
  const std::size_t row_size = executor_->describe().vocab_size;
  const auto count = static_cast<std::uint32_t>(rows.size() / row_size);
  Scored event;
  if (sequence.scored == 0) {
    event.tokens.push_back({sequence.tokens[0], std::numeric_limits<float>::quiet_NaN(), {}});
    sequence.scored = 1;
  }
  // What was scored before a preemption is read again and not told again.
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t position = begin + i + 1;
    if (position < sequence.scored || position >= sequence.prompt_tokens) continue;
    event.tokens.push_back(sampler_.score(rows.subspan(i * row_size, vocab_size_), sequence.tokens[position],
                                          *sequence.request.prompt_logprobs));
    sequence.scored = position + 1;
  }
  if (!event.tokens.empty()) sequence.sink(std::move(event));
}

// Tokens of the prompt in a slice; all of them where an answer is read again.
std::uint32_t Engine::Loop::prompt_tokens_in(const Slice& slice) {
  const Sequence& s = *slice.sequence;
  if (s.sampled) return slice.tokens;
  return std::min(s.computed + slice.tokens, s.prompt_tokens) - std::min(s.computed, s.prompt_tokens);
}

bool Engine::Loop::forward(std::span<const Slice> plan) {
  std::vector<executor::SequenceSpan> batch;
  std::list<std::vector<TokenId>> with_guess;  // the batch looks at them
  std::vector<Constraint*> constraints;        // one a token to be sampled
  std::size_t rows = 0;
  for (const Slice& slice : plan) {
    const Sequence& sequence = *slice.sequence;
    auto tokens = std::span<const TokenId>(sequence.tokens).subspan(sequence.computed, slice.tokens);
    if (!slice.guess.empty()) {
      std::vector<TokenId>& whole = with_guess.emplace_back(tokens.begin(), tokens.end());
      whole.insert(whole.end(), slice.guess.begin(), slice.guess.end());
      tokens = whole;
    }
    batch.push_back({tokens, sequence.computed, sequence.table.blocks(), slice.logits_rows(),
                     sequence.table.state_in(), sequence.table.state_out()});
    rows += slice.logits_rows();
    if (slice.samples) constraints.push_back(sequence.request.constraint.get());
  }
  const std::size_t floats = rows * executor_->describe().vocab_size;
  if (logits_.size() < floats) logits_.resize(floats);
  const bool for_later =
      std::ranges::all_of(plan, [](const Slice& slice) { return slice.sequence->request.background; });
  mask_worker_.begin(std::move(constraints));
  const Status status =
      executor_->forward(batch, {pool_->base(), pool_->block_bytes()}, std::span(logits_).first(floats),
                         for_later ? &interrupt_ : nullptr);
  masks_ = mask_worker_.finish();
  if (status.ok()) return true;
  if (for_later && status.error().code == ErrorCode::kCancelled) return false;  // what came decides
  for (const Slice& slice : plan) {
    // Nothing is known of the blocks that the failed step wrote: only those before them are kept.
    slice.sequence->computed -= slice.sequence->computed % kBlockTokens;
    slice.sequence->table.drop_state();
    fail(scheduler_.remove(slice.sequence->id), status.error());
  }
  return false;
}

void Engine::Loop::ban_ends(const Sequence& sequence, std::vector<TokenId>& banned) const {
  banned.clear();
  const bool too_early = sequence.generated() < sequence.request.min_tokens;
  if (too_early || sequence.request.ignore_eos) banned = end_tokens_;
  const std::vector<TokenId>& stops = sequence.request.stop_tokens;
  if (too_early) banned.insert(banned.end(), stops.begin(), stops.end());
}

Result<SampledToken> Engine::Loop::choose(Sequence& sequence, std::span<const float> row,
                                          const MaskWorker::Mask& mask) {
  SampleInput input;
  input.logits = row;
  input.history = sequence.tokens;
  input.prompt_size = sequence.prompt_tokens;
  input.position = sequence.tokens.size();
  input.top_logprobs = sequence.request.logprobs;
  KVASIR_ASSIGN_OR_RETURN(input.mask, mask);
  ban_ends(sequence, banned_);
  input.banned = banned_;
  input.never_excluded = never_excluded_;
  KVASIR_ASSIGN_OR_RETURN(SampledToken token, sampler_.sample(sequence.request.sampling, input));
  if (Constraint* constraint = sequence.request.constraint.get()) {
    KVASIR_RETURN_IF_ERROR(constraint->accept(token.token));
  }
  return token;
}

bool Engine::Loop::sample(Sequence& sequence, std::span<const float> row, const MaskWorker::Mask& mask) {
  if (!sequence.sampled) {
    sequence.sampled = true;
    sequence.first_token = Clock::now();
    for (std::uint32_t i = sequence.prompt_tokens; i < sequence.length(); ++i)
      write(sequence, {sequence.tokens[i], 0.0F, {}});
  }
  auto token = choose(sequence, row, mask);
  if (!token.ok()) {
    fail(scheduler_.remove(sequence.id), token.error());
    return false;
  }
  const std::vector<TokenId>& stops = sequence.request.stop_tokens;
  if (std::ranges::find(end_tokens_, token->token) != end_tokens_.end() ||
      std::ranges::find(stops, token->token) != stops.end()) {
    finish(sequence, FinishReason::kStop);
    return false;
  }
  return accept(sequence, std::move(*token));
}

bool Engine::Loop::accept(Sequence& sequence, SampledToken token) {
  sequence.tokens.push_back(token.token);
  write(sequence, std::move(token));
  if (sequence.answer.stop_string()) {
    finish(sequence, FinishReason::kStopString);
    return false;
  }
  // The last token is the model's, so that a run's KV is there when the answer ends by its length.
  const std::uint32_t left = sequence.request.max_tokens - sequence.generated();
  if (left > 1 && may_force(sequence)) {
    const std::size_t most = std::min(left - 1, kForcedMost);
    for (const TokenId forced : sequence.request.constraint->take_forced_within(most, kForcedLeast)) {
      sequence.tokens.push_back(forced);
      write(sequence, {forced, 0.0F, {}});
    }
  }
  if (sequence.generated() < sequence.request.max_tokens) return true;
  finish(sequence, FinishReason::kLength);
  return false;
}

void Engine::Loop::write(Sequence& sequence, SampledToken token) {
  ++counted_.generated_tokens;
  if (auto text = sequence.answer.add(std::move(token))) sequence.sink(std::move(*text));
}

// A forced token has no logprobs, and a stop string may end an answer in the middle of a run.
bool Engine::Loop::may_force(const Sequence& sequence) {
  const Request& request = sequence.request;
  return request.constraint != nullptr && !request.logprobs && request.stop.empty();
}

void Engine::Loop::report_progress(Sequence& sequence) {
  const std::uint32_t done = std::min(sequence.computed, sequence.prompt_tokens);
  if (!sequence.announced || sequence.sampled || done <= sequence.reported) return;
  sequence.reported = done;
  sequence.sink(Progress{done, sequence.prompt_tokens});
}

void Engine::Loop::finish(Sequence& sequence, FinishReason reason) {
  if (auto text = sequence.answer.finish()) sequence.sink(std::move(*text));
  const std::unique_ptr<Sequence> ended = scheduler_.remove(sequence.id);
  const auto now = Clock::now();
  Finished event;
  event.reason = reason;
  event.stop_string = ended->answer.stop_string().value_or("");
  event.usage = {ended->prompt_tokens, ended->cached_tokens, ended->generated(), ended->loaded_tokens};
  event.queue_seconds = seconds(ended->admitted - ended->submitted);
  const auto first_token = ended->sampled ? ended->first_token : now;
  event.prefill_seconds = seconds(first_token - ended->admitted);
  event.decode_seconds = seconds(now - first_token);
  if (!ended->request.background) ++counted_.requests_finished;
  retire(*ended);
  ended->sink(std::move(event));
}

void Engine::Loop::fail(std::unique_ptr<Sequence> sequence, Error error) {
  if (!sequence->request.background) {
    ++(error.code == ErrorCode::kCancelled ? counted_.requests_cancelled : counted_.requests_failed);
  }
  if (!sequence->started) {
    const std::lock_guard lock(mutex_);
    queued_.erase(static_cast<std::uint64_t>(sequence->id));
  }
  sequence->drop_load();
  retire(*sequence);
  sequence->sink(Failed{std::move(error)});
}

// The sequence's KV goes to the tree and the stats are up to date before its last event is sent: whoever
// waits for that event sees both.
void Engine::Loop::retire(Sequence& sequence) {
  sequence.table.close(sequence.tokens, sequence.computed);
  families_.remember(sequence.request.cache_namespace, sequence.request.cache_family,
                     std::span<const TokenId>(sequence.tokens).first(sequence.computed));
  if (sequence.started && !sequence.request.background) {
    counted_.prompt_tokens += sequence.prompt_tokens;
    counted_.cached_tokens += sequence.cached_tokens;
    counted_.loaded_tokens += sequence.loaded_tokens;
  }
  publish();
}

void Engine::Loop::publish() {
  const kv::PoolCounts& blocks = pool_->counts();
  counted_.running = static_cast<std::uint32_t>(scheduler_.running().size());
  counted_.waiting = scheduler_.preempted_waiting();  // stats() adds those that were never admitted
  counted_.preemptions = scheduler_.preemptions();
  counted_.evicted_blocks = tree_.evicted_blocks();
  counted_.blocks_total = blocks.total;
  counted_.blocks_free = blocks.free;
  counted_.blocks_cached = blocks.cached;
  counted_.block_bytes = pool_->block_bytes();
  const std::lock_guard lock(mutex_);
  published_ = counted_;
}

}  // namespace kvasir::engine
