#pragma once
// How far one model is from another on a text: what a quantisation costs.

#include <cstdint>
#include <functional>
#include <string>

#include "base/error.h"
#include "cli/load.h"

namespace kvasir::cli {

struct CompareOptions {
  std::string text;            // path of the file to judge by; marks like <|im_start|> in it are tokens
  std::uint32_t window = 512;  // tokens that are read in one go, each window from nothing
  std::uint32_t most = 8192;   // tokens of the text that are read
  std::uint32_t threads = 0;   // 0: every CPU
};

// Over every place of the text whose next token is in its window.
struct Comparison {
  std::uint64_t places = 0;
  double kl_mean = 0;  // of the second from the first, in nats
  double kl_99 = 0;    // 99 of 100 places have less
  double kl_most = 0;
  double same_top = 0;  // share of places where both hold the same token for the likeliest
  double perplexity_first = 0;
  double perplexity_second = 0;
  std::uint64_t bytes_first = 0;  // of weights, as stored
  std::uint64_t bytes_second = 0;
};

// Activations are computed at high precision in both, so that weights alone are told apart. Both models are
// loaded at once. kInvalidArgument where they have not the same vocabulary, or the text is too short.
Result<Comparison> compare_models(const OpenedModel& first, const OpenedModel& second,
                                  const CompareOptions& options, const std::function<void(double)>& progress);

// A few lines for people, without a line break behind; and one JSON object.
std::string report_text(const Comparison& c);
std::string report_json(const Comparison& c, const std::string& first, const std::string& second,
                        const std::string& text);

}  // namespace kvasir::cli
