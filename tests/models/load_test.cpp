// Model files that lie about their shape are refused with one clear line, before weights are read.

#include <gtest/gtest.h>

#include <cstring>

#include "models/model.h"
#include "weights/gguf.h"

namespace kvasir::models {
namespace {

// A GGUF in memory: metadata entries and tensors of zeros.
class Builder {
 public:
  Builder& integer(const std::string& key, std::uint32_t v) {
    entry(key, 4);
    return raw(meta_, v);
  }
  Builder& number(const std::string& key, float v) {
    entry(key, 6);
    return raw(meta_, v);
  }
  Builder& string(const std::string& key, const std::string& v) {
    entry(key, 8);
    text(meta_, v);
    return *this;
  }
  Builder& tensor(const std::string& name, std::uint64_t columns, std::uint64_t rows) {
    text(tensors_, name);
    raw(tensors_, std::uint32_t{rows == 0 ? 1U : 2U});
    raw(tensors_, columns);
    if (rows != 0) raw(tensors_, rows);
    raw(tensors_, std::uint32_t{0});
    raw(tensors_, static_cast<std::uint64_t>(data_));
    data_ += (columns * std::max<std::uint64_t>(rows, 1) * 4 + 31) / 32 * 32;
    ++tensor_count_;
    return *this;
  }
  std::shared_ptr<const weights::GgufFile> file() {
    bytes_.clear();
    raw(bytes_, std::uint32_t{0x46554747});
    raw(bytes_, std::uint32_t{3});
    raw(bytes_, tensor_count_);
    raw(bytes_, meta_count_);
    bytes_.insert(bytes_.end(), meta_.begin(), meta_.end());
    bytes_.insert(bytes_.end(), tensors_.begin(), tensors_.end());
    bytes_.resize((bytes_.size() + 31) / 32 * 32 + data_);
    auto parsed = weights::GgufFile::parse(bytes_, "tiny.gguf");
    EXPECT_TRUE(parsed.ok()) << parsed.error().message;
    return *parsed;
  }

 private:
  using Bytes = std::vector<std::byte>;
  template <class T>
  Builder& raw(Bytes& to, T v) {
    const auto* p = reinterpret_cast<const std::byte*>(&v);
    to.insert(to.end(), p, p + sizeof(T));
    return *this;
  }
  void text(Bytes& to, const std::string& s) {
    raw(to, std::uint64_t{s.size()});
    const auto b = std::as_bytes(std::span(s));
    to.insert(to.end(), b.begin(), b.end());
  }
  void entry(const std::string& key, std::uint32_t type) {
    text(meta_, key);
    raw(meta_, type);
    ++meta_count_;
  }
  Bytes bytes_, meta_, tensors_;
  std::uint64_t meta_count_ = 0;
  std::uint64_t tensor_count_ = 0;
  std::uint64_t data_ = 0;
};

Builder tiny(const std::string& family = "llama", std::uint32_t heads = 2, std::uint32_t width = 64) {
  Builder b;
  b.string("general.architecture", family);
  b.integer(family + ".block_count", 1).integer(family + ".embedding_length", width);
  b.integer(family + ".feed_forward_length", 96).integer(family + ".attention.head_count", heads);
  b.integer(family + ".attention.head_count_kv", 1).integer(family + ".context_length", 128);
  b.tensor("token_embd.weight", width, 50);
  return b;
}

Builder& weights_of(Builder& b) {
  b.tensor("blk.0.attn_norm.weight", 64, 0)
      .tensor("blk.0.ffn_norm.weight", 64, 0)
      .tensor("output_norm.weight", 64, 0);
  b.tensor("blk.0.attn_q.weight", 64, 64)
      .tensor("blk.0.attn_k.weight", 64, 32)
      .tensor("blk.0.attn_v.weight", 64, 32);
  b.tensor("blk.0.attn_output.weight", 64, 64).tensor("blk.0.ffn_gate.weight", 64, 96);
  return b.tensor("blk.0.ffn_up.weight", 64, 96).tensor("blk.0.ffn_down.weight", 96, 64);
}

std::string refusal(Builder b) {
  ThreadPool pool(1);
  LoadOptions options;
  options.pool = &pool;
  const auto model = load_model(b.file(), options);
  if (model.ok()) return "accepted";
  EXPECT_EQ(model.error().message.find('\n'), std::string::npos);
  return model.error().message;
}

TEST(LoadModel, AcceptsAWholeTinyModel) {
  Builder b = tiny();
  EXPECT_EQ(refusal(weights_of(b)), "accepted");
}

TEST(LoadModel, NamesWhatIsWrong) {
  EXPECT_NE(refusal(tiny("mamba")).find("model family 'mamba' is not supported"), std::string::npos);
  EXPECT_NE(refusal(tiny("llama", 0)).find("'llama.attention.head_count' is 0"), std::string::npos);
  EXPECT_NE(refusal(tiny("llama", 3)).find("is not one that this build computes"), std::string::npos);
  EXPECT_NE(refusal(tiny()).find("tensor 'blk.0.attn_norm.weight' is missing"), std::string::npos);
  Builder no_embedding;
  no_embedding.string("general.architecture", "llama");
  EXPECT_NE(refusal(no_embedding).find("'llama.block_count' is missing"), std::string::npos);
  Builder misshaped = tiny();
  misshaped.tensor("blk.0.attn_norm.weight", 32, 0);
  EXPECT_NE(refusal(misshaped).find("has shape (1, 32), expected (1, 64)"), std::string::npos);
  Builder dynamic = tiny();
  dynamic.string("llama.rope.scaling.type", "dynamic");
  EXPECT_NE(refusal(dynamic).find("rope scaling 'dynamic' is not supported"), std::string::npos);
  Builder variant = tiny();
  weights_of(variant).tensor("blk.0.attn_q_norm.weight", 32, 0);
  EXPECT_NE(refusal(variant).find("tensor 'blk.0.attn_q_norm.weight' is of a variant"), std::string::npos);
}

// What a family cannot compute, by name.
TEST(LoadModel, NamesWhatAFamilyDoesNotCompute) {
  Builder gating = tiny("deepseek2");
  gating.integer("deepseek2.attention.kv_lora_rank", 64).integer("deepseek2.attention.key_length_mla", 48);
  gating.integer("deepseek2.attention.value_length_mla", 32).integer("deepseek2.rope.dimension_count", 16);
  gating.integer("deepseek2.expert_count", 4).integer("deepseek2.expert_used_count", 2);
  gating.integer("deepseek2.expert_feed_forward_length", 32).integer("deepseek2.expert_gating_func", 9);
  EXPECT_NE(refusal(gating).find("expert_gating_func 9) that is not supported"), std::string::npos);

  EXPECT_NE(refusal(tiny("deepseek2")).find("convert it again"), std::string::npos);

  Builder greedy = tiny("qwen3moe");
  greedy.integer("qwen3moe.expert_count", 4).integer("qwen3moe.expert_used_count", 5);
  greedy.integer("qwen3moe.expert_feed_forward_length", 32);
  EXPECT_NE(refusal(greedy).find("more experts are used than there are"), std::string::npos);

  Builder images = tiny("glm4moe");
  images.integer("glm4moe.expert_count", 4).integer("glm4moe.expert_used_count", 2);
  images.integer("glm4moe.expert_feed_forward_length", 32).integer("glm4moe.rope.dimension_sections", 3);
  EXPECT_NE(refusal(images).find("rotation in sections"), std::string::npos);

  Builder wide = tiny("qwen3");
  wide.integer("qwen3.attention.key_length", 40).integer("qwen3.attention.value_length", 40);
  EXPECT_NE(refusal(wide).find("2 heads of 40"), std::string::npos);
}

}  // namespace
}  // namespace kvasir::models
