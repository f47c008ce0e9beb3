#include "chat/thought_budget.h"

#include <algorithm>
#include <deque>
#include <string>

#include "chat/thought_watch.h"
#include "chat/token_mask.h"
#include "chat/token_text.h"

namespace kvasir::chat {
namespace {

constexpr std::uint32_t kMarginShare = 16;
constexpr std::uint32_t kMarginMost = 32;

// What of `want` is missing behind `text`, which may end with a beginning of it.
std::string_view missing(std::string_view text, std::string_view want) {
  for (std::size_t there = std::min(text.size(), want.size()); there > 0; --there) {
    if (text.ends_with(want.substr(0, there))) return want.substr(there);
  }
  return want;
}

// A full stop behind a digit may be a point.
bool ends_sentence(std::string_view text) {
  if (text.empty()) return false;
  const char last = text.back();
  if (last == '\n' || last == '!' || last == '?' || text.ends_with("。")) return true;
  return last == '.' && !(text.size() > 1 && text[text.size() - 2] >= '0' && text[text.size() - 2] <= '9');
}

class ThoughtBudget : public engine::Constraint {
 public:
  ThoughtBudget(const ConstraintContext& context, std::uint32_t limit,
                std::unique_ptr<engine::Constraint> inner)
      : inner_(std::move(inner)),
        tokenizer_(context.tokenizer),
        format_(context.traits->reasoning),
        turn_open_(context.traits->format.turn_open),
        limit_(limit),
        margin_(std::min(limit / kMarginShare, kMarginMost)),
        watch_(format_, context.opens_reasoning),
        tail_(context.opens_reasoning ? format_.space.open : std::string()) {
    if (watch_.inside() && limit_ == 0) close();
  }

  Result<std::optional<std::span<const std::uint32_t>>> mask() override {
    if (!closing_.empty()) {
      mask_.fill(tokenizer_->vocab_size(), false);
      mask_.set(closing_.front());
      return std::optional(mask_.words());
    }
    std::optional<std::span<const std::uint32_t>> allowed;
    if (inner_ != nullptr) {
      KVASIR_ASSIGN_OR_RETURN(allowed, inner_->mask());
    }
    // Behind the control token that opens a thought, among other things (gpt-oss, Gemma 4).
    if (!spent() || !watch_.opening().ends_with('>')) return allowed;
    if (allowed) {
      mask_.assign(*allowed);
    } else {
      mask_.fill(tokenizer_->vocab_size(), true);
    }
    forbid(std::string_view(format_.open).substr(watch_.opening().size()));
    return std::optional(mask_.words());
  }

  Status accept(TokenId token) override {
    if (inner_ != nullptr) KVASIR_RETURN_IF_ERROR(inner_->accept(token));
    follow(token);
    return {};
  }

  std::vector<TokenId> take_forced(std::size_t most) override {
    std::vector<TokenId> taken;
    while (!closing_.empty() && taken.size() < most) {
      const TokenId token = closing_.front();
      if (!accept(token).ok()) return taken;
      taken.push_back(token);
    }
    if (inner_ == nullptr || !closing_.empty()) return taken;
    for (const TokenId token : inner_->take_forced(most - taken.size())) {
      follow(token);
      taken.push_back(token);
    }
    return taken;
  }

  // A thought's end is written under the mask.
  std::vector<TokenId> take_forced_within(std::size_t most, std::size_t least) override {
    if (inner_ == nullptr || !closing_.empty()) return {};
    std::vector<TokenId> taken = inner_->take_forced_within(most, least);
    for (const TokenId token : taken) follow(token);
    return taken;
  }

 private:
  bool spent() const { return used_ >= limit_ && watch_.thoughts() > 0; }

  void follow(TokenId token) {
    if (!closing_.empty()) {
      closing_.pop_front();
      watch_.feed(tokenizer_->bytes(token));
      return;
    }
    if (ends_answer(*tokenizer_, token)) return;
    const std::string_view bytes = tokenizer_->bytes(token);
    if (watch_.inside()) {
      tail_ += bytes;
      if (tail_.find_first_not_of(" \t\r\n") != std::string::npos) blank_ = false;
      tail_.erase(0, tail_.size() - std::min(tail_.size(), kTailBytes));
      watch_.feed(bytes);
      if (watch_.inside()) ++used_;
    } else {
      watch_.feed(bytes);
      if (!watch_.inside()) return;
      tail_ = bytes.substr(bytes.find_last_not_of(" \t\r\n") + 1);
      blank_ = true;
    }
    if (watch_.inside() && due()) close();
  }

  bool due() const {
    if (used_ >= limit_) return true;
    return used_ + margin_ >= limit_ && watch_.closing().empty() && ends_sentence(tail_);
  }

  void close() {
    std::string text;
    if (watch_.closing().empty()) {
      text = missing(tail_, blank_ ? format_.space.open + format_.space.close : format_.space.close);
    }
    text += format_.close.substr(watch_.closing().size());
    text += turn_open_ + format_.answer_space;
    const std::vector<TokenId> tokens = tokenizer_->encode(text, text::SpecialText::kParse);
    closing_.assign(tokens.begin(), tokens.end());
    used_ = limit_;
  }

  // `left`: what is missing of the opening tag.
  void forbid(std::string_view left) {
    const auto count = static_cast<TokenId>(tokenizer_->vocab_size());
    for (TokenId token = 0; token < count; ++token) {
      if (goes_on_with(tokenizer_->bytes(token), left)) mask_.clear(token);
    }
  }

  static constexpr std::size_t kTailBytes = 8;

  std::unique_ptr<engine::Constraint> inner_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  ReasoningFormat format_;
  std::string turn_open_;
  std::uint32_t limit_;
  std::uint32_t margin_;
  std::uint32_t used_ = 0;
  ThoughtWatch watch_;
  std::string tail_;             // the end of the running thought
  bool blank_ = true;            // which is white space so far
  std::deque<TokenId> closing_;  // must come now
  TokenMask mask_;
};

}  // namespace

std::unique_ptr<engine::Constraint> limit_thought(const ConstraintContext& context, const ThinkingWish& wish,
                                                  std::unique_ptr<engine::Constraint> inner) {
  std::optional<std::uint32_t> limit = wish.max_tokens;
  if (wish.enabled && !*wish.enabled) limit = 0;
  if (!limit || !context.traits->reasoning.known()) return inner;
  return std::make_unique<ThoughtBudget>(context, *limit, std::move(inner));
}

}  // namespace kvasir::chat
