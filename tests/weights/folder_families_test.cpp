// What families' folders have otherwise than GGUF: rows that alternate, matrices that lie the other way
// round, layers that are not used, fields that are left out, and what is refused before weights are read.
// tools/oracle/family_folders.py has whole models of these beside mlx-lm.

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "base/thread_pool.h"
#include "kernels/half.h"
#include "kernels/packed.h"
#include "weights/checkpoint.h"
#include "weights/dequantize.h"
#include "weights/repack.h"

namespace kvasir::weights {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

class FamilyFolders : public testing::Test {
 protected:
  void SetUp() override {
    path_ = fs::temp_directory_path() /
            ("kvasir-families-" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  void TearDown() override { fs::remove_all(path_); }

  void config(const std::string& text) { std::ofstream(path_ / "config.json", std::ios::binary) << text; }

  // A tensor of the file to be written.
  template <class T>
  void tensor(const std::string& name, const char* dtype, std::vector<std::uint64_t> shape,
              const std::vector<T>& values) {
    const std::size_t at = data_.size();
    data_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    header_[name] = {{"dtype", dtype},
                     {"shape", json::array(shape.begin(), shape.end())},
                     {"data_offsets", json::array{at, data_.size()}}};
  }
  void floats(const std::string& name, std::vector<std::uint64_t> shape, const std::vector<float>& values) {
    tensor(name, "F32", std::move(shape), values);
  }

  Result<std::shared_ptr<const Checkpoint>> open() {
    if (header_.empty()) floats("model.norm.weight", {32}, std::vector<float>(32));
    const std::string head = json::serialize(header_);
    const std::uint64_t length = head.size();
    std::ofstream out(path_ / "model.safetensors", std::ios::binary);
    out.write(reinterpret_cast<const char*>(&length), sizeof(length));
    out << head << data_;
    out.close();
    return open_checkpoint(path_.string());
  }
  std::shared_ptr<const Checkpoint> opened() {
    auto file = open();
    EXPECT_TRUE(file.ok()) << file.error().message;
    return file.ok() ? *file : nullptr;
  }
  std::string refusal() {
    const auto file = open();
    return file.ok() ? "accepted" : file.error().message;
  }

  fs::path path_;
  json::object header_;
  std::string data_;
};

std::vector<float> counted(std::size_t n, float first = 0) {
  std::vector<float> v(n);
  std::iota(v.begin(), v.end(), first);
  return v;
}

// What the matrix is multiplied as, row by row.
std::vector<float> packed_values(const TensorInfo& matrix) {
  ThreadPool pool(2);
  const auto packed = repack(matrix, pool);
  EXPECT_TRUE(packed.ok()) << packed.error().message;
  std::vector<float> out(packed->rows * packed->columns);
  for (std::size_t r = 0; r < packed->rows; ++r)
    kernels::dequantize_row(*packed, r, out.data() + r * packed->columns);
  return out;
}

TEST_F(FamilyFolders, RowsOfGptOsssExpertsAlternateBetweenGateAndUp) {
  config(R"({"model_type": "gpt_oss", "quantization_config": {"quant_method": "mxfp4"}})");
  // Two experts of 2 x 3 rows of 32: a row's codes are its number, its scale 2 to the power of its number.
  std::vector<std::uint8_t> blocks;
  std::vector<std::uint8_t> scales;
  for (std::uint8_t row = 0; row < 12; ++row) {
    const auto code = static_cast<std::uint8_t>(row % 7 + 1);
    blocks.insert(blocks.end(), 16, static_cast<std::uint8_t>(code | code << 4));
    scales.push_back(static_cast<std::uint8_t>(127 + row));
  }
  const std::string p = "model.layers.0.mlp.experts.";
  tensor(p + "gate_up_proj_blocks", "U8", {2, 6, 1, 16}, blocks);
  tensor(p + "gate_up_proj_scales", "U8", {2, 6, 1}, scales);
  floats(p + "gate_up_proj_bias", {2, 6}, counted(12));
  const auto file = opened();
  ASSERT_NE(file, nullptr);
  constexpr float kE2m1[] = {0, 0.5F, 1, 1.5F, 2, 3, 4, 6};
  for (const bool up : {false, true}) {
    const std::string name = up ? "blk.0.ffn_up_exps" : "blk.0.ffn_gate_exps";
    const TensorInfo* stack = file->tensor(name + ".weight");
    ASSERT_NE(stack, nullptr);
    ASSERT_EQ(stack->shape, (std::vector<std::uint64_t>{32, 3, 2}));
    for (std::uint64_t e = 0; e < 2; ++e) {
      const TensorInfo one = matrix_of(*stack, e);
      const std::vector<float> values = dequantize(one);
      EXPECT_EQ(values, packed_values(one));
      for (std::size_t r = 0; r < 3; ++r) {
        const std::size_t row = e * 6 + 2 * r + (up ? 1 : 0);
        EXPECT_EQ(values[r * 32], kE2m1[row % 7 + 1] * std::ldexp(1.0F, static_cast<int>(row))) << row;
      }
    }
    const std::vector<float> expected =
        up ? std::vector<float>{1, 3, 5, 7, 9, 11} : std::vector<float>{0, 2, 4, 6, 8, 10};
    EXPECT_EQ(dequantize(*file->tensor(name + ".bias")), expected);
    EXPECT_EQ(file->tensor(name + ".bias")->shape, (std::vector<std::uint64_t>{3, 2}));
  }
}

TEST_F(FamilyFolders, GptOsssExpertsThatAreNotQuantisedAreRefused) {
  config(R"({"model_type": "gpt_oss"})");
  floats("model.layers.0.mlp.experts.gate_up_proj", {1, 32, 4}, counted(128));
  EXPECT_NE(refusal().find("experts are not quantised"), std::string::npos) << refusal();
}

constexpr const char* kDeepseek =
    R"({"model_type": "deepseek_v3", "num_attention_heads": 2, "kv_lora_rank": 64, "qk_nope_head_dim": 32,
        "qk_rope_head_dim": 16, "v_head_dim": 32, "num_hidden_layers": 1, "num_nextn_predict_layers": 1,
        "num_key_value_heads": 2, "n_routed_experts": 4)";

// kv_b_proj is (2 heads, 32 rows of keys and 32 of values, 64). Checks both halves against the whole as
// floats.
void expect_halves(const Checkpoint& file, const std::vector<float>& whole) {
  const TensorInfo* keys = file.tensor("blk.0.attn_k_b.weight");
  const TensorInfo* values = file.tensor("blk.0.attn_v_b.weight");
  ASSERT_NE(keys, nullptr);
  ASSERT_NE(values, nullptr);
  ASSERT_EQ(keys->shape, (std::vector<std::uint64_t>{32, 64, 2}));
  ASSERT_EQ(values->shape, (std::vector<std::uint64_t>{64, 32, 2}));
  const std::vector<float> all_keys = dequantize(*keys);
  for (std::uint64_t h = 0; h < 2; ++h) {
    const TensorInfo key = matrix_of(*keys, h);
    const TensorInfo value = matrix_of(*values, h);
    const std::vector<float> k = dequantize(key);
    const std::vector<float> v = dequantize(value);
    EXPECT_EQ(k, packed_values(key));
    EXPECT_EQ(v, packed_values(value));
    EXPECT_TRUE(std::equal(k.begin(), k.end(), all_keys.begin() + static_cast<long>(h * k.size())));
    for (std::size_t r = 0; r < 64; ++r) {
      std::vector<float> one(32);
      dequantize_rows(key, r, 1, one.data());
      for (std::size_t c = 0; c < 32; ++c) {
        ASSERT_EQ(k[r * 32 + c], whole[(h * 64 + c) * 64 + r]);
        ASSERT_EQ(v[c * 64 + r], whole[(h * 64 + 32 + c) * 64 + r]);
        ASSERT_EQ(one[c], k[r * 32 + c]);
      }
    }
  }
}

TEST_F(FamilyFolders, DeepseeksKeysAndValuesComeApartAndKeysAreTurned) {
  config(std::string(kDeepseek) + "}");
  const std::vector<float> whole = counted(128 * 64);
  floats("model.layers.0.self_attn.kv_b_proj.weight", {128, 64}, whole);
  const auto file = opened();
  ASSERT_NE(file, nullptr);
  expect_halves(*file, whole);
  EXPECT_EQ(file->integer("deepseek2.attention.key_length"), 80U);
  EXPECT_EQ(file->integer("deepseek2.attention.value_length"), 64U);
  EXPECT_EQ(file->integer("deepseek2.attention.key_length_mla"), 48U);
  EXPECT_EQ(file->integer("deepseek2.attention.value_length_mla"), 32U);
  EXPECT_EQ(file->integer("deepseek2.attention.head_count_kv"), 1U);
  EXPECT_EQ(file->integer("deepseek2.rope.dimension_count"), 16U);
  EXPECT_EQ(file->integer("deepseek2.expert_gating_func"), 2U);
  EXPECT_EQ(file->boolean("deepseek2.expert_weights_norm"), true);
  EXPECT_EQ(file->boolean("kvasir.rope_neox"), std::nullopt) << "pairs are neighbours, as in GGUF";
}

TEST_F(FamilyFolders, DeepseeksKeysAreTurnedInBf16) {
  config(std::string(kDeepseek) + "}");
  std::vector<std::uint16_t> stored(128 * 64);
  std::vector<float> whole(stored.size());
  for (std::size_t i = 0; i < stored.size(); ++i) {
    stored[i] = kernels::f32_to_bf16(static_cast<float>(i % 251));
    whole[i] = kernels::bf16_to_f32(stored[i]);
  }
  tensor("model.layers.0.self_attn.kv_b_proj.weight", "BF16", {128, 64}, stored);
  const auto file = opened();
  ASSERT_NE(file, nullptr);
  expect_halves(*file, whole);
}

TEST_F(FamilyFolders, DeepseeksKeysAreTurnedWhereTheyAreFp8WithScalesByBlock) {
  // Blocks of 48 rows begin within heads' halves.
  config(std::string(kDeepseek) +
         R"(, "quantization_config": {"quant_method": "fp8", "weight_block_size": [48, 32]}})");
  std::vector<std::uint8_t> codes(128 * 64);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint8_t>(i % 0x7F);
  const std::vector<float> scales = {1, 2, 3, 4, 5, 6};
  tensor("model.layers.0.self_attn.kv_b_proj.weight", "F8_E4M3", {128, 64}, codes);
  floats("model.layers.0.self_attn.kv_b_proj.weight_scale_inv", {3, 2}, scales);
  const auto file = opened();
  ASSERT_NE(file, nullptr);
  std::vector<float> whole(codes.size());
  for (std::size_t i = 0; i < whole.size(); ++i)
    whole[i] = kernels::e4m3_to_f32(codes[i]) * scales[i / 64 / 48 * 2 + i % 64 / 32];
  expect_halves(*file, whole);
}

TEST_F(FamilyFolders, DeepseeksKeysAreTurnedWhereMlxQuantisedThem) {
  config(std::string(kDeepseek) + R"(, "quantization": {"bits": 4, "group_size": 32}})");
  std::vector<std::uint32_t> codes(128 * 8);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = 0x76543210U + static_cast<std::uint32_t>(i);
  std::vector<float> scales(128 * 2);
  std::vector<float> biases(scales.size());
  for (std::size_t i = 0; i < scales.size(); ++i) {
    scales[i] = static_cast<float>(i + 1);
    biases[i] = -static_cast<float>(i);
  }
  tensor("model.layers.0.self_attn.kv_b_proj.weight", "U32", {128, 8}, codes);
  floats("model.layers.0.self_attn.kv_b_proj.scales", {128, 2}, scales);
  floats("model.layers.0.self_attn.kv_b_proj.biases", {128, 2}, biases);
  const auto file = opened();
  ASSERT_NE(file, nullptr);
  std::vector<float> whole(128 * 64);
  for (std::size_t i = 0; i < whole.size(); ++i)
    whole[i] = scales[i / 32] * static_cast<float>(codes[i / 8] >> 4 * (i % 8) & 15U) + biases[i / 32];
  expect_halves(*file, whole);
}

TEST_F(FamilyFolders, KvBProjThatDoesNotFitItsHeadsIsNamed) {
  config(std::string(kDeepseek) + "}");
  floats("model.layers.0.self_attn.kv_b_proj.weight", {96, 64}, counted(96 * 64));
  EXPECT_NE(refusal().find("kv_b_proj.weight' does not fit its heads"), std::string::npos) << refusal();
}

TEST_F(FamilyFolders, LayersThatGuessTokensAreLeftOutAndNoOthers) {
  config(std::string(kDeepseek) + "}");
  floats("model.layers.0.mlp.gate.e_score_correction_bias", {4}, counted(4));
  floats("model.layers.1.eh_proj.weight", {1, 2}, counted(2));
  const auto file = opened();
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->tensors().size(), 1U);
  EXPECT_EQ(dequantize(*file->tensor("blk.0.exp_probs_b.bias")), counted(4));
  floats("model.layers.2.eh_proj.weight", {1, 2}, counted(2));
  EXPECT_NE(refusal().find("'model.layers.2.eh_proj' is not one"), std::string::npos) << refusal();
}

TEST_F(FamilyFolders, MixtralsExpertsBecomeStacks) {
  config(
      R"({"model_type": "mixtral", "num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": null})");
  for (const char* expert : {"0", "1"}) {
    for (const char* part : {"w1", "w2", "w3"}) {
      floats(
          std::string("model.layers.0.block_sparse_moe.experts.") + expert + "." + part + ".weight", {2, 32},
          std::vector<float>(64, static_cast<float>(part[1] - '0') + 10 * static_cast<float>(*expert - '0')));
    }
  }
  const auto file = opened();
  ASSERT_NE(file, nullptr);
  for (const auto& [name, value] :
       {std::pair("gate", 1.0F), std::pair("down", 2.0F), std::pair("up", 3.0F)}) {
    const TensorInfo* stack = file->tensor(std::string("blk.0.ffn_") + name + "_exps.weight");
    ASSERT_NE(stack, nullptr) << name;
    EXPECT_EQ(dequantize(matrix_of(*stack, 0))[0], value);
    EXPECT_EQ(dequantize(matrix_of(*stack, 1))[0], 10 + value);
  }
  EXPECT_EQ(file->integer("llama.attention.sliding_window"), std::nullopt);
}

TEST_F(FamilyFolders, GemmasWithinMultimodalModelsTakeWhatIsLeftOutFromTheFamily) {
  config(R"({"model_type": "gemma3", "vision_config": {}, "text_config": {"model_type": "gemma3_text",
    "hidden_size": 2560, "num_hidden_layers": 2, "sliding_window": 1024,
    "rope_scaling": {"rope_type": "linear", "factor": 8.0}}})");
  floats("language_model.model.norm.weight", {32}, std::vector<float>(32));
  floats("vision_tower.vision_model.embeddings.patch_embedding.bias", {4}, counted(4));
  floats("multi_modal_projector.mm_soft_emb_norm.weight", {4}, counted(4));
  const auto file = opened();
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->tensors().size(), 1U);
  EXPECT_EQ(dequantize(*file->tensor("output_norm.weight"))[0], 1.0F);
  EXPECT_EQ(file->integer("gemma3.attention.head_count"), 8U);
  EXPECT_EQ(file->integer("gemma3.attention.head_count_kv"), 4U);
  EXPECT_EQ(file->integer("gemma3.attention.key_length"), 256U);
  EXPECT_EQ(file->number("gemma3.attention.layer_norm_rms_epsilon"), 1e-6);
  EXPECT_EQ(file->number("gemma3.rope.freq_base"), 1e6);
  EXPECT_EQ(file->number("gemma3.rope.freq_base_swa"), 1e4);
  EXPECT_EQ(file->integer("gemma3.attention.sliding_window"), 1024U);
  EXPECT_EQ(*file->integers("gemma3.attention.sliding_window_pattern"), (std::vector<std::int64_t>{1, 1}));
}

TEST_F(FamilyFolders, LayerTypesSayWhichLayersSlide) {
  config(R"({"model_type": "olmo3", "num_hidden_layers": 3, "sliding_window": 4096,
    "layer_types": ["full_attention", "sliding_attention", "full_attention"]})");
  EXPECT_EQ(*opened()->integers("olmo2.attention.sliding_window_pattern"),
            (std::vector<std::int64_t>{0, 1, 0}));
  config(R"({"model_type": "olmo3", "layer_types": ["chunked_attention"]})");
  EXPECT_NE(refusal().find("layers of type 'chunked_attention'"), std::string::npos) << refusal();
  config(R"({"model_type": "qwen3", "sliding_window": 64, "layer_types": ["sliding_attention"]})");
  EXPECT_NE(refusal().find("layers with a window are not supported for family 'qwen3'"), std::string::npos);
}

TEST_F(FamilyFolders, MinistralsQueriesGrowAndItsYarnHasAMagnitude) {
  config(R"({"model_type": "mistral3", "text_config": {"model_type": "ministral3", "rope_parameters": {
    "rope_type": "yarn", "rope_theta": 1e6, "factor": 16.0, "original_max_position_embeddings": 16384.0,
    "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1}}})");
  const auto file = opened();
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->string("general.architecture"), "mistral3");
  EXPECT_EQ(file->number("mistral3.attention.temperature_scale"), 0.1);
  EXPECT_EQ(file->integer("mistral3.rope.scaling.original_context_length"), 16384U);
  EXPECT_NEAR(file->number("mistral3.rope.scaling.attn_factor").value_or(0), 1 / (1 + 0.1 * std::log(16)),
              1e-12)
      << "cosines and sines stay as they are";
}

TEST_F(FamilyFolders, YarnsBoundsMayLieBetweenPairs) {
  const auto with = [&](const std::string& more) {
    config(R"({"model_type": "gpt_oss", "rope_scaling": {"rope_type": "yarn", "factor": 32.0,
      "original_max_position_embeddings": 4096)" +
           more + "}}");
    return opened()->boolean("kvasir.yarn_between_pairs");
  };
  EXPECT_EQ(with(R"(, "truncate": false)"), true);
  EXPECT_EQ(with(R"(, "truncate": true)"), std::nullopt);
  EXPECT_EQ(with(""), std::nullopt);
}

TEST_F(FamilyFolders, WhatWouldBeComputedWronglyIsNamed) {
  for (const auto& [text, words] : {
           std::pair(R"("model_type": "gpt_oss", "swiglu_limit": 5.0)", "swiglu_limit 5 is not supported"),
           std::pair(R"("model_type": "gemma3_text", "use_bidirectional_attention": true)",
                     "use_bidirectional_attention true is not supported for family 'gemma3_text'"),
           std::pair(R"("model_type": "gemma3_text", "attn_logit_softcapping": 50.0)",
                     "attn_logit_softcapping"),
           std::pair(R"("model_type": "glm4_moe", "scoring_func": "softmax")", "scoring_func \"softmax\""),
           std::pair(R"("model_type": "deepseek_v3", "topk_method": "greedy")", "topk_method \"greedy\""),
           std::pair(R"("model_type": "deepseek_v3", "rope_interleave": false)", "rope_interleave false"),
           std::pair(R"("model_type": "deepseek_v3", "moe_layer_freq": 2)", "moe_layer_freq 2"),
           std::pair(R"("model_type": "deepseek_v2", "norm_topk_prob": true)", "norm_topk_prob true"),
           std::pair(R"("model_type": "deepseek_v2", "kv_lora_rank": 64)",
                     "latent attention's sizes are missing"),
           std::pair(R"("model_type": "deepseek_v2", "kv_lora_rank": 64, "qk_nope_head_dim": 32,
                        "qk_rope_head_dim": 16, "v_head_dim": 32, "topk_method": "noaux_tc")",
                     "topk_method 'noaux_tc'"),
           std::pair(R"("model_type": "deepseek_v3", "kv_lora_rank": 64, "rope_scaling": {"type": "yarn",
                        "factor": 40, "mscale": 0.5, "mscale_all_dim": 1.0})",
                     "mscale that is not its mscale_all_dim"),
           std::pair(R"("model_type": "mistral3", "text_config": {"model_type": "mistral4"})",
                     "model family 'mistral4' is not supported"),
           std::pair(R"("model_type": "phi3small")", "model family 'phi3small' is not supported"),
       }) {
    config("{" + std::string(text) + "}");
    const std::string said = refusal();
    EXPECT_NE(said.find(words), std::string::npos) << said;
    EXPECT_EQ(said.find('\n'), std::string::npos) << said;
  }
  // What agrees with the rules is accepted, whichever kind of number it is.
  config(R"({"model_type": "gpt_oss", "swiglu_limit": 7.0})");
  EXPECT_EQ(refusal(), "accepted");
}

}  // namespace
}  // namespace kvasir::weights
