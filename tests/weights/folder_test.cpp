// Folders of safetensors against what `mlx` makes of them (tools/oracle/make_folder_golden.py), and folders
// that lie.

#include "weights/folder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/thread_pool.h"
#include "kernels/packed.h"
#include "weights/dequantize.h"
#include "weights/repack.h"

namespace kvasir::weights {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMlx = "tests/weights/golden/mlx";

std::string contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<const TensorInfo*> by_name(const Checkpoint& checkpoint) {
  std::vector<const TensorInfo*> tensors;
  for (const TensorInfo& t : checkpoint.tensors()) tensors.push_back(&t);
  std::ranges::sort(tensors, {}, [](const TensorInfo* t) { return t->name; });
  return tensors;
}

// A folder of its own for each test, made of texts and of safetensors files.
class Folders : public testing::Test {
 protected:
  void SetUp() override {
    path_ = fs::temp_directory_path() /
            ("kvasir-folder-" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  void TearDown() override { fs::remove_all(path_); }

  void write(const std::string& name, const std::string& text) {
    std::ofstream(path_ / name, std::ios::binary) << text;
  }
  // A safetensors file with zeros for data.
  static std::string file(const std::string& header, std::size_t bytes) {
    const std::uint64_t length = header.size();
    std::string out(reinterpret_cast<const char*>(&length), sizeof(length));
    return out + header + std::string(bytes, '\0');
  }
  // One line of refusal, or "accepted".
  std::string refusal() const {
    const auto opened = open_checkpoint(path_.string());
    if (opened.ok()) return "accepted";
    EXPECT_EQ(opened.error().message.find('\n'), std::string::npos);
    EXPECT_NE(opened.error().message.find(path_.string()), std::string::npos) << opened.error().message;
    return opened.error().message;
  }
  void expect_refused(const std::string& words) const {
    EXPECT_NE(refusal().find(words), std::string::npos) << refusal();
  }

  fs::path path_;
};

constexpr const char* kConfig =
    R"({"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 1, "intermediate_size": 64,
        "num_attention_heads": 2, "rms_norm_eps": 1e-5})";
constexpr const char* kNorm =
    R"({"model.norm.weight": {"dtype": "F32", "shape": [64], "data_offsets": [0, 256]}})";

TEST(Folder, PresentsItsConfigInGgufsKeys) {
  const auto folder = Folder::open(kMlx);
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  const Checkpoint& c = **folder;
  EXPECT_EQ(c.string("general.architecture"), "llama");
  EXPECT_EQ(c.integer("llama.attention.head_count"), 4U);
  EXPECT_EQ(c.integer("llama.attention.head_count_kv"), 2U);
  EXPECT_EQ(c.integer("llama.block_count"), 3U);
  EXPECT_EQ(c.number("llama.rope.freq_base"), 500000.0);
  EXPECT_EQ(c.boolean("kvasir.rope_neox"), true);
  ASSERT_NE(c.tensor("blk.2.attn_q.weight"), nullptr);
  EXPECT_EQ(c.tensor("blk.2.attn_q.weight")->columns(), 128U);
  EXPECT_EQ(c.tensor("blk.2.attn_q.weight")->rows(), 5U);
}

TEST(Folder, DecodesEveryQuantisationAsMlxDoes) {
  const auto folder = Folder::open(kMlx);
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  const std::string expected = contents(std::string(kMlx) + "/weights.f32");
  std::size_t at = 0;
  for (const TensorInfo* tensor : by_name(**folder)) {
    const std::vector<float> values = dequantize(*tensor);
    ASSERT_LE(at + values.size() * sizeof(float), expected.size());
    ASSERT_EQ(0, std::memcmp(values.data(), expected.data() + at, values.size() * sizeof(float)))
        << tensor->name;
    at += values.size() * sizeof(float);
  }
  EXPECT_EQ(at, expected.size());
}

TEST(Folder, RepackingKeepsEveryValueAndTheFilesSize) {
  const auto folder = Folder::open(kMlx);
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  ThreadPool pool(2);
  for (const TensorInfo* tensor : by_name(**folder)) {
    const auto packed = repack(*tensor, pool);
    ASSERT_TRUE(packed.ok()) << packed.error().message;
    const std::vector<float> expected = dequantize(*tensor);
    std::vector<float> row(packed->columns);
    for (std::size_t r = 0; r < packed->rows; ++r) {
      kernels::dequantize_row(*packed, r, row.data());
      ASSERT_EQ(0, std::memcmp(row.data(), expected.data() + r * row.size(), row.size() * sizeof(float)))
          << tensor->name << " row " << r;
    }
    // 16 rows, which is what a group holds, take what the file has for them, up to a cache line.
    EXPECT_LE(packed->group_bytes(), tensor->bytes() / tensor->rows() * 16 + 63) << tensor->name;
  }
}

TEST_F(Folders, ExpertsBecomeOneStack) {
  std::string header = "{";
  std::size_t at = 0;
  for (const char* expert : {"1", "0", "2"}) {
    header += std::string(at == 0 ? "" : ",") + R"("model.layers.0.mlp.experts.)" + expert +
              R"(.up_proj.weight": {"dtype": "F32", "shape": [2, 32], "data_offsets": [)" +
              std::to_string(at) + "," + std::to_string(at + 256) + "]}";
    at += 256;
  }
  std::string bytes = file(header + "}", at);
  for (std::size_t i = 0; i < 3; ++i) {
    const float value = std::array{11.0F, 10.0F, 12.0F}[i];
    std::memcpy(bytes.data() + bytes.size() - at + i * 256, &value, sizeof(value));
  }
  write("model.safetensors", bytes);
  write("config.json", R"({"model_type": "qwen3_moe", "num_experts": 3, "num_experts_per_tok": 1})");
  const auto opened = open_checkpoint(path_.string());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ((*opened)->integer("qwen3moe.expert_count"), 3U);
  const TensorInfo* stack = (*opened)->tensor("blk.0.ffn_up_exps.weight");
  ASSERT_NE(stack, nullptr);
  EXPECT_EQ(stack->shape, (std::vector<std::uint64_t>{32, 2, 3}));
  for (std::uint64_t e = 0; e < 3; ++e) {
    const TensorInfo one = matrix_of(*stack, e);
    EXPECT_EQ(one.rows(), 2U);
    EXPECT_EQ(dequantize(one)[0], 10.0F + static_cast<float>(e));
  }
}

TEST_F(Folders, Fp8HasItsScalesByBlockByRowOrForAll) {
  const auto header = [](const std::string& scale, const std::string& shape, std::size_t count) {
    return R"({"lm_head.weight": {"dtype": "F8_E4M3", "shape": [3, 64], "data_offsets": [0, 192]}, "lm_head.)" +
           scale + R"(": {"dtype": "F32", "shape": )" + shape + R"(, "data_offsets": [192, )" +
           std::to_string(192 + 4 * count) + "]}}";
  };
  const auto values = [&](const std::string& head, std::size_t count, const std::string& quantization) {
    std::string bytes = file(head, 192 + 4 * count);
    std::memset(bytes.data() + bytes.size() - 192 - 4 * count, 0x38, 192);  // ones
    for (std::size_t i = 0; i < count; ++i) {
      const float scale = 1.5F + static_cast<float>(i);
      std::memcpy(bytes.data() + bytes.size() - 4 * (count - i), &scale, 4);
    }
    write("model.safetensors", bytes);
    write("config.json", R"({"model_type": "llama", "quantization_config": )" + quantization + "}");
    const auto opened = open_checkpoint(path_.string());
    EXPECT_TRUE(opened.ok()) << opened.error().message;
    const TensorInfo& t = *(*opened)->tensor("output.weight");
    ThreadPool pool(1);
    const auto packed = repack(t, pool);
    EXPECT_TRUE(packed.ok());
    std::vector<float> row(64);
    const std::vector<float> all = dequantize(t);
    for (std::size_t r = 0; r < 3; ++r) {
      kernels::dequantize_row(*packed, r, row.data());
      EXPECT_TRUE(std::equal(row.begin(), row.end(), all.begin() + static_cast<long>(64 * r)));
    }
    return all;
  };
  const std::string blocks = R"({"quant_method": "fp8", "weight_block_size": [2, 32]})";
  const std::vector<float> by_block = values(header("weight_scale_inv", "[2, 2]", 4), 4, blocks);
  EXPECT_EQ(by_block[0], 1.5F);
  EXPECT_EQ(by_block[32], 2.5F);
  EXPECT_EQ(by_block[64], 1.5F);
  EXPECT_EQ(by_block[2 * 64 + 32], 4.5F);
  const std::string plain = R"({"quant_method": "fp8"})";
  EXPECT_EQ(values(header("weight_scale", "[3, 1]", 3), 3, plain)[64], 2.5F);
  EXPECT_EQ(values(header("weight_scale", "[]", 1), 1, plain)[2 * 64], 1.5F);
}

TEST_F(Folders, Fp8WhoseLastBlockIsNarrowerTakesATenthMoreAtMost) {
  constexpr std::size_t kRows = 16;
  constexpr std::size_t kColumns = 160;
  std::string bytes = file(
      R"({"lm_head.weight": {"dtype": "F8_E4M3", "shape": [16, 160], "data_offsets": [0, 2560]},
          "lm_head.weight_scale_inv": {"dtype": "F32", "shape": [1, 2], "data_offsets": [2560, 2568]}})",
      2568);
  std::memset(bytes.data() + bytes.size() - 2568, 0x38, kRows * kColumns);  // ones
  const float scales[] = {1.5F, 2.5F};
  std::memcpy(bytes.data() + bytes.size() - sizeof(scales), scales, sizeof(scales));
  write("model.safetensors", bytes);
  write(
      "config.json",
      R"({"model_type": "llama", "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}})");
  const auto opened = open_checkpoint(path_.string());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const TensorInfo& t = *(*opened)->tensor("output.weight");
  EXPECT_LE(static_cast<double>(packed_bytes(t)), 1.1 * kRows * kColumns);
  ThreadPool pool(1);
  const auto packed = repack(t, pool);
  ASSERT_TRUE(packed.ok());
  std::vector<float> row(kColumns);
  kernels::dequantize_row(*packed, kRows - 1, row.data());
  for (std::size_t k = 0; k < kColumns; ++k) EXPECT_EQ(row[k], scales[k / 128]);
}

TEST_F(Folders, NormsOfGemmaAreStoredLessOne) {
  write("config.json",
        R"({"model_type": "gemma3_text", "num_hidden_layers": 3, "sliding_window_pattern": 3})");
  write("model.safetensors", file(kNorm, 256));
  const auto opened = open_checkpoint(path_.string());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ(dequantize(*(*opened)->tensor("output_norm.weight")), std::vector<float>(64, 1.0F));
  EXPECT_EQ(*(*opened)->integers("gemma3.attention.sliding_window_pattern"),
            (std::vector<std::int64_t>{1, 1, 0}));
}

TEST_F(Folders, HybridsSayWhichLayersAreRecurrent) {
  write("config.json", R"({"model_type": "lfm2", "num_hidden_layers": 3, "num_attention_heads": 8,
    "num_key_value_heads": 2, "conv_L_cache": 3, "norm_eps": 1e-5, "block_ff_dim": 1000, "block_multiple_of": 256,
    "block_ffn_dim_multiplier": 1.0, "block_auto_adjust_ff_dim": true,
    "layer_types": ["conv", "full_attention", "conv"]})");
  // Hugging Face has a channel's dimension of 1 in the middle, MLX at the end.
  const std::string header =
      R"({"model.layers.0.conv.conv.weight": {"dtype": "F32", "shape": [32, 1, 3], "data_offsets": [0, 384]},
          "model.layers.2.conv.conv.weight": {"dtype": "F32", "shape": [32, 3, 1], "data_offsets": [384, 768]}})";
  write("model.safetensors", file(header, 768));
  const auto opened = open_checkpoint(path_.string());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ(*(*opened)->integers("lfm2.attention.head_count_kv"), (std::vector<std::int64_t>{0, 2, 0}));
  EXPECT_EQ((*opened)->integer("lfm2.feed_forward_length"), 768U) << "two thirds, rounded up";
  EXPECT_EQ((*opened)->integer("lfm2.shortconv.l_cache"), 3U);
  for (const char* name : {"blk.0.shortconv.conv.weight", "blk.2.shortconv.conv.weight"})
    EXPECT_EQ((*opened)->tensor(name)->shape, (std::vector<std::uint64_t>{3, 32})) << name;
  write("config.json", R"({"model_type": "lfm2", "layer_types": ["conv", "retention"]})");
  expect_refused("'retention'");
}

TEST_F(Folders, NormsOfDeltaNetModelsAreStoredLessOneButForMlxsFolders) {
  write("config.json", R"({"model_type": "qwen3_5", "text_config": {"model_type": "qwen3_5_text",
    "num_attention_heads": 2, "head_dim": 64, "linear_num_value_heads": 2, "linear_value_head_dim": 64,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e7, "partial_rotary_factor": 0.25},
    "layer_types": ["linear_attention", "full_attention"]}})");
  for (const bool mlx : {false, true}) {
    const std::string conv = mlx ? "[8, 4, 1]" : "[8, 1, 4]";
    const std::string header =
        R"({"model.language_model.norm.weight": {"dtype": "F32", "shape": [64], "data_offsets": [0, 256]},
            "model.language_model.layers.0.linear_attn.norm.weight": {"dtype": "F32", "shape": [64],
              "data_offsets": [256, 512]},
            "mtp.norm.weight": {"dtype": "F32", "shape": [64], "data_offsets": [512, 768]},
            "model.language_model.layers.0.linear_attn.conv1d.weight": {"dtype": "F32", "shape": )" +
        conv + R"(, "data_offsets": [768, 896]}})";
    write("model.safetensors", file(header, 896));
    const auto opened = open_checkpoint(path_.string());
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    EXPECT_EQ(dequantize(*(*opened)->tensor("output_norm.weight"))[0], mlx ? 0.0F : 1.0F);
    EXPECT_EQ(dequantize(*(*opened)->tensor("blk.0.ssm_norm.weight"))[0], 0.0F);
    EXPECT_EQ(*(*opened)->integers("qwen35.attention.recurrent_layers"), (std::vector<std::int64_t>{1, 0}));
    EXPECT_EQ((*opened)->integer("qwen35.rope.dimension_count"), 16U);
    EXPECT_EQ((*opened)->integer("qwen35.ssm.inner_size"), 128U);
  }
}

TEST_F(Folders, Granite4sTensorsWithoutAModuleAreRead) {
  write("config.json", R"({"model_type": "granitemoehybrid", "num_hidden_layers": 1, "num_attention_heads": 2,
    "mamba_n_heads": 2, "mamba_d_head": 64, "num_local_experts": 0, "shared_intermediate_size": 96,
    "position_embedding_type": "nope", "layer_types": ["mamba"]})");
  std::string bytes = file(
      R"({"model.layers.0.mamba.A_log": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
          "model.layers.0.mamba.D": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]},
          "model.layers.0.mamba.dt_bias": {"dtype": "F32", "shape": [2], "data_offsets": [16, 24]},
          "model.layers.0.mamba.conv1d.weight": {"dtype": "F32", "shape": [2, 1, 4], "data_offsets": [24, 56]},
          "model.layers.0.mamba.conv1d.bias": {"dtype": "F32", "shape": [2], "data_offsets": [56, 64]}})",
      64);
  const float log_a = 1.0F;
  std::memcpy(bytes.data() + bytes.size() - 64, &log_a, sizeof(log_a));
  write("model.safetensors", bytes);
  const auto opened = open_checkpoint(path_.string());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ(dequantize(*(*opened)->tensor("blk.0.ssm_a")), (std::vector<float>{-std::exp(1.0F), -1.0F}));
  EXPECT_NE((*opened)->tensor("blk.0.ssm_d"), nullptr);
  EXPECT_NE((*opened)->tensor("blk.0.ssm_dt.bias"), nullptr);
  ASSERT_NE((*opened)->tensor("blk.0.ssm_conv1d.bias"), nullptr);
  EXPECT_EQ((*opened)->tensor("blk.0.ssm_conv1d.bias")->shape, (std::vector<std::uint64_t>{2}));
  EXPECT_EQ((*opened)->integer("granitehybrid.ssm.inner_size"), 128U);
  EXPECT_EQ((*opened)->integer("granitehybrid.feed_forward_length"), 96U);
  EXPECT_EQ((*opened)->boolean("granitehybrid.rope.scaling.finetuned"), false);
}

TEST_F(Folders, Llama3ScalesFrequenciesByDivisors) {
  write("config.json",
        R"({"model_type": "llama", "hidden_size": 256, "num_attention_heads": 2, "rope_theta": 500000.0,
    "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                     "original_max_position_embeddings": 8192}})");
  write("model.safetensors", file(kNorm, 256));
  const auto opened = open_checkpoint(path_.string());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const std::vector<float> divisors = dequantize(*(*opened)->tensor("rope_freqs.weight"));
  ASSERT_EQ(divisors.size(), 64U);
  EXPECT_EQ(divisors.front(), 1.0F);  // short wavelengths are kept, long ones stretched
  EXPECT_EQ(divisors.back(), 8.0F);
  EXPECT_TRUE(std::ranges::is_sorted(divisors));
}

TEST_F(Folders, YarnsAttentionFactorBecomesAFactorOfTheUsualOne) {
  write("config.json", R"({"model_type": "qwen2", "rope_scaling": {"rope_type": "yarn", "factor": 4.0,
    "attention_factor": 1.0, "original_max_position_embeddings": 32768}})");
  write("model.safetensors", file(kNorm, 256));
  const auto opened = open_checkpoint(path_.string());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ((*opened)->string("qwen2.rope.scaling.type"), "yarn");
  EXPECT_EQ((*opened)->number("qwen2.rope.scaling.original_context_length"), 32768.0);
  EXPECT_NEAR((*opened)->number("qwen2.rope.scaling.attn_factor").value_or(0), 1 / (1 + 0.1 * std::log(4.0)),
              1e-12);
}

TEST_F(Folders, ReadsTokensTemplatesAndSamplingFromTheirFiles) {
  write("config.json", R"({"model_type": "llama", "bos_token_id": 1, "eos_token_id": 2})");
  write("generation_config.json",
        R"({"eos_token_id": [7, 2], "do_sample": true, "temperature": 0.3, "top_p": 0.8})");
  write("tokenizer_config.json", R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>",
    "chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]})");
  write("tokenizer.json", "{}");
  write("model.safetensors", file(kNorm, 256));
  const auto opened = open_checkpoint(path_.string());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const Checkpoint& c = **opened;
  EXPECT_EQ(c.string("tokenizer.huggingface.json"), "{}");
  EXPECT_EQ(c.string("kvasir.bos_token"), "<s>");
  EXPECT_EQ(c.string("kvasir.eos_token"), "</s>");
  EXPECT_EQ(*c.integers("kvasir.end_token_ids"), (std::vector<std::int64_t>{7, 2}));
  EXPECT_EQ(c.string("tokenizer.chat_template"), "D");
  EXPECT_EQ(c.number("general.sampling.temp"), 0.3);
  write("chat_template.jinja", "J");
  EXPECT_EQ((*open_checkpoint(path_.string()))->string("tokenizer.chat_template"), "J");
}

TEST_F(Folders, ReadsShardsByTheirIndex) {
  write("config.json", kConfig);
  write("a.safetensors", file(kNorm, 256));
  write("b.safetensors",
        file(R"({"lm_head.weight": {"dtype": "F16", "shape": [2, 32], "data_offsets": [0, 128]}})", 128));
  expect_refused("2 safetensors files, but no model.safetensors.index.json");
  write("model.safetensors.index.json",
        R"({"weight_map": {"model.norm.weight": "a.safetensors", "lm_head.weight": "b.safetensors"}})");
  const auto opened = open_checkpoint(path_.string());
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ((*opened)->tensors().size(), 2U);
  write("model.safetensors.index.json", R"({"weight_map": {"model.norm.weight": "b.safetensors"}})");
  expect_refused("'model.norm.weight' is not in b.safetensors");
  write("model.safetensors.index.json", R"({"weight_map": {"model.norm.weight": "c.safetensors"}})");
  expect_refused("c.safetensors");
  write("model.safetensors.index.json", R"({"weight_map": {"model.norm.weight": "../a.safetensors"}})");
  expect_refused("outside the folder");
}

TEST_F(Folders, RefusesByNameWhatIsNotSupported) {
  expect_refused("has no config.json");
  write("config.json", R"({"model_type": "mamba"})");
  expect_refused("model family 'mamba' is not supported");
  write("config.json", kConfig);
  expect_refused("no safetensors file");
  write("model.safetensors",
        file(R"({"model.extra.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})", 4));
  expect_refused("'model.extra' is not one that family 'llama' has");
  write("model.safetensors",
        file(R"({"lm_head.weight": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}})", 4));
  expect_refused("of type U8 is not supported");
  write("model.safetensors",
        file(R"({"lm_head.weight": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}})", 2));
  expect_refused("type F4, which this build does not know");
  write("model.safetensors", file(kNorm, 256));
  EXPECT_EQ(refusal(), "accepted");
  for (const auto& [field, words] :
       {std::pair(R"("quantization_config": {"quant_method": "gptq", "bits": 4})", "quantised by 'gptq'"),
        std::pair(R"("rope_scaling": {"type": "dynamic", "factor": 2.0})", "rope scaling 'dynamic'"),
        std::pair(R"("hidden_act": "relu")", "activation 'relu'"),
        std::pair(R"("use_sliding_window": true)", "use_sliding_window"),
        std::pair(R"("hidden_size": "many")", "'hidden_size' is neither a number"),
        std::pair(R"("rope_scaling": {"rope_type": "llama3"})", "llama3 rope scaling lacks")}) {
    write("config.json", R"({"model_type": "llama", )" + std::string(field) + "}");
    expect_refused(words);
  }
}

TEST_F(Folders, RefusesMlxWeightsThatDoNotFitTheirConfig) {
  const auto with = [&](const std::string& quantization) {
    write("config.json", R"({"model_type": "llama", "quantization": )" + quantization + "}");
  };
  write("model.safetensors",
        file(R"({"lm_head.weight": {"dtype": "U32", "shape": [2, 8], "data_offsets": [0, 64]},
    "lm_head.scales": {"dtype": "F16", "shape": [2, 1], "data_offsets": [64, 68]},
    "lm_head.biases": {"dtype": "F16", "shape": [2, 1], "data_offsets": [68, 72]}})",
             72));
  with(R"({"group_size": 64, "bits": 4})");
  EXPECT_EQ(refusal(), "accepted");
  with(R"({"group_size": 64, "bits": 8})");
  expect_refused("do not fit affine of 8 bits");
  with(R"({"group_size": 64, "bits": 7})");
  expect_refused("7-bit affine weights in groups of 64");
  with(R"({"group_size": 32, "bits": 4, "mode": "fancy"})");
  expect_refused("mode 'fancy' is not supported");
  with(R"({"group_size": 64, "bits": 8, "lm_head": {"group_size": 64, "bits": 4}})");
  EXPECT_EQ(refusal(), "accepted");
  write("config.json", R"({"model_type": "llama"})");
  expect_refused("config.json has no quantization");
}

TEST_F(Folders, RefusesEveryTruncationAndSurvivesDamage) {
  const std::string config = contents(std::string(kMlx) + "/config.json");
  const std::string weights = contents(std::string(kMlx) + "/model.safetensors");
  write("config.json", config);
  for (std::size_t n = 0; n < weights.size(); n = n * 5 / 4 + 1) {
    write("model.safetensors", weights.substr(0, n));
    EXPECT_NE(refusal(), "accepted") << n;
  }
  write("model.safetensors", weights);
  for (std::size_t n = 0; n + 2 < config.size(); n = n * 5 / 4 + 1) {
    write("config.json", config.substr(0, n));
    EXPECT_NE(refusal(), "accepted") << n;
  }
  write("config.json", config);
  std::uint64_t header = 0;
  std::memcpy(&header, weights.data(), sizeof(header));
  std::mt19937 rng(5);
  ThreadPool pool(1);
  for (int round = 0; round < 100; ++round) {
    std::string damaged = weights;
    for (int i = 0; i < 1 + round % 3; ++i) damaged[rng() % (8 + header)] = static_cast<char>(rng() % 256);
    write("model.safetensors", damaged);
    const auto opened = open_checkpoint(path_.string());
    if (!opened.ok()) continue;
    for (const TensorInfo& t : (*opened)->tensors()) {
      if (t.columns() % 32 == 0) (void)repack(t, pool).ok();  // reads every byte that the tensor claims
    }
  }
}

}  // namespace
}  // namespace kvasir::weights
