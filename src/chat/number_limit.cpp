#include "chat/number_limit.h"

#include <string_view>
#include <utility>
#include <vector>

#include "chat/ascii.h"
#include "chat/token_mask.h"
#include "text/tokenizer.h"

namespace kvasir::chat {
namespace {

constexpr int kSignificantMost = 20;
constexpr int kPlacesMost = 308;

using Mask = Result<std::optional<std::span<const std::uint32_t>>>;

// Counts the digits at the end of a text.
class DigitCount {
 public:
  void feed(std::string_view bytes) {
    for (const char c : bytes) feed(c);
  }
  bool enough() const {
    return places_ >= kPlacesMost || (fraction_ && places_ > 0 && significant_ >= kSignificantMost);
  }

 private:
  void feed(char c) {
    if (is_digit(c)) {
      ++places_;
      if (significant_ > 0 || c != '0') ++significant_;
    } else if (c == '.' && places_ > 0 && !fraction_) {
      fraction_ = true;
      places_ = 0;
    } else {
      *this = {};
    }
  }

  int places_ = 0;  // of the whole number, or of the fraction
  int significant_ = 0;
  bool fraction_ = false;
};

class NumberLimit : public engine::Constraint {
 public:
  NumberLimit(std::shared_ptr<const text::Tokenizer> tokenizer, std::unique_ptr<engine::Constraint> inner)
      : inner_(std::move(inner)), tokenizer_(std::move(tokenizer)) {}

  Mask mask() override {
    KVASIR_ASSIGN_OR_RETURN(const std::optional<std::span<const std::uint32_t>> allowed, inner_->mask());
    if (allowed && digits_.enough() && no_further_digit(*allowed)) return std::optional(mask_.words());
    return allowed;
  }

  Status accept(TokenId token) override {
    KVASIR_RETURN_IF_ERROR(inner_->accept(token));
    digits_.feed(tokenizer_->bytes(token));
    return {};
  }

  std::vector<TokenId> take_forced(std::size_t most) override { return counted(inner_->take_forced(most)); }
  std::vector<TokenId> take_forced_within(std::size_t most, std::size_t least) override {
    return counted(inner_->take_forced_within(most, least));
  }

 private:
  std::vector<TokenId> counted(std::vector<TokenId> taken) {
    for (const TokenId token : taken) digits_.feed(tokenizer_->bytes(token));
    return taken;
  }

  // What is allowed and begins with no digit; false where nothing is, or where the digits stand in a text:
  // what may follow a number is no letter but its exponent's, and no quotation mark.
  bool no_further_digit(std::span<const std::uint32_t> allowed) {
    bool any = false;
    mask_.fill(tokenizer_->vocab_size(), false);
    const auto count = static_cast<TokenId>(tokenizer_->vocab_size());
    for (TokenId token = 0; token < count; ++token) {
      if (!TokenMask::test(allowed, token)) continue;
      const std::string_view bytes = tokenizer_->bytes(token);
      if (!bytes.empty() && is_digit(bytes[0])) continue;
      const bool exponent = !bytes.empty() && (bytes[0] == 'e' || bytes[0] == 'E');
      if (!bytes.empty() && !exponent && (is_letter(bytes[0]) || bytes[0] == '"')) return false;
      mask_.set(token);
      any = true;
    }
    return any;
  }

  std::unique_ptr<engine::Constraint> inner_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  DigitCount digits_;
  TokenMask mask_;
};

}  // namespace

std::unique_ptr<engine::Constraint> limit_numbers(const ConstraintContext& context,
                                                  const Conversation& conversation,
                                                  std::unique_ptr<engine::Constraint> inner) {
  if (inner == nullptr || conversation.response_format.kind == ResponseFormat::Kind::kGrammar) return inner;
  return std::make_unique<NumberLimit>(context.tokenizer, std::move(inner));
}

}  // namespace kvasir::chat
