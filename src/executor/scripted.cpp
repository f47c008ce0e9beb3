#include "executor/scripted.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

namespace kvasir::executor {
namespace {

// One token of KV. The chain is never 0 for a written place of a context, so untouched memory shows.
struct Cell {
  TokenId token;
  std::uint32_t chain;
};
static_assert(sizeof(Cell) == 8);

// What each of a state's blocks holds.
struct StateCell {
  std::uint32_t tokens;
  std::uint32_t chain;
  std::uint32_t part;  // which of the blocks
};

constexpr std::uint32_t kChainStart = 0x6b766173;

// The finaliser of MurmurHash3: every input bit reaches every output bit.
std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  x ^= x >> 33;
  return x;
}

std::uint32_t extend(std::uint32_t chain, TokenId token) {
  const std::uint64_t both = (std::uint64_t{chain} << 32) | static_cast<std::uint32_t>(token);
  return static_cast<std::uint32_t>(mix(both + 0x9e3779b97f4a7c15ULL)) | 1U;
}

std::byte* place(KvStorage kv, const SequenceSpan& span, std::size_t position) {
  const std::size_t block = index_of(span.blocks[position / kBlockTokens]);
  return kv.base + block * kv.block_bytes + position % kBlockTokens * sizeof(Cell);
}

Status check_state(const SequenceSpan& span, KvStorage kv, std::uint32_t chain, std::size_t blocks) {
  bool sound = span.state_out.size() == blocks && (span.start == 0 || span.state_in.size() == blocks);
  for (std::uint32_t i = 0; sound && span.start > 0 && i < blocks; ++i) {
    StateCell cell{};
    std::memcpy(&cell, kv.base + index_of(span.state_in[i]) * kv.block_bytes, sizeof(cell));
    sound = cell.tokens == span.start && cell.chain == chain && cell.part == i;
  }
  if (sound) return {};
  return make_error(ErrorCode::kInternal, "scripted executor: the state in front of token " +
                                              std::to_string(span.start) +
                                              " is not that of the tokens before");
}

void write_state(const SequenceSpan& span, KvStorage kv, std::uint32_t chain) {
  const auto end = static_cast<std::uint32_t>(span.start + span.tokens.size());
  for (std::uint32_t i = 0; i < span.state_out.size(); ++i) {
    const StateCell cell{end, chain, i};
    std::memcpy(kv.base + index_of(span.state_out[i]) * kv.block_bytes, &cell, sizeof(cell));
  }
}

Status check_span(const SequenceSpan& span, KvStorage kv) {
  const std::size_t end = span.start + span.tokens.size();
  if (span.tokens.empty() || span.logits_rows > span.tokens.size() ||
      span.blocks.size() * kBlockTokens < end || kv.block_bytes < kBlockTokens * sizeof(Cell)) {
    return make_error(ErrorCode::kInternal, "scripted executor: a span of " +
                                                std::to_string(span.tokens.size()) + " tokens at " +
                                                std::to_string(span.start) + " does not fit its " +
                                                std::to_string(span.blocks.size()) + " blocks");
  }
  return {};
}

Status write_span(const SequenceSpan& span, KvStorage kv, std::size_t state_blocks) {
  std::uint32_t chain = kChainStart;
  if (span.start > 0) {
    Cell before{};
    std::memcpy(&before, place(kv, span, span.start - 1), sizeof(Cell));
    chain = before.chain;
  }
  KVASIR_RETURN_IF_ERROR(check_state(span, kv, chain, state_blocks));
  for (std::size_t i = 0; i < span.tokens.size(); ++i) {
    chain = extend(chain, span.tokens[i]);
    const Cell cell{span.tokens[i], chain};
    std::memcpy(place(kv, span, span.start + i), &cell, sizeof(Cell));
  }
  write_state(span, kv, chain);
  return {};
}

// The whole context as it stands in the blocks; kInternal where it does not hang together.
Result<std::vector<TokenId>> read_context(const SequenceSpan& span, KvStorage kv) {
  const std::size_t end = span.start + span.tokens.size();
  std::vector<TokenId> context(end);
  std::uint32_t chain = kChainStart;
  for (std::size_t i = 0; i < end; ++i) {
    Cell cell{};
    std::memcpy(&cell, place(kv, span, i), sizeof(Cell));
    chain = extend(chain, cell.token);
    if (cell.chain != chain) {
      return make_error(ErrorCode::kInternal, "scripted executor: the KV at token " + std::to_string(i) +
                                                  " of " + std::to_string(end) +
                                                  " does not continue the tokens before it");
    }
    context[i] = cell.token;
  }
  return context;
}

void fill_row(std::span<const TokenId> context, TokenId wanted, std::span<float> row) {
  std::uint32_t chain = kChainStart;
  for (const TokenId token : context) chain = extend(chain, token);
  for (std::size_t id = 0; id < row.size(); ++id) {
    const std::uint64_t bits = mix((std::uint64_t{chain} << 32) + id) >> 40;  // 24 bits: exact in a float
    row[id] = static_cast<float>(bits) * 0x1.0p-23F - 1.0F;
  }
  if (wanted >= 0 && static_cast<std::size_t>(wanted) < row.size())
    row[static_cast<std::size_t>(wanted)] += 50.0F;
}

// Length of the longest end of `text` that is a beginning of `reply`.
std::size_t overlap(std::string_view text, std::string_view reply) {
  for (std::size_t length = std::min(text.size(), reply.size()); length > 0; --length) {
    if (text.ends_with(reply.substr(0, length))) return length;
  }
  return 0;
}

}  // namespace

Result<std::unique_ptr<ScriptedExecutor>> ScriptedExecutor::create(
    std::shared_ptr<const text::Tokenizer> tokenizer, Script script) {
  if (tokenizer == nullptr || tokenizer->vocab_size() == 0) {
    return make_error(ErrorCode::kInvalidArgument, "scripted executor: the tokenizer has no tokens");
  }
  return std::unique_ptr<ScriptedExecutor>(new ScriptedExecutor(std::move(tokenizer), std::move(script)));
}

ScriptedExecutor::ScriptedExecutor(std::shared_ptr<const text::Tokenizer> tokenizer, Script script)
    : tokenizer_(std::move(tokenizer)), script_(std::move(script)) {
  const auto ends = tokenizer_->end_tokens();
  end_token_ = ends.empty() ? kNoToken : ends.front();
  for (const ScriptRule& rule : script_.rules) {
    Reply reply;
    reply.tokens = tokenizer_->encode(rule.reply, text::SpecialText::kParse);
    for (const TokenId token : reply.tokens) {
      reply.begins.push_back(reply.text.size());
      reply.text.append(tokenizer_->bytes(token));
    }
    replies_.push_back(std::move(reply));
  }
  description_.family = "scripted";
  description_.layers = 1;
  description_.vocab_size = tokenizer_->vocab_size();
  description_.context_length = script_.context_length;
  description_.kv_bytes_per_block = kBlockTokens * sizeof(Cell);
  description_.kv_layout = {{0, 1, description_.kv_bytes_per_block, sizeof(Cell)}};
  description_.state_blocks = script_.state_blocks;
  description_.kernel_variant = "scripted";
  description_.kv_type = "tokens";
  description_.weights_id = "scripted";
  description_.rounding_version = 1;
  description_.exact = true;
}

Status ScriptedExecutor::forward(std::span<const SequenceSpan> batch, KvStorage kv, std::span<float> logits,
                                 const std::atomic<bool>* interrupt) {
  if (interrupt != nullptr && interrupt->load(std::memory_order_relaxed)) {
    return make_error(ErrorCode::kCancelled, "the step was interrupted");
  }
  const std::size_t vocab = description_.vocab_size;
  std::size_t rows = 0;
  for (const SequenceSpan& span : batch) {
    KVASIR_RETURN_IF_ERROR(check_span(span, kv));
    rows += span.logits_rows;
  }
  if (logits.size() < rows * vocab) {
    return make_error(ErrorCode::kInternal, "scripted executor: no room for the logits");
  }
  // All writes first: a block that two sequences both write shows when the first is read back.
  for (const SequenceSpan& span : batch)
    KVASIR_RETURN_IF_ERROR(write_span(span, kv, description_.state_blocks));
  std::uint32_t delay_ms = 0;
  for (const SequenceSpan& span : batch) {
    KVASIR_ASSIGN_OR_RETURN(const std::vector<TokenId> context, read_context(span, kv));
    for (std::uint32_t row = 0; row < span.logits_rows; ++row) {
      const auto seen = std::span(context).first(context.size() - span.logits_rows + row + 1);
      const Choice choice = next_token(seen);
      fill_row(seen, choice.token, logits.first(vocab));
      logits = logits.subspan(vocab);
      delay_ms = std::max(delay_ms, choice.delay_ms);
    }
  }
  if (delay_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
  return {};
}

ScriptedExecutor::Choice ScriptedExecutor::next_token(std::span<const TokenId> context) const {
  const std::string text = tokenizer_->decode(context, false);
  const auto marker =
      script_.assistant_marker.empty() ? std::string::npos : text.rfind(script_.assistant_marker);
  const std::string_view all = text;
  const ScriptRule* rule = find_rule(script_, all.substr(0, marker));
  if (rule == nullptr) return {end_token_, 0};
  const Reply& reply = replies_[static_cast<std::size_t>(rule - script_.rules.data())];
  // Raw text without an assistant's opening: what was generated is what the text has of the reply at its end.
  const std::string_view generated =
      marker == std::string::npos
          ? all.substr(all.size() - overlap(all, reply.text))
          : after_generation_prefix(all.substr(marker + script_.assistant_marker.size()), reply.text);
  return {play(reply, generated), rule->delay_ms_per_step};
}

std::string_view ScriptedExecutor::after_generation_prefix(std::string_view generated,
                                                           std::string_view reply) const {
  for (const std::string& prefix : script_.generation_prefixes) {
    if (generated.starts_with(prefix) && !reply.starts_with(prefix)) return generated.substr(prefix.size());
  }
  return generated;
}

TokenId ScriptedExecutor::play(const Reply& reply, std::string_view generated) const {
  // Sampling or a grammar may have left the script: go on by length, so that the answer still ends.
  const std::size_t done = generated.size();
  if (done >= reply.text.size()) return end_token_;
  const auto next = std::ranges::lower_bound(reply.begins, done);
  if (next != reply.begins.end() && *next == done) {
    return reply.tokens[static_cast<std::size_t>(next - reply.begins.begin())];
  }
  return first_token(std::string_view(reply.text).substr(done));
}

// Only off the script's own token boundaries, so its scan over the vocabulary is rare.
TokenId ScriptedExecutor::first_token(std::string_view rest) const {
  TokenId best = end_token_;
  std::size_t longest = 0;
  for (std::size_t id = 0; id < description_.vocab_size; ++id) {
    const std::string_view bytes = tokenizer_->bytes(static_cast<TokenId>(id));
    if (bytes.size() > longest && rest.starts_with(bytes)) {
      best = static_cast<TokenId>(id);
      longest = bytes.size();
    }
  }
  return best;
}

}  // namespace kvasir::executor
