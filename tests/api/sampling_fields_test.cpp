#include "api/sampling_fields.h"

#include <gtest/gtest.h>

namespace kvasir::api {
namespace {

engine::SamplingParams sampling(const std::string& body) {
  const auto value = parse_body(body);
  EXPECT_TRUE(value.ok());
  return parse_sampling(Fields(*value, ""));
}

TEST(SamplingFields, WhatIsNotSaidIsOff) {
  const engine::SamplingParams p = sampling("{}");
  EXPECT_EQ(p.typical_p, 1.0F);
  EXPECT_EQ(p.xtc_probability, 0.0F);
  EXPECT_EQ(p.dry.multiplier, 0.0F);
  EXPECT_EQ(p.dry.base, 1.75F);
  EXPECT_EQ(p.dry.allowed_length, 2U);
  EXPECT_EQ(p.dry.penalty_last_n, -1);
  EXPECT_EQ(p.dry.sequence_breakers, (std::vector<std::string>{"\n", ":", "\"", "*"}));
}

TEST(SamplingFields, NamesOfLlamaServer) {
  const engine::SamplingParams p = sampling(R"({"typical_p":0.9,"xtc_probability":0.5,"xtc_threshold":0.2,
    "dry_multiplier":0.8,"dry_base":1.5,"dry_allowed_length":3,"dry_penalty_last_n":512,
    "dry_sequence_breakers":["\n","###"]})");
  EXPECT_FLOAT_EQ(p.typical_p, 0.9F);
  EXPECT_FLOAT_EQ(p.xtc_probability, 0.5F);
  EXPECT_FLOAT_EQ(p.xtc_threshold, 0.2F);
  EXPECT_FLOAT_EQ(p.dry.multiplier, 0.8F);
  EXPECT_FLOAT_EQ(p.dry.base, 1.5F);
  EXPECT_EQ(p.dry.allowed_length, 3U);
  EXPECT_EQ(p.dry.penalty_last_n, 512);
  EXPECT_EQ(p.dry.sequence_breakers, (std::vector<std::string>{"\n", "###"}));
}

TEST(SamplingFields, BreakersAsTheTextOfAList) {
  const engine::SamplingParams p = sampling(R"({"dry_sequence_breakers":"[\"\\n\", \"#\"]"})");
  EXPECT_EQ(p.dry.sequence_breakers, (std::vector<std::string>{"\n", "#"}));
  EXPECT_TRUE(sampling(R"({"dry_sequence_breakers":[]})").dry.sequence_breakers.empty());
}

TEST(SamplingFields, Ends) {
  const auto value = parse_body(R"({"min_tokens":4,"stop_token_ids":[7,9]})");
  GenerationOptions options;
  parse_ends(Fields(*value, ""), options);
  EXPECT_EQ(options.min_tokens, 4U);
  EXPECT_EQ(options.stop_tokens, (std::vector<TokenId>{7, 9}));
}

}  // namespace
}  // namespace kvasir::api
