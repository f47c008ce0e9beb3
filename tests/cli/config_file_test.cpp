#include "cli/config_file.h"

#include <gtest/gtest.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/serve.h"

namespace kvasir::cli {
namespace {

class ConfigFile : public testing::Test {
 protected:
  ConfigFile()
      : folder_(std::filesystem::temp_directory_path() /
                ("kvasir-config-" + std::to_string(::testing::UnitTest::GetInstance()->random_seed()) + "-" +
                 ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::create_directories(folder_);
    app_.name("kvasir serve");
    add_serve_options(app_, options_);
    app_.get_option("--model")->required(false);
  }
  ~ConfigFile() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return (folder_ / "config.toml").string(); }
  Status apply(const std::string& text, std::vector<std::string> command_line = {}) {
    std::ofstream(path()) << text;
    std::ranges::reverse(command_line);
    app_.parse(command_line);
    return apply_config(app_, path());
  }
  void expect_error(const std::string& text, std::size_t line, const std::string& words) {
    const Status applied = apply(text);
    ASSERT_FALSE(applied.ok()) << text;
    const std::string& message = applied.error().message;
    EXPECT_TRUE(message.starts_with(path() + ":" + std::to_string(line) + ": ")) << message;
    EXPECT_NE(message.find(words), std::string::npos) << message;
  }

  std::filesystem::path folder_;
  CLI::App app_;
  ServeOptions options_;
};

TEST_F(ConfigFile, EveryKindOfValue) {
  ASSERT_TRUE(apply("model = '/m.gguf'\nport = 9\napi_key = ['a', 'b']\ntemperature = 0.25\nmemory = '2GB'\n"
                    "share-cache = true\nlog-requests = false\n[cache]\ndisk = 1000\nmin-tokens = 7\n")
                  .ok());
  EXPECT_EQ(options_.model.model, "/m.gguf");
  EXPECT_EQ(options_.port, 9);
  EXPECT_EQ(options_.api_keys, (std::vector<std::string>{"a", "b"}));
  EXPECT_FLOAT_EQ(options_.temperature.value_or(-1.0F), 0.25F);
  EXPECT_EQ(options_.model.memory, std::uint64_t{2} << 30U);
  EXPECT_TRUE(options_.share_cache);
  EXPECT_FALSE(options_.log_requests);
  EXPECT_EQ(options_.model.cache.disk_bytes, 1000U);
  EXPECT_EQ(options_.model.cache.min_tokens, 7U);
}

TEST_F(ConfigFile, TheCommandLineGoesBefore) {
  ASSERT_TRUE(apply("port = 9\nmodel = 'file'\napi-key = 'file'\nidle-prefill = true\n",
                    {"-p", "10", "--api-key", "line", "--no-idle-prefill"})
                  .ok());
  EXPECT_EQ(options_.port, 10);
  EXPECT_EQ(options_.api_keys, std::vector<std::string>{"line"});
  EXPECT_FALSE(options_.idle_prefill);
  EXPECT_EQ(options_.model.model, "file");
}

TEST_F(ConfigFile, PathsMayBeginWithTheHomeFolder) {
  ASSERT_TRUE(apply("model = '~/m.gguf'\nmodel-name = '~/name'\n").ok());
  EXPECT_EQ(options_.model.model, std::string(std::getenv("HOME")) + "/m.gguf");
  EXPECT_EQ(options_.model_name, "~/name");
}

TEST_F(ConfigFile, MistakesNameTheLine) {
  expect_error("port = 1\n\nprot = 2\n", 3, "did you mean port?");
  expect_error("ctx = 'many'\n", 1, "ctx");
  expect_error("[cache]\nloads = 'never'\n", 2, "cache.loads");
  expect_error("no-share-cache = true\n", 1, "is no option of kvasir serve");
  expect_error("no-log-requests = true\n", 1, "log-requests = false");
  expect_error("port = [1, 2]\n", 1, "port");
  expect_error("port = [[1]]\n", 1, "list");
  expect_error("help = true\n", 1, "is no option");
  expect_error("a = 1\na = 2\n", 2, "");
  expect_error("xyzzy = 1\n", 1, "xyzzy is no option of kvasir serve");
}

TEST_F(ConfigFile, TheFirstMistakeIsTold) {
  expect_error("zzz = 1\naaa = 1\n", 1, "zzz");
}

TEST_F(ConfigFile, AFileThatIsNotThere) {
  app_.parse(std::vector<std::string>{});
  const Status applied = apply_config(app_, path());
  ASSERT_FALSE(applied.ok());
  EXPECT_TRUE(applied.error().message.starts_with(path()));
}

TEST_F(ConfigFile, TheGuideShowsEveryOption) {
  std::ifstream in("docs/guides/configuration.md");
  std::stringstream guide;
  guide << in.rdbuf();
  for (const CLI::Option* option : app_.get_options()) {
    if (option->get_group() == "For tests and demonstrations" || option == app_.get_help_ptr()) continue;
    const std::string& name = option->get_lnames().front();
    EXPECT_NE(guide.str().find("\n" + name + " = "), std::string::npos) << name << " is not in the example";
  }
}

TEST_F(ConfigFile, TheGuidesExampleIsValid) {
  std::ifstream in("docs/guides/configuration.md");
  std::stringstream guide;
  guide << in.rdbuf();
  const std::string text = guide.str();
  const std::size_t begin = text.find("```toml\n") + 8;
  std::string example = text.substr(begin, text.find("```\n", begin) - begin);
  // Files that it names need not be here.
  std::erase_if(example, [](char c) { return c == '\r'; });
  std::stringstream kept;
  std::stringstream lines(example);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("warm = ") && !line.starts_with("chat-template = ")) kept << line << "\n";
  }
  const Status applied = apply(kept.str());
  EXPECT_TRUE(applied.ok()) << applied.error().message;
}

}  // namespace
}  // namespace kvasir::cli
