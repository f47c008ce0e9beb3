#pragma once
// An executor without a model: it plays given text through the real engine, for tests and demonstrations.
//
// Its KV is the tokens themselves, eight bytes each: the token and a hash of every token before it. Every
// forward() reads the whole context back through the block table and follows that chain from the start, so a
// wrong block table, a bad share, copy or eviction cannot stay unseen: it is kInternal. The answer is decided
// by what is read back, not by what the caller says, so it is exact by construction.
//
// Its state, where the script asks for one, is the last of those hashes and how many tokens it is of, in each
// of its blocks: what is read must be the state behind the token before the span.
//
// Logits: +50 on the token that the script wants next, a small number in [-1, 1) elsewhere that depends on
// the context and the token only, so that samplers and grammars have something to choose from.

#include <memory>
#include <vector>

#include "executor/executor.h"
#include "executor/script.h"
#include "text/tokenizer.h"

namespace kvasir::executor {

class ScriptedExecutor final : public Executor {
 public:
  // kInvalidArgument when the tokenizer has no tokens.
  static Result<std::unique_ptr<ScriptedExecutor>> create(std::shared_ptr<const text::Tokenizer> tokenizer,
                                                          Script script);

  const Description& describe() const override { return description_; }
  Status forward(std::span<const SequenceSpan> batch, KvStorage kv, std::span<float> logits,
                 const std::atomic<bool>* interrupt = nullptr) override;

 private:
  // A rule's reply as the tokens that play it.
  struct Reply {
    std::string text;
    std::vector<TokenId> tokens;
    std::vector<std::size_t> begins;  // (tokens.size()) where each token begins in text
  };
  struct Choice {
    TokenId token = kNoToken;
    std::uint32_t delay_ms = 0;
  };

  ScriptedExecutor(std::shared_ptr<const text::Tokenizer> tokenizer, Script script);
  Choice next_token(std::span<const TokenId> context) const;
  TokenId play(const Reply& reply, std::string_view generated) const;
  TokenId first_token(std::string_view rest) const;
  std::string_view after_generation_prefix(std::string_view generated, std::string_view reply) const;

  std::shared_ptr<const text::Tokenizer> tokenizer_;
  Script script_;
  std::vector<Reply> replies_;  // (script_.rules.size())
  TokenId end_token_ = 0;
  Description description_;
};

}  // namespace kvasir::executor
