#include "weights/hf_families.h"

#include <string>

namespace kvasir::weights {
namespace {

constexpr HfField kCommonFields[] = {
    {"num_hidden_layers", "block_count"},
    {"hidden_size", "embedding_length"},
    {"intermediate_size", "feed_forward_length"},
    {"num_attention_heads", "attention.head_count"},
    {"num_key_value_heads", "attention.head_count_kv"},
    {"head_dim", "attention.key_length"},
    {"head_dim", "attention.value_length"},
    {"max_position_embeddings", "context_length"},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon"},
    {"rope_theta", "rope.freq_base"},
    {"vocab_size", "vocab_size"},
};

constexpr HfModule kCommonModules[] = {
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
    {"model.layers.#.input_layernorm", "blk.#.attn_norm"},
    {"model.layers.#.self_attn.q_proj", "blk.#.attn_q"},
    {"model.layers.#.self_attn.k_proj", "blk.#.attn_k"},
    {"model.layers.#.self_attn.v_proj", "blk.#.attn_v"},
    {"model.layers.#.self_attn.o_proj", "blk.#.attn_output"},
    {"model.layers.#.self_attn.q_norm", "blk.#.attn_q_norm"},
    {"model.layers.#.self_attn.k_norm", "blk.#.attn_k_norm"},
    {"model.layers.#.post_attention_layernorm", "blk.#.ffn_norm"},
    {"model.layers.#.mlp.gate_proj", "blk.#.ffn_gate"},
    {"model.layers.#.mlp.up_proj", "blk.#.ffn_up"},
    {"model.layers.#.mlp.down_proj", "blk.#.ffn_down"},
};

// Embedding models of a family have its name and its tensors, and tokens that see what comes after them.
constexpr HfRule kCommonRules[] = {
    {"use_bidirectional_attention", "false"},
    {"is_causal", "true"},
    {"use_sliding_window", "false"},
    {"clip_qkv", "null"},
};

// Norms behind attention and feed-forward.
constexpr HfModule kGemmaModules[] = {
    {"model.layers.#.post_attention_layernorm", "blk.#.post_attention_norm"},
    {"model.layers.#.pre_feedforward_layernorm", "blk.#.ffn_norm"},
    {"model.layers.#.post_feedforward_layernorm", "blk.#.post_ffw_norm"},
};
constexpr HfModule kOlmo2Modules[] = {
    {"model.layers.#.post_attention_layernorm", "blk.#.post_attention_norm"},
    {"model.layers.#.post_feedforward_layernorm", "blk.#.post_ffw_norm"},
};
// Fused in GGUF as well.
constexpr HfModule kPhi3Modules[] = {
    {"model.layers.#.self_attn.qkv_proj", "blk.#.attn_qkv"},
    {"model.layers.#.mlp.gate_up_proj", "blk.#.ffn_up"},
};

constexpr HfField kGemma2Fields[] = {
    {"sliding_window", "attention.sliding_window"},
    {"attn_logit_softcapping", "attn_logit_softcapping"},
    {"final_logit_softcapping", "final_logit_softcapping"},
};
// The larger models' text_config says little more than its sizes.
constexpr HfField kGemma3Fields[] = {
    {"num_attention_heads", "attention.head_count", "8"},
    {"num_key_value_heads", "attention.head_count_kv", "4"},
    {"head_dim", "attention.key_length", "256"},
    {"head_dim", "attention.value_length", "256"},
    {"max_position_embeddings", "context_length", "131072"},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon", "1e-6"},
    {"rope_theta", "rope.freq_base", "1e6"},
    {"sliding_window", "attention.sliding_window", "4096"},
    {"final_logit_softcapping", "final_logit_softcapping"},
    {"rope_local_base_freq", "rope.freq_base_swa", "10000"},
};
constexpr HfRule kGemma3Rules[] = {{"attn_logit_softcapping", "null"}};
constexpr HfField kGraniteFields[] = {
    {"embedding_multiplier", "embedding_scale"},
    {"residual_multiplier", "residual_scale"},
    {"attention_multiplier", "attention.scale"},
    {"logits_scaling", "logit_scale"},
};
constexpr HfField kWindowFields[] = {{"sliding_window", "attention.sliding_window"}};
constexpr std::string_view kNoMlpBias = R"({"mlp_bias": false})";

constexpr HfFamily gemma3(std::string_view model_type, HfWriting written = {}) {
  return {.model_type = model_type,
          .architecture = "gemma3",
          .norms_less_one = true,
          .tied = true,
          .window_period = 6,
          .scaled_queries = 62,
          .fields = kGemma3Fields,
          .modules = kGemmaModules,
          .rules = kGemma3Rules,
          .written = written};
}

constexpr HfFamily kFamilies[] = {
    {.model_type = "llama",
     .architecture = "llama",
     .permuted = true,
     .written = {.class_name = "LlamaForCausalLM", .constants = kNoMlpBias, .signs = kAttentionBias}},
    {.model_type = "mistral",
     .architecture = "llama",
     .permuted = true,
     .fields = kWindowFields,
     .written = {.class_name = "MistralForCausalLM", .told_by = "attention.sliding_window"}},
    {.model_type = "ministral3",
     .architecture = "mistral3",
     .permuted = true,
     .rope_parameters = true,
     .fields = kWindowFields,
     .written = {.class_name = "Ministral3ForCausalLM"}},
    {.model_type = "qwen2", .architecture = "qwen2", .written = {.class_name = "Qwen2ForCausalLM"}},
    {.model_type = "qwen3",
     .architecture = "qwen3",
     .written = {.class_name = "Qwen3ForCausalLM", .signs = kAttentionBias}},
    {.model_type = "gemma",
     .architecture = "gemma",
     .norms_less_one = true,
     .tied = true,
     .written = {.class_name = "GemmaForCausalLM"}},
    {.model_type = "gemma2",
     .architecture = "gemma2",
     .norms_less_one = true,
     .tied = true,
     .window_period = 2,
     .scaled_queries = 46,
     .fields = kGemma2Fields,
     .modules = kGemmaModules,
     .written = {.class_name = "Gemma2ForCausalLM"}},
    gemma3("gemma3_text", {.class_name = "Gemma3ForCausalLM"}),
    gemma3("gemma3"),
    {.model_type = "phi3",
     .architecture = "phi3",
     .partly_rotated = true,
     .fields = kWindowFields,
     .modules = kPhi3Modules,
     .written = {.class_name = "Phi3ForCausalLM"}},
    {.model_type = "granite",
     .architecture = "granite",
     .permuted = true,
     .fields = kGraniteFields,
     .written = {.class_name = "GraniteForCausalLM", .constants = kNoMlpBias, .signs = kAttentionBias}},
    {.model_type = "olmo2",
     .architecture = "olmo2",
     .modules = kOlmo2Modules,
     .written = {.class_name = "Olmo2ForCausalLM", .signs = kAttentionBias}},
    {.model_type = "olmo3",
     .architecture = "olmo2",
     .fields = kWindowFields,
     .modules = kOlmo2Modules,
     .written = {.class_name = "Olmo3ForCausalLM",
                 .told_by = "attention.sliding_window",
                 .signs = kAttentionBias}},
    {.model_type = "smollm3",
     .architecture = "smollm3",
     .permuted = true,
     .tied = true,
     .written = {.class_name = "SmolLM3ForCausalLM",
                 .constants = R"({"mlp_bias": false, "no_rope_layer_interval": 4})",
                 .signs = kAttentionBias}},
};

}  // namespace

const HfFamily* find_hf_family(std::string_view model_type) {
  for (const auto& families : {dense_families(), mixture_families(), hybrid_families()}) {
    for (const HfFamily& f : families) {
      if (f.model_type == model_type) return &f;
    }
  }
  return nullptr;
}

std::string_view hf_family_names() {
  static const std::string names = [] {
    std::string all;
    for (const auto& families : {dense_families(), mixture_families(), hybrid_families()}) {
      for (const HfFamily& f : families) all += (all.empty() ? "" : ", ") + std::string(f.model_type);
    }
    return all;
  }();
  return names;
}

std::array<std::span<const HfModule>, 3> HfFamily::all_modules() const {
  return {modules, shared, kCommonModules};
}

bool is_less_one(const HfFamily& family, std::string_view gguf, bool mlx) {
  return (family.norms_less_one || (family.norms_less_one_unless_mlx && !mlx)) &&
         gguf.find("norm") != std::string_view::npos && gguf.find("ssm_norm") == std::string_view::npos;
}

std::span<const HfField> common_fields() {
  return kCommonFields;
}
std::span<const HfModule> common_modules() {
  return kCommonModules;
}
std::span<const HfRule> common_rules() {
  return kCommonRules;
}
std::span<const HfFamily> dense_families() {
  return kFamilies;
}

}  // namespace kvasir::weights
