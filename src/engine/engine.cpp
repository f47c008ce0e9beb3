#include "engine/engine.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "engine/loop.h"

namespace kvasir::engine {
namespace {

Error invalid(std::string message, std::string subject) {
  return make_error(ErrorCode::kInvalidArgument, std::move(message), std::move(subject));
}

Status check_sampling(const SamplingParams& p, std::size_t vocab_size) {
  // Written so that NaN fails every one of them.
  if (!(p.temperature >= 0.0F && std::isfinite(p.temperature))) {
    return invalid("temperature must be 0 or more", "temperature");
  }
  if (!(p.top_p >= 0.0F && p.top_p <= 1.0F)) return invalid("top_p must be between 0 and 1", "top_p");
  if (p.top_k < 0) return invalid("top_k must be 0 or more", "top_k");
  if (!(p.min_p >= 0.0F && p.min_p <= 1.0F)) return invalid("min_p must be between 0 and 1", "min_p");
  if (!(p.typical_p >= 0.0F && p.typical_p <= 1.0F))
    return invalid("typical_p must be between 0 and 1", "typical_p");
  if (!(p.xtc_probability >= 0.0F && p.xtc_probability <= 1.0F)) {
    return invalid("xtc_probability must be between 0 and 1", "xtc_probability");
  }
  if (!(p.xtc_threshold >= 0.0F && p.xtc_threshold <= 1.0F)) {
    return invalid("xtc_threshold must be between 0 and 1", "xtc_threshold");
  }
  if (!(p.dry.multiplier >= 0.0F && std::isfinite(p.dry.multiplier))) {
    return invalid("dry_multiplier must be 0 or more", "dry_multiplier");
  }
  if (!(p.dry.base >= 1.0F && std::isfinite(p.dry.base)))
    return invalid("dry_base must be 1 or more", "dry_base");
  if (p.dry.penalty_last_n < -1)
    return invalid("dry_penalty_last_n must be -1 or more", "dry_penalty_last_n");
  for (const std::string& breaker : p.dry.sequence_breakers) {
    if (breaker.empty()) return invalid("a sequence breaker must not be empty", "dry_sequence_breakers");
  }
  if (!(p.repetition_penalty > 0.0F && std::isfinite(p.repetition_penalty))) {
    return invalid("repetition_penalty must be above 0", "repetition_penalty");
  }
  if (!std::isfinite(p.presence_penalty))
    return invalid("presence_penalty must be finite", "presence_penalty");
  if (!std::isfinite(p.frequency_penalty)) {
    return invalid("frequency_penalty must be finite", "frequency_penalty");
  }
  for (const auto& [token, bias] : p.logit_bias) {
    if (token < 0 || static_cast<std::size_t>(token) >= vocab_size || std::isnan(bias)) {
      return invalid("logit_bias names token " + std::to_string(token) +
                         ", which is outside the vocabulary of " + std::to_string(vocab_size) +
                         ", or its bias is not a number",
                     "logit_bias");
    }
  }
  return {};
}

}  // namespace

Status check_request(const Request& request, std::size_t vocab_size, std::uint32_t context_length) {
  if (request.prompt.empty()) return invalid("the prompt is empty", "prompt");
  for (const TokenId token : request.prompt) {
    if (token < 0 || static_cast<std::size_t>(token) >= vocab_size) {
      return invalid("the prompt holds token " + std::to_string(token) + ", outside the vocabulary of " +
                         std::to_string(vocab_size),
                     "prompt");
    }
  }
  if (request.min_tokens > request.max_tokens) {
    return invalid("min_tokens " + std::to_string(request.min_tokens) + " is more than max_tokens " +
                       std::to_string(request.max_tokens),
                   "min_tokens");
  }
  for (const TokenId token : request.stop_tokens) {
    if (token < 0 || static_cast<std::size_t>(token) >= vocab_size) {
      return invalid("stop_token_ids names token " + std::to_string(token) + ", outside the vocabulary of " +
                         std::to_string(vocab_size),
                     "stop_token_ids");
    }
  }
  const std::uint64_t wanted = std::uint64_t{request.prompt.size()} + request.max_tokens;
  if (wanted > context_length) {
    return make_error(ErrorCode::kContextOverflow,
                      "the prompt's " + std::to_string(request.prompt.size()) + " tokens and max_tokens " +
                          std::to_string(request.max_tokens) + " make " + std::to_string(wanted) +
                          ", more than the context of " + std::to_string(context_length) + " tokens",
                      "max_tokens");
  }
  return check_sampling(request.sampling, vocab_size);
}

std::uint32_t most_logits_rows(const EngineOptions& options) {
  return options.max_batch + kScoredAtOnce + options.prompt_lookup;
}

std::string cache_root(const executor::Description& model, const text::Tokenizer& tokenizer) {
  std::string name;
  for (const std::string& part :
       {model.family, model.weights_id, model.kv_type, model.kernel_variant, model.precision,
        std::to_string(model.rounding_version), tokenizer.fingerprint()}) {
    name.append(std::to_string(part.size())).append(":").append(part);
  }
  return name;
}

std::uint32_t states_of_one(const executor::Description& model) {
  return 2 * model.state_blocks;
}

kv::StateShape state_shape(const executor::Description& model) {
  // A state for at least so many tokens, whose recomputing takes a step or so, and for so many that states
  // take no more memory a token than the KV of an ordinary model of some billion weights.
  constexpr std::uint32_t kLeastBlocks = 8;
  constexpr std::uint32_t kMostBlocks = 32;
  constexpr std::size_t kBytesAToken = std::size_t{64} << 10;
  const std::size_t bytes = model.state_blocks * model.kv_bytes_per_block;
  const auto blocks =
      static_cast<std::uint32_t>(std::min<std::size_t>(bytes / (kBytesAToken * kBlockTokens), kMostBlocks));
  return {model.state_blocks, std::clamp(std::bit_ceil(blocks), kLeastBlocks, kMostBlocks)};
}

Result<std::unique_ptr<Engine>> Engine::create(std::unique_ptr<executor::Executor> executor,
                                               std::shared_ptr<const text::Tokenizer> tokenizer,
                                               EngineOptions options, std::unique_ptr<kv::DiskStore> disk) {
  if (executor == nullptr || tokenizer == nullptr)
    return invalid("an engine needs an executor and a tokenizer", "");
  const executor::Description& model = executor->describe();
  if (options.max_batch == 0 || options.queue_limit == 0 || options.prefill_chunk == 0 ||
      options.prefill_chunk_busy == 0) {
    return invalid("max_batch, queue_limit, prefill_chunk and prefill_chunk_busy must be at least 1",
                   "options");
  }
  if (options.decode_slowdown != 0 && options.decode_slowdown <= 1)
    return invalid("decode_slowdown must be more than 1, or 0", "options");
  const std::size_t blocks = model.kv_bytes_per_block == 0 ? 0 : options.kv_bytes / model.kv_bytes_per_block;
  if (blocks == 0) {
    return invalid("the KV cache's " + std::to_string(options.kv_bytes) + " bytes do not hold one block of " +
                       std::to_string(model.kv_bytes_per_block) + " bytes",
                   "kv_bytes");
  }
  const auto block_count = static_cast<std::uint32_t>(
      std::min<std::size_t>(blocks, std::numeric_limits<std::int32_t>::max() / kBlockTokens));
  if (block_count <= states_of_one(model)) {
    return invalid("the KV cache's " + std::to_string(options.kv_bytes) +
                       " bytes do not hold the state of one "
                       "sequence, which takes " +
                       std::to_string(states_of_one(model)) + " blocks of " +
                       std::to_string(model.kv_bytes_per_block) + " bytes",
                   "kv_bytes");
  }
  // What the model, the caller and the memory allow: a request within it can always run.
  std::uint32_t context = (block_count - states_of_one(model)) * kBlockTokens;
  if (model.context_length > 0) context = std::min(context, model.context_length);
  if (options.context_length > 0) context = std::min(context, options.context_length);
  options.context_length = context;
  KVASIR_ASSIGN_OR_RETURN(auto pool, kv::BlockPool::create(block_count, model.kv_bytes_per_block));
  return std::unique_ptr<Engine>(new Engine(std::make_unique<Loop>(
      std::move(executor), std::move(tokenizer), std::move(options), std::move(pool), std::move(disk))));
}

Engine::Engine(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}
Engine::~Engine() = default;

Result<RequestId> Engine::submit(Request request, EventSink sink) {
  return loop_->submit(std::move(request), std::move(sink));
}
void Engine::cancel(RequestId id) {
  loop_->cancel(id);
}
EngineStats Engine::stats() const {
  return loop_->stats();
}
std::optional<kv::DiskStats> Engine::disk_stats() const {
  return loop_->disk_stats();
}
std::vector<CachedConversation> Engine::cached_conversations(const kv::NameSpaceFilter& whose) {
  return loop_->cached_conversations(whose);
}
std::uint64_t Engine::forget(const kv::NameSpaceFilter& whose) {
  return loop_->forget(whose);
}
kv::DiskTier* Engine::disk() {
  return loop_->disk();
}
const EngineOptions& Engine::options() const {
  return loop_->options();
}
std::uint32_t Engine::context_length() const {
  return loop_->options().context_length;
}

}  // namespace kvasir::engine
