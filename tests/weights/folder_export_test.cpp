// A folder of each family as GGUF, and that as a folder again: the same names, shapes and bits, and a
// config.json that says the same. tools/oracle/export_table.py has whole models beside mlx-lm.

#include "weights/folder_export.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/thread_pool.h"
#include "weights/gguf_export.h"
#include "weights/safetensors.h"

namespace kvasir::weights {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;

struct Made {
  std::string name;
  std::vector<std::uint64_t> shape;
};

// A family's folder. Norms are about 1, so that what is stored less one is exact either way.
struct Family {
  std::string name;
  std::string config;  // fields besides those of every family
  std::vector<Made> tensors;
};

constexpr const char* kSizes = R"("hidden_size": 64, "num_hidden_layers": 1, "intermediate_size": 32,
  "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 4096,
  "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "vocab_size": 8, "tie_word_embeddings": true)";

const std::string kLayer = "model.layers.0.";

std::vector<Made> with(std::vector<Made> more, bool attention = true) {
  std::vector<Made> all = {{"model.embed_tokens.weight", {8, 64}}, {"model.norm.weight", {64}}};
  const std::vector<Made> own = {{"self_attn.q_proj.weight", {64, 64}},
                                 {"self_attn.k_proj.weight", {32, 64}},
                                 {"self_attn.v_proj.weight", {32, 64}},
                                 {"self_attn.o_proj.weight", {64, 64}}};
  if (attention) more.insert(more.begin(), own.begin(), own.end());
  for (Made& m : more) all.push_back({kLayer + m.name, m.shape});
  return all;
}

std::vector<Made> gemma_norms() {
  return {{"pre_feedforward_layernorm.weight", {64}}, {"post_feedforward_layernorm.weight", {64}}};
}

std::vector<Made> experts(const std::string& module, const std::vector<const char*>& names) {
  std::vector<Made> out;
  for (const char* e : {"0", "1"}) {
    for (std::size_t i = 0; i < 3; ++i) {
      const bool down = i == 2;
      out.push_back({module + ".experts." + e + "." + names[i] + ".weight",
                     down ? std::vector<std::uint64_t>{64, 32} : std::vector<std::uint64_t>{32, 64}});
    }
  }
  return out;
}

std::vector<Made> joined(std::vector<Made> a, const std::vector<Made>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::vector<Family> families() {
  const std::vector<const char*> plain = {"gate_proj", "up_proj", "down_proj"};
  const std::string scales = R"("embedding_multiplier": 12.0, "residual_multiplier": 0.22,
      "attention_multiplier": 0.015625, "logits_scaling": 8.0)";
  return {
      {"llama", "", with({{"mlp.gate_proj.weight", {32, 64}}})},
      {"llama", R"("rope_scaling": {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 8192})",
       with({})},
      {"mistral", R"("sliding_window": 4096)", with({{"mlp.up_proj.weight", {32, 64}}})},
      {"ministral3", R"("rope_parameters": {"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 16.0,
          "original_max_position_embeddings": 16384, "mscale": 1.0, "mscale_all_dim": 1.0,
          "llama_4_scaling_beta": 0.1, "beta_fast": 32.0, "beta_slow": 1.0})",
       with({})},
      {"smollm3", R"("no_rope_layers": [0])", with({{"mlp.down_proj.weight", {64, 32}}})},
      {"gemma", "", with({{"input_layernorm.weight", {64}}})},
      {"gemma2", R"("sliding_window": 4096, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
          "query_pre_attn_scalar": 144)",
       with(gemma_norms())},
      {"gemma3_text",
       R"("sliding_window": 1024, "rope_local_base_freq": 10000.0, "query_pre_attn_scalar": 168,
          "rope_scaling": {"rope_type": "linear", "factor": 8.0}, "layer_types": ["sliding_attention"])",
       with(joined(gemma_norms(), {{"self_attn.q_norm.weight", {16}}}))},
      {"phi3", R"("partial_rotary_factor": 0.75, "original_max_position_embeddings": 4096,
          "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.25], "long_factor": [1.5, 64.0]})",
       with({{"self_attn.qkv_proj.weight", {128, 64}}, {"mlp.gate_up_proj.weight", {64, 64}}}, false)},
      {"olmo3", R"("sliding_window": 64, "layer_types": ["full_attention"])",
       with({{"post_feedforward_layernorm.weight", {64}}})},
      {"mixtral", R"("num_local_experts": 2, "num_experts_per_tok": 1)",
       with(joined(experts("block_sparse_moe", {"w1", "w3", "w2"}),
                   {{"block_sparse_moe.gate.weight", {2, 64}}}))},
      {"qwen3_moe", R"("num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 32,
          "norm_topk_prob": true)",
       with(experts("mlp", plain))},
      {"granitemoeshared",
       scales + R"(, "num_local_experts": 2, "num_experts_per_tok": 1, "shared_intermediate_size": 32)",
       with({{"shared_mlp.input_linear.weight", {64, 64}},
             {"shared_mlp.output_linear.weight", {64, 32}},
             {"block_sparse_moe.input_linear.weight", {2, 64, 64}},
             {"block_sparse_moe.output_linear.weight", {2, 64, 32}}})},
      {"glm4_moe", R"("n_routed_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 32,
          "n_shared_experts": 1, "first_k_dense_replace": 0, "norm_topk_prob": true,
          "routed_scaling_factor": 1.5, "n_group": 1, "topk_group": 1, "partial_rotary_factor": 0.5)",
       with(joined(experts("mlp", plain), {{"mlp.gate.e_score_correction_bias", {2}},
                                           {"mlp.shared_experts.up_proj.weight", {32, 64}}}))},
      {"deepseek_v2",
       R"("kv_lora_rank": 32, "q_lora_rank": 32, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16,
          "v_head_dim": 32, "topk_method": "greedy", "n_routed_experts": 2, "num_experts_per_tok": 1,
          "moe_intermediate_size": 32, "n_shared_experts": 1, "first_k_dense_replace": 0)",
       with(joined(experts("mlp", plain), {{"self_attn.kv_b_proj.weight", {256, 32}}}), false)},
      {"deepseek_v3",
       R"("kv_lora_rank": 32, "q_lora_rank": 32, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16,
          "v_head_dim": 32, "n_group": 1, "topk_group": 1, "n_routed_experts": 2, "num_experts_per_tok": 1,
          "moe_intermediate_size": 32, "n_shared_experts": 1, "first_k_dense_replace": 0,
          "routed_scaling_factor": 2.5, "norm_topk_prob": true, "rope_scaling": {"type": "yarn", "factor": 40.0,
          "original_max_position_embeddings": 4096, "mscale": 1.0, "mscale_all_dim": 1.0, "beta_fast": 32.0,
          "beta_slow": 1.0})",
       with({{"self_attn.kv_b_proj.weight", {256, 32}}, {"mlp.gate.e_score_correction_bias", {2}}}, false)},
      {"lfm2", R"("layer_types": ["conv"], "norm_eps": 1e-5, "conv_L_cache": 3)",
       with({{"conv.conv.weight", {64, 1, 3}}, {"feed_forward.w1.weight", {32, 64}}}, false)},
      {"lfm2_moe", R"("layer_types": ["full_attention"], "norm_eps": 1e-5, "conv_L_cache": 3,
          "num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 32, "num_dense_layers": 0,
          "norm_topk_prob": true)",
       with(joined(experts("feed_forward", {"w1", "w3", "w2"}),
                   {{"feed_forward.expert_bias", {2}}, {"self_attn.q_layernorm.weight", {16}}}),
            false)},
      {"granitemoehybrid", scales + R"(, "layer_types": ["mamba"], "num_local_experts": 0,
          "shared_intermediate_size": 32, "mamba_d_conv": 4, "mamba_d_state": 16, "mamba_n_groups": 1,
          "mamba_n_heads": 4, "mamba_d_head": 32, "position_embedding_type": "nope")",
       with({{"shared_mlp.input_linear.weight", {64, 64}},
             {"shared_mlp.output_linear.weight", {64, 32}},
             {"mamba.conv1d.weight", {160, 1, 4}},
             {"mamba.conv1d.bias", {160}},
             {"mamba.D", {4}},
             {"mamba.norm.weight", {128}}},
            false)},
      {"qwen3_next", R"("layer_types": ["linear_attention"], "linear_conv_kernel_dim": 4,
          "linear_key_head_dim": 16, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
          "linear_value_head_dim": 16, "full_attention_interval": 4, "partial_rotary_factor": 0.25,
          "num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 32,
          "shared_expert_intermediate_size": 32, "norm_topk_prob": true)",
       with(joined(experts("mlp", plain), {{"linear_attn.in_proj_qkvz.weight", {192, 64}},
                                           {"linear_attn.in_proj_ba.weight", {8, 64}},
                                           {"linear_attn.conv1d.weight", {128, 1, 4}},
                                           {"linear_attn.norm.weight", {16}},
                                           {"mlp.shared_expert_gate.weight", {1, 64}},
                                           {"post_attention_layernorm.weight", {64}}}),
            false)},
      {"qwen3_5_text", R"("layer_types": ["linear_attention"], "linear_conv_kernel_dim": 4,
          "linear_key_head_dim": 16, "linear_num_key_heads": 2, "linear_num_value_heads": 6,
          "linear_value_head_dim": 32, "full_attention_interval": 4, "num_experts": 0, "num_experts_per_tok": 3,
          "rope_parameters": {"rope_type": "default",
          "rope_theta": 10000000.0, "partial_rotary_factor": 0.25, "mrope_section": [1, 1, 0]})",
       with({{"linear_attn.in_proj_qkv.weight", {256, 64}},
             {"linear_attn.in_proj_z.weight", {192, 64}},
             {"linear_attn.in_proj_a.weight", {6, 64}},
             {"linear_attn.in_proj_b.weight", {6, 64}},
             {"linear_attn.conv1d.weight", {256, 1, 4}},
             {"linear_attn.dt_bias", {6}},
             {"linear_attn.norm.weight", {32}},
             {"linear_attn.out_proj.weight", {64, 192}},
             {"input_layernorm.weight", {64}}},
            false)},
      {"qwen3_5_moe_text", R"("layer_types": ["linear_attention"], "linear_conv_kernel_dim": 4,
          "linear_key_head_dim": 16, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
          "linear_value_head_dim": 16, "full_attention_interval": 4, "num_experts": 2,
          "num_experts_per_tok": 1, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32,
          "rope_parameters": {"rope_type": "default", "rope_theta": 10000000.0, "partial_rotary_factor": 0.25})",
       with({{"linear_attn.conv1d.weight", {128, 1, 4}},
             {"mlp.experts.gate_up_proj", {2, 64, 64}},
             {"mlp.experts.down_proj", {2, 64, 32}}},
            false)},
  };
}

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class FolderExport : public testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    std::ranges::replace(name, '/', '-');
    root_ = fs::temp_directory_path() / ("kvasir-export-" + name);
    fs::remove_all(root_);
    fs::create_directories(root_ / "in");
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const Family& f) {
    const std::string own = f.config.empty() ? "" : ", " + f.config;
    std::ofstream(root_ / "in/config.json") << "{\"model_type\": \"" + f.name + "\", " + kSizes + own + "}";
    std::ofstream(root_ / "in/tokenizer.json") << "{}";
    json::object header;
    std::string data;
    std::uint32_t seed = 1;
    for (const Made& m : f.tensors) {
      std::size_t count = 1;
      for (const std::uint64_t n : m.shape) count *= n;
      const std::size_t at = data.size();
      for (std::size_t i = 0; i < count; ++i) {
        seed = seed * 1664525U + 1013904223U;
        // Of 8 bits and at least 2^-9: exact in every plain type, and with 1 added.
        const float v = std::ldexp(static_cast<float>(static_cast<int>(seed >> 24) - 127), -9);
        data.append(reinterpret_cast<const char*>(&v), sizeof(v));
      }
      header[m.name] = {{"dtype", "F32"},
                        {"shape", json::array(m.shape.begin(), m.shape.end())},
                        {"data_offsets", json::array{at, data.size()}}};
    }
    const std::string head = json::serialize(header);
    const std::uint64_t length = head.size();
    std::ofstream out(root_ / "in/model.safetensors", std::ios::binary);
    out.write(reinterpret_cast<const char*>(&length), sizeof(length));
    out << head << data;
  }

  std::shared_ptr<const Checkpoint> opened(const fs::path& path) {
    auto file = open_checkpoint(path.string());
    EXPECT_TRUE(file.ok()) << file.error().message;
    return file.ok() ? *file : nullptr;
  }

  std::shared_ptr<const Checkpoint> as_gguf(const Checkpoint& file) {
    GgufWriter out((root_ / "model.gguf").string());
    Choice choice;
    EXPECT_TRUE(set_metadata(out, file).ok());
    const Status written = write_gguf(out, file, gguf_tensors(file, choice), pool_, {});
    EXPECT_TRUE(written.ok()) << written.error().message;
    return written.ok() ? opened(root_ / "model.gguf") : nullptr;
  }

  // An empty string, or why not.
  std::string as_folder(const Checkpoint& file, const std::string& name, bool mlx) {
    Choice choice;
    choice.target = Target::kFolder;
    choice.plain = TensorType::kF32;
    const auto tensors = folder_tensors(file, choice, mlx);
    if (!tensors.ok()) return tensors.error().message;
    const Status written =
        write_folder((root_ / name).string(), file, *tensors, {.tokenizer_json = "{}"}, mlx, pool_, {});
    return written.ok() ? "" : written.error().message;
  }

  void expect_same_tensors(const fs::path& made) {
    const auto wanted = SafetensorsFile::open((root_ / "in/model.safetensors").string());
    const auto found = SafetensorsFile::open((made / "model.safetensors").string());
    ASSERT_TRUE(wanted.ok() && found.ok());
    std::map<std::string, const SafeTensor*> by_name;
    for (const SafeTensor& t : (*found)->tensors()) by_name[t.name] = &t;
    EXPECT_EQ(by_name.size(), (*wanted)->tensors().size());
    for (const SafeTensor& t : (*wanted)->tensors()) {
      ASSERT_TRUE(by_name.contains(t.name)) << t.name;
      const SafeTensor& own = *by_name[t.name];
      EXPECT_EQ(own.shape, t.shape) << t.name;
      EXPECT_TRUE(own.element == t.element && std::ranges::equal(own.data, t.data)) << t.name;
    }
  }

  // Everything that the first says of the model, the second says too.
  static void expect_same_metadata(const Checkpoint& first, const Checkpoint& second) {
    for (const auto& [key, value] : first.metadata()) {
      if (key.starts_with("tokenizer.") || key == "kvasir.bos_token" || key == "kvasir.eos_token") continue;
      if (key.starts_with("qwen35.expert_")) continue;  // of a model without experts
      const MetaValue* other = second.find(key);
      ASSERT_NE(other, nullptr) << key;
      if (const auto number = first.number(key)) {
        const double own = second.number(key).value_or(NAN);
        EXPECT_NEAR(own, *number, 1e-6 * std::abs(*number)) << key;
      } else if (const auto* list = first.integers(key)) {
        ASSERT_NE(second.integers(key), nullptr) << key;
        EXPECT_EQ(*second.integers(key), *list) << key;
      } else {
        EXPECT_EQ(first.string(key), second.string(key)) << key;
        EXPECT_EQ(first.boolean(key), second.boolean(key)) << key;
      }
    }
  }

  fs::path root_;
  ThreadPool pool_{2};
};

// What llama.cpp wants otherwise than folders have it (tools/oracle/export_table.py loads such files with
// it).
void expect_as_llama_reads(const Family& f, const Checkpoint& gguf) {
  using Shape = std::vector<std::uint64_t>;
  if (f.name == "granitemoehybrid") {
    EXPECT_EQ(gguf.tensor("blk.0.ssm_d")->shape, (Shape{1, 4}));
    EXPECT_EQ(gguf.tensor("blk.0.ssm_norm.weight")->shape, (Shape{128, 1}));
  }
  if (f.name == "qwen3_5_moe_text") {
    const auto* sections = gguf.integers("qwen35moe.rope.dimension_sections");
    ASSERT_NE(sections, nullptr);
    EXPECT_EQ(*sections, (std::vector<std::int64_t>{1, 1, 0, 0}));  // of two pairs
  }
  if (f.name == "qwen3_5_text") {
    EXPECT_EQ(gguf.find("qwen35.expert_used_count"), nullptr) << "of a model without experts";
  }
}

TEST_P(FolderExport, ComesBackFromGgufBitForBit) {
  const Family f = families()[GetParam()];
  write(f);
  const auto folder = opened(root_ / "in");
  ASSERT_NE(folder, nullptr);
  const auto gguf = as_gguf(*folder);
  ASSERT_NE(gguf, nullptr);
  expect_as_llama_reads(f, *gguf);
  ASSERT_EQ(as_folder(*gguf, "out", false), "");
  expect_same_tensors(root_ / "out");
  const auto again = opened(root_ / "out");
  ASSERT_NE(again, nullptr);
  expect_same_metadata(*folder, *again);
  const json::object config = json::parse(read_text(root_ / "out/config.json")).get_object();
  EXPECT_EQ(config.at("model_type"), json::value(f.name));
}

TEST_P(FolderExport, ComesBackFromMlxsFormBitForBit) {
  write(families()[GetParam()]);
  const auto folder = opened(root_ / "in");
  ASSERT_NE(folder, nullptr);
  ASSERT_EQ(as_folder(*folder, "mlx", true), "");
  const auto mlx = opened(root_ / "mlx");
  ASSERT_NE(mlx, nullptr);
  ASSERT_EQ(as_folder(*mlx, "out", false), "");
  expect_same_tensors(root_ / "out");
}

INSTANTIATE_TEST_SUITE_P(Families, FolderExport, testing::Range(std::size_t{0}, families().size()),
                         [](const auto& test) {
                           return families()[test.param].name + std::to_string(test.param);
                         });

}  // namespace
}  // namespace kvasir::weights
