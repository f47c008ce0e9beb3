#include "hub/model_name.h"

#include <gmock/gmock.h>

#include "hub/pull.h"

namespace kvasir::hub {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(HubName, HasRepositoryRevisionAndFile) {
  const auto name = parse_hub_name("hf:Qwen/Qwen3-0.6B-GGUF@refs/pr/3:sub/Qwen3-Q8_0.gguf");
  ASSERT_TRUE(name.ok());
  EXPECT_EQ(name->repo, "Qwen/Qwen3-0.6B-GGUF");
  EXPECT_EQ(name->revision, "refs/pr/3");
  EXPECT_EQ(name->file, "sub/Qwen3-Q8_0.gguf");
  EXPECT_EQ(name->text(), "hf:Qwen/Qwen3-0.6B-GGUF@refs/pr/3:sub/Qwen3-Q8_0.gguf");
  EXPECT_EQ(parse_hub_name("hf:gpt2")->revision, "main");
}

TEST(HubName, ThatLeavesItsFolderIsRefused) {
  for (const char* text : {"hf:", "hf:a/b/c", "hf:../b", "hf:a/..", "hf:a/b:../c", "hf:a/b:/c", "hf:a/b@..",
                           "hf:a/b:", "hf:a--b/c", "a/b", "hf:a/b:x\ny", "hf:a/b:x//y"}) {
    EXPECT_FALSE(parse_hub_name(text).ok()) << text;
  }
}

const std::vector<std::string> kFiles = {"README.md",
                                         "m-IQ4_K_S.gguf",
                                         "m-Q4_K_M-00002-of-00002.gguf",
                                         "m-Q4_K_M-00001-of-00002.gguf",
                                         "m-Q4_K_S.gguf",
                                         "mmproj-m-f16.gguf",
                                         "m-Q8_0.gguf"};

TEST(GgufFiles, OfASplitSetBelongTogether) {
  const auto set = choose_gguf(gguf_sets(kFiles), "q4_k_m", "a/b");
  ASSERT_TRUE(set.ok());
  EXPECT_THAT(*set, ElementsAre("m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf"));
}

TEST(GgufFiles, AreFoundByAWholeWordOfTheirName) {
  const auto set = choose_gguf(gguf_sets(kFiles), "Q4_K_S", "a/b");
  ASSERT_TRUE(set.ok());
  EXPECT_THAT(*set, ElementsAre("m-Q4_K_S.gguf"));
  const auto none = choose_gguf(gguf_sets(kFiles), "Q4_K", "a/b");
  ASSERT_FALSE(none.ok());
  EXPECT_THAT(none.error().message, HasSubstr("it has m-IQ4_K_S.gguf"));
}

TEST(FilesOfAModel, AreThoseThatAFolderIsReadBy) {
  const std::vector<std::string> files = {"README.md",         "config.json",     "consolidated.safetensors",
                                          "model.safetensors", "onnx/model.onnx", "original/x.safetensors",
                                          "pytorch_model.bin", "tokenizer.json",  "chat_template.jinja"};
  EXPECT_THAT(*files_of_model(files, {"a/b", "main", ""}),
              ElementsAre("chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"));
}

TEST(FilesOfAModel, AreTheUsualQuantisationWhereNoneIsNamed) {
  EXPECT_EQ(files_of_model(kFiles, {"a/b", "main", ""})->front(), "m-Q4_K_M-00001-of-00002.gguf");
  const std::vector<std::string> unusual = {"m-Q3_K.gguf", "m-Q8_0.gguf"};
  const auto several = files_of_model(unusual, {"a/b", "main", ""});
  ASSERT_FALSE(several.ok());
  EXPECT_THAT(several.error().message, HasSubstr("m-Q3_K.gguf, m-Q8_0.gguf"));
}

}  // namespace
}  // namespace kvasir::hub
