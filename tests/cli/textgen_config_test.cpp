// Against a file that MLX-Textgen's own createconfig has written
// (tools/oracle/make_textgen_config_golden.py).

#include "cli/textgen_config.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <fstream>

namespace kvasir::cli {
namespace {

constexpr const char* kGolden = "tests/cli/golden/mlx_textgen_config.yaml";

TEST(TextgenConfig, ReadsWhatMlxTextgenWrites) {
  const auto config = read_textgen_config(kGolden);
  ASSERT_TRUE(config.ok()) << config.error().message;
  ASSERT_EQ(config->models.size(), 2U);
  EXPECT_EQ(config->models[1].path, "/path/to/model_1");
  EXPECT_TRUE(config->models[0].name.empty() && config->models[0].extra_stop_words.empty());
  EXPECT_EQ(config->host, "127.0.0.1");
  EXPECT_EQ(config->port, 5001);
  EXPECT_TRUE(config->api_keys.empty());
  EXPECT_EQ(config->min_tokens, 20U);
  EXPECT_EQ(config->max_capacity, 50U);
  EXPECT_EQ(config->without_effect, std::vector<std::string>{"use_reasoning_content"})
      << "thoughts are apart from the answer in any case";
}

// Keys, their order and their values; comments apart.
TEST(TextgenConfig, WritesTheSameAsMlxTextgen) {
  const YAML::Node theirs = YAML::LoadFile(kGolden);
  const YAML::Node ours = YAML::Load(textgen_config_text(2));
  YAML::Emitter expected;
  YAML::Emitter got;
  expected << theirs;
  got << ours;
  EXPECT_STREQ(got.c_str(), expected.c_str());
}

TEST(TextgenConfig, WhatMeansNothingHereIsNamedOnce) {
  const auto path = std::filesystem::temp_directory_path() / "kvasir-textgen-config-test.yaml";
  std::ofstream(path) << "model_configs:\n"
                         "- {model_id_or_path: a, tokenizer_repo_or_path: t, extra_stop_words: x}\n"
                         "- {model_id_or_path: b, tokenizer_repo_or_path: t, preprocess_batch_size: 64}\n"
                         "api_keys: one\nreplace_threshold: 0.5\n";
  const auto config = read_textgen_config(path.string());
  std::filesystem::remove(path);
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->api_keys, std::vector<std::string>{"one"});
  EXPECT_EQ(config->models[0].extra_stop_words, std::vector<std::string>{"x"});
  EXPECT_EQ(config->without_effect, (std::vector<std::string>{"tokenizer_repo_or_path",
                                                              "preprocess_batch_size", "replace_threshold"}));
}

}  // namespace
}  // namespace kvasir::cli
