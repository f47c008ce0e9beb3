#pragma once
// The visible text of one answer: token bytes become whole characters, stop strings are held back and cut
// off, special tokens stay out but those that are asked for, and every sampled token goes with the text that
// it completes.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/stop_matcher.h"
#include "text/tokenizer.h"

namespace kvasir::engine {

class AnswerText {
 public:
  // `shown`: special tokens that do not stay out; outlives the answer. In the text of the first `min_tokens`
  // tokens stop strings mean nothing.
  AnswerText(const text::Tokenizer& tokenizer, const std::vector<std::string>& stops,
             const std::vector<TokenId>& shown, std::uint32_t min_tokens = 0)
      : tokenizer_(tokenizer), stops_(stops), shown_(shown), tokens_before_stops_(min_tokens) {}

  // The next token of the answer; returns what became visible, if anything did. After a stop string nothing
  // more may be added.
  std::optional<Text> add(SampledToken token);
  // The end of the answer: held-back text, and the tokens that no text has taken along yet. Tokens that lie
  // wholly in or behind a stop string are not part of the answer.
  std::optional<Text> finish();
  // The stop string that ended the answer.
  const std::optional<std::string>& stop_string() const { return stops_.matched(); }

 private:
  struct Pending {
    SampledToken token;
    std::size_t begin;  // its text, in bytes of the decoded answer
    std::size_t end;
  };
  std::string pass_stops(const std::string& characters);
  std::optional<Text> emit(std::string visible, bool last);

  const text::Tokenizer& tokenizer_;
  text::StreamDecoder decoder_;
  StopMatcher stops_;
  const std::vector<TokenId>& shown_;
  std::uint32_t tokens_before_stops_;
  std::deque<Pending> pending_;
  std::size_t decoded_ = 0;  // bytes that came out of the decoder
  std::size_t emitted_ = 0;  // of these, bytes that became visible
};

}  // namespace kvasir::engine
