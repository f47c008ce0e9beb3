#pragma once
// What OpenAI's answers share: usage, log-probabilities, framing.

#include <boost/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "api/response_builder.h"

namespace kvasir::api {

// Sums the usage of a request's choices: a prompt counts once, however many answers it gets.
class UsageSum {
 public:
  explicit UsageSum(std::uint32_t answers_a_prompt) : answers_a_prompt_(answers_a_prompt) {}
  void add(std::size_t choice, const engine::Usage& usage);
  // Of all completion tokens; shown once it has been called.
  void add_reasoning(std::uint32_t tokens);
  boost::json::object json() const;

 private:
  struct Prompt {
    std::uint32_t tokens = 0;
    std::uint32_t cached = 0;  // of the answer that found least: the others found its work
    bool seen = false;
  };
  std::uint32_t answers_a_prompt_;
  std::vector<Prompt> prompts_;
  std::uint64_t completion_tokens_ = 0;
  std::optional<std::uint64_t> reasoning_tokens_;
};

// Text for a person; half characters become U+FFFD.
std::string token_text(const ResponseOptions& options, TokenId token);
// JSON has no infinity; OpenAI's own floor.
double finite_logprob(float logprob);
// Token, bytes, log-probability and the likeliest others, of each.
boost::json::array logprobs_json(const ResponseOptions& options,
                                 std::span<const engine::SampledToken> tokens);
std::string sse_data(const boost::json::value& value);
// What ends a stream: the usage in a chunk without choices, built on `head`, where it was asked for; then
// [DONE]. The chunk has what was found in the cache too, where that was asked for.
std::string stream_end(const ResponseOptions& options, boost::json::object head, const UsageSum& usage,
                       const std::optional<CacheExplanation>& explanation);
// Puts it into a body, or into the chunk that ends a choice where no chunk with the usage follows.
void add_explanation(boost::json::object& whole, const std::optional<CacheExplanation>& explanation);

}  // namespace kvasir::api
