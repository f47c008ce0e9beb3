// Our filters against llama.cpp's own (tools/oracle/make_sampling_golden.py).

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include "engine/sampler.h"

namespace kvasir::engine {
namespace {

namespace json = boost::json;

json::object golden() {
  std::ifstream in("tests/engine/golden/sampling.json");
  std::stringstream text;
  text << in.rdbuf();
  boost::system::error_code failed;
  const json::value value = json::parse(text.str(), failed);
  if (!failed && value.is_object()) return value.get_object();
  ADD_FAILURE() << "tests/engine/golden/sampling.json cannot be read: run from the source folder";
  return {};
}

// What may be drawn: every token that is, over enough draws. What has little of the mass is asked for by
// heating up what was kept: the filters are told the temperature of 1 that llama.cpp has.
std::set<TokenId> drawn(const SamplingParams& params, const std::vector<float>& logits) {
  Sampler sampler;
  SampleInput input;
  input.logits = logits;
  std::set<TokenId> tokens;
  for (input.position = 0; input.position < 12'000; ++input.position)
    tokens.insert(sampler.sample(params, input).value().token);
  return tokens;
}

TEST(SamplingGolden, TypicalAndXtcKeepWhatLlamaCppKeeps) {
  const json::object all = golden();
  ASSERT_GE(all.at("filters").as_array().size(), 60U);
  for (const json::value& value : all.at("filters").as_array()) {
    const json::object& one = value.as_object();
    const auto logits = json::value_to<std::vector<float>>(one.at("logits"));
    SamplingParams params;
    if (const json::value* p = one.if_contains("typical_p")) params.typical_p = p->to_number<float>();
    if (const json::value* t = one.if_contains("xtc_threshold")) {
      params.xtc_probability = 1;
      params.xtc_threshold = t->to_number<float>();
    }
    const auto expected = json::value_to<std::set<TokenId>>(one.at("kept"));
    const std::set<TokenId> got = drawn(params, logits);
    for (const TokenId token : got) EXPECT_TRUE(expected.contains(token)) << token << " of " << value;
    // Tokens of next to no mass are not seen in so many draws.
    double total = 0;
    for (const TokenId token : expected) total += std::exp(logits[static_cast<std::size_t>(token)]);
    for (const TokenId token : expected) {
      if (std::exp(logits[static_cast<std::size_t>(token)]) / total < 2e-3) continue;
      EXPECT_TRUE(got.contains(token)) << token << " of " << value;
    }
  }
}

TEST(SamplingGolden, DryTakesAwayWhatLlamaCppDoes) {
  const json::object all = golden();
  const json::object& texts = all.at("texts").as_object();
  const auto text_of = [&](TokenId token) {
    const json::string& text = texts.at(std::to_string(token)).as_string();
    return std::string_view(text.data(), text.size());
  };
  std::size_t penalised = 0;
  for (const json::value& value : all.at("dry").as_array()) {
    const json::object& one = value.as_object();
    DryParams params;
    params.multiplier = one.at("multiplier").to_number<float>();
    params.base = one.at("base").to_number<float>();
    params.allowed_length = one.at("allowed_length").to_number<std::uint32_t>();
    params.penalty_last_n = one.at("last_n").to_number<std::int32_t>();
    params.sequence_breakers = json::value_to<std::vector<std::string>>(one.at("breakers"));
    std::vector<float> row(50'000, 0.0F);
    std::vector<std::uint32_t> lengths(row.size(), 0);
    apply_dry(params, json::value_to<std::vector<TokenId>>(one.at("history")), text_of, row, lengths);
    const json::object& expected = one.at("penalties").as_object();
    for (std::size_t token = 0; token < row.size(); ++token) {
      const json::value* penalty = expected.if_contains(std::to_string(token));
      const double wanted = penalty == nullptr ? 0 : penalty->to_number<double>();
      if (wanted != 0) ++penalised;
      ASSERT_NEAR(-row[token], wanted, 1e-4 * std::max(1.0, wanted)) << "token " << token << " of " << value;
    }
  }
  EXPECT_GT(penalised, 20U);
}

}  // namespace
}  // namespace kvasir::engine
