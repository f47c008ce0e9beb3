#pragma once

#include <vector>

#include "engine/constraint.h"
#include "engine/engine_fixture.h"

namespace kvasir::engine {

// Allows one token after the other, then the end; fails where it is told to.
class FixedConstraint final : public Constraint {
 public:
  FixedConstraint(std::vector<TokenId> allowed, std::size_t fail_at)
      : allowed_(std::move(allowed)), fail_at_(fail_at) {}
  Result<std::optional<std::span<const std::uint32_t>>> mask() override {
    if (next_ == fail_at_) return make_error(ErrorCode::kInternal, "the grammar broke");
    bits_.assign(tokenizer()->vocab_size() / 32 + 1, 0);
    const auto token = next_ < allowed_.size() ? allowed_[next_] : tokenizer()->find("<|im_end|>");
    bits_[static_cast<std::size_t>(token) / 32] |= 1U << (static_cast<std::size_t>(token) % 32);
    return std::optional(std::span<const std::uint32_t>(bits_));
  }
  Status accept(TokenId) override {
    ++next_;
    return {};
  }
  // Everything but each `choice`-th token is forced, where that is not 0.
  std::vector<TokenId> take_forced(std::size_t most) override {
    std::vector<TokenId> forced;
    while (choice_ != 0 && forced.size() < most && next_ < allowed_.size() && next_ % choice_ != choice_ - 1)
      forced.push_back(allowed_[next_++]);
    return forced;
  }
  std::vector<TokenId> take_forced_within(std::size_t most, std::size_t least) override {
    const std::size_t before = next_;
    std::vector<TokenId> forced = take_forced(most);
    if (forced.size() >= least) return forced;
    next_ = before;
    return {};
  }
  std::size_t choice_ = 0;

 private:
  std::vector<TokenId> allowed_;
  std::size_t fail_at_;
  std::size_t next_ = 0;
  std::vector<std::uint32_t> bits_;
};

}  // namespace kvasir::engine
