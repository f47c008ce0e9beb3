// Families with experts in place of feed-forward blocks.

#include "weights/hf_families.h"

namespace kvasir::weights {
namespace {

// An expert a tensor (Hugging Face), or a stack (MLX).
constexpr HfModule kQwen3MoeModules[] = {
    {"model.layers.#.mlp.gate", "blk.#.ffn_gate_inp"},
    {"model.layers.#.mlp.experts.@.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.mlp.experts.@.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.mlp.experts.@.down_proj", "blk.#.ffn_down_exps"},
    {"model.layers.#.mlp.switch_mlp.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.mlp.switch_mlp.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.mlp.switch_mlp.down_proj", "blk.#.ffn_down_exps"},
};
constexpr HfField kQwen3MoeFields[] = {
    {"num_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
    {"moe_intermediate_size", "expert_feed_forward_length"},
    {"norm_topk_prob", "expert_weights_norm", "true"},
};

constexpr HfModule kMixtralModules[] = {
    {"model.layers.#.block_sparse_moe.gate", "blk.#.ffn_gate_inp"},
    {"model.layers.#.block_sparse_moe.experts.@.w1", "blk.#.ffn_gate_exps"},
    {"model.layers.#.block_sparse_moe.experts.@.w3", "blk.#.ffn_up_exps"},
    {"model.layers.#.block_sparse_moe.experts.@.w2", "blk.#.ffn_down_exps"},
    {"model.layers.#.block_sparse_moe.switch_mlp.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.block_sparse_moe.switch_mlp.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.block_sparse_moe.switch_mlp.down_proj", "blk.#.ffn_down_exps"},
};
constexpr HfField kMixtralFields[] = {
    {"num_local_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
    {"sliding_window", "attention.sliding_window"},
};

// Gate and up are the halves of one matrix (Hugging Face), or apart (MLX, but for the shared expert's).
constexpr HfModule kGraniteMoeModules[] = {
    {"model.layers.#.shared_mlp.input_linear", "blk.#.ffn_gate_shexp", HfSplit::kHalves,
     "blk.#.ffn_up_shexp"},
    {"model.layers.#.shared_mlp.output_linear", "blk.#.ffn_down_shexp"},
    {"model.layers.#.block_sparse_moe.router.layer", "blk.#.ffn_gate_inp"},
    {"model.layers.#.block_sparse_moe.input_linear", "blk.#.ffn_gate_exps", HfSplit::kHalves,
     "blk.#.ffn_up_exps"},
    {"model.layers.#.block_sparse_moe.output_linear", "blk.#.ffn_down_exps"},
    {"model.layers.#.block_sparse_moe.switch_mlp.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.block_sparse_moe.switch_mlp.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.block_sparse_moe.switch_mlp.down_proj", "blk.#.ffn_down_exps"},
};
constexpr HfField kGraniteMoeFields[] = {
    {"embedding_multiplier", "embedding_scale"},
    {"residual_multiplier", "residual_scale"},
    {"attention_multiplier", "attention.scale"},
    {"logits_scaling", "logit_scale"},
    {"num_local_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
    {"shared_intermediate_size", "expert_shared_feed_forward_length"},
};

// Hugging Face's stacks are MXFP4 with gate's and up's rows in turn; MLX's are apart.
constexpr HfModule kGptOssModules[] = {
    {"model.layers.#.self_attn.sinks", "blk.#.attn_sinks.weight"},
    {"model.layers.#.post_attention_layernorm", "blk.#.post_attention_norm"},
    {"model.layers.#.mlp.router", "blk.#.ffn_gate_inp"},
    {"model.layers.#.mlp.experts.gate_up_proj", "blk.#.ffn_gate_exps", HfSplit::kAlternateRows,
     "blk.#.ffn_up_exps"},
    {"model.layers.#.mlp.experts.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.mlp.experts.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.mlp.experts.down_proj", "blk.#.ffn_down_exps"},
};
constexpr HfField kGptOssFields[] = {
    {"num_local_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
    {"intermediate_size", "expert_feed_forward_length"},
    {"sliding_window", "attention.sliding_window"},
};
constexpr HfRule kGptOssRules[] = {{"swiglu_limit", "7"}};

constexpr HfModule kGlm4MoeModules[] = {
    {"model.layers.#.post_attention_layernorm", "blk.#.post_attention_norm"},
    {"model.layers.#.mlp.gate", "blk.#.ffn_gate_inp"},
    {"model.layers.#.mlp.gate.e_score_correction_bias", "blk.#.exp_probs_b.bias"},
    {"model.layers.#.mlp.experts.@.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.mlp.experts.@.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.mlp.experts.@.down_proj", "blk.#.ffn_down_exps"},
    {"model.layers.#.mlp.switch_mlp.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.mlp.switch_mlp.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.mlp.switch_mlp.down_proj", "blk.#.ffn_down_exps"},
    {"model.layers.#.mlp.shared_experts.gate_proj", "blk.#.ffn_gate_shexp"},
    {"model.layers.#.mlp.shared_experts.up_proj", "blk.#.ffn_up_shexp"},
    {"model.layers.#.mlp.shared_experts.down_proj", "blk.#.ffn_down_shexp"},
};
constexpr HfField kGlm4MoeFields[] = {
    {"", "expert_gating_func", "2"},  // a sigmoid each
    {"n_routed_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
    {"moe_intermediate_size", "expert_feed_forward_length"},
    {"n_shared_experts", "expert_shared_count"},
    {"first_k_dense_replace", "leading_dense_block_count"},
    {"norm_topk_prob", "expert_weights_norm", "true"},
    {"routed_scaling_factor", "expert_weights_scale", "1"},
    {"n_group", "expert_group_count", "1"},
    {"topk_group", "expert_group_used_count", "1"},
};
constexpr HfRule kGlm4MoeRules[] = {{"scoring_func", "\"sigmoid\""}, {"topk_method", "\"noaux_tc\""}};

// Keys' and values' halves are one matrix (kv_b_proj), or, in MLX's folders of V3, apart as in GGUF.
constexpr HfModule kDeepseekV2Modules[] = {
    {"model.layers.#.self_attn.kv_b_proj", "blk.#.attn_k_b", HfSplit::kHeads, "blk.#.attn_v_b"},
};
constexpr HfModule kDeepseekV3Modules[] = {
    {"model.layers.#.self_attn.kv_b_proj", "blk.#.attn_k_b", HfSplit::kHeads, "blk.#.attn_v_b"},
    {"model.layers.#.self_attn.embed_q", "blk.#.attn_k_b"},
    {"model.layers.#.self_attn.unembed_out", "blk.#.attn_v_b"},
};
constexpr HfModule kDeepseekModules[] = {
    {"model.layers.#.self_attn.q_a_proj", "blk.#.attn_q_a"},
    {"model.layers.#.self_attn.q_a_layernorm", "blk.#.attn_q_a_norm"},
    {"model.layers.#.self_attn.q_b_proj", "blk.#.attn_q_b"},
    {"model.layers.#.self_attn.kv_a_proj_with_mqa", "blk.#.attn_kv_a_mqa"},
    {"model.layers.#.self_attn.kv_a_layernorm", "blk.#.attn_kv_a_norm"},
    {"model.layers.#.mlp.gate", "blk.#.ffn_gate_inp"},
    {"model.layers.#.mlp.gate.e_score_correction_bias", "blk.#.exp_probs_b.bias"},
    {"model.layers.#.mlp.experts.@.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.mlp.experts.@.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.mlp.experts.@.down_proj", "blk.#.ffn_down_exps"},
    {"model.layers.#.mlp.switch_mlp.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.mlp.switch_mlp.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.mlp.switch_mlp.down_proj", "blk.#.ffn_down_exps"},
    {"model.layers.#.mlp.shared_experts.gate_proj", "blk.#.ffn_gate_shexp"},
    {"model.layers.#.mlp.shared_experts.up_proj", "blk.#.ffn_up_shexp"},
    {"model.layers.#.mlp.shared_experts.down_proj", "blk.#.ffn_down_shexp"},
};
// V2 does not normalise its experts' weights, whatever its files say of it (norm_topk_prob is false there).
constexpr HfField kDeepseekV2Fields[] = {
    {"", "expert_gating_func", "1"},  // a softmax
    {"n_routed_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
    {"moe_intermediate_size", "expert_feed_forward_length"},
    {"n_shared_experts", "expert_shared_count"},
    {"first_k_dense_replace", "leading_dense_block_count"},
    {"routed_scaling_factor", "expert_weights_scale", "1"},
    {"q_lora_rank", "attention.q_lora_rank"},
    {"kv_lora_rank", "attention.kv_lora_rank"},
};
constexpr HfRule kDeepseekV2Rules[] = {{"scoring_func", "\"softmax\""},
                                       {"moe_layer_freq", "1"},
                                       {"norm_topk_prob", "false"},
                                       {"attention_bias", "false"}};
constexpr HfField kDeepseekV3Fields[] = {
    {"", "expert_gating_func", "2"},  // a sigmoid each
    {"n_routed_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
    {"moe_intermediate_size", "expert_feed_forward_length"},
    {"n_shared_experts", "expert_shared_count"},
    {"first_k_dense_replace", "leading_dense_block_count"},
    {"norm_topk_prob", "expert_weights_norm", "true"},
    {"routed_scaling_factor", "expert_weights_scale", "1"},
    {"n_group", "expert_group_count", "1"},
    {"topk_group", "expert_group_used_count", "1"},
    {"q_lora_rank", "attention.q_lora_rank"},
    {"kv_lora_rank", "attention.kv_lora_rank"},
};
constexpr HfRule kDeepseekV3Rules[] = {{"scoring_func", "\"sigmoid\""},
                                       {"topk_method", "\"noaux_tc\""},
                                       {"moe_layer_freq", "1"},
                                       {"attention_bias", "false"},
                                       {"rope_interleave", "true"}};

constexpr HfSign kGlm4MoeSigns[] = {{"attention_bias", "attn_q.bias"}, {"use_qk_norm", "attn_q_norm.weight"}};

constexpr HfFamily granite(std::string_view model_type, HfWriting written) {
  return {.model_type = model_type,
          .architecture = "granitemoe",
          .permuted = true,
          .tied = true,
          .fields = kGraniteMoeFields,
          .modules = kGraniteMoeModules,
          .written = written};
}

constexpr HfFamily kFamilies[] = {
    {.model_type = "qwen3_moe",
     .architecture = "qwen3moe",
     .fields = kQwen3MoeFields,
     .modules = kQwen3MoeModules,
     .written = {.class_name = "Qwen3MoeForCausalLM",
                 .constants = R"({"decoder_sparse_step": 1, "mlp_only_layers": []})",
                 .signs = kAttentionBias}},
    {.model_type = "mixtral",
     .architecture = "llama",
     .permuted = true,
     .fields = kMixtralFields,
     .modules = kMixtralModules,
     .written = {.class_name = "MixtralForCausalLM", .told_by = "expert_count"}},
    granite("granitemoe", {.class_name = "GraniteMoeForCausalLM", .signs = kAttentionBias}),
    granite("granitemoeshared", {.class_name = "GraniteMoeSharedForCausalLM",
                                 .told_by = "expert_shared_feed_forward_length",
                                 .signs = kAttentionBias}),
    {.model_type = "gpt_oss",
     .architecture = "gpt-oss",
     .fields = kGptOssFields,
     .modules = kGptOssModules,
     .rules = kGptOssRules,
     .written = {.class_name = "GptOssForCausalLM", .signs = kAttentionBias}},
    {.model_type = "glm4_moe",
     .architecture = "glm4moe",
     .partly_rotated = true,
     .fields = kGlm4MoeFields,
     .modules = kGlm4MoeModules,
     .rules = kGlm4MoeRules,
     .written = {.class_name = "Glm4MoeForCausalLM",
                 .constants = R"({"rope_scaling": null})",
                 .signs = kGlm4MoeSigns}},
    {.model_type = "deepseek_v2",
     .architecture = "deepseek2",
     .fields = kDeepseekV2Fields,
     .modules = kDeepseekV2Modules,
     .shared = kDeepseekModules,
     .rules = kDeepseekV2Rules,
     .written = {.class_name = "DeepseekV2ForCausalLM"}},
    {.model_type = "deepseek_v3",
     .architecture = "deepseek2",
     .fields = kDeepseekV3Fields,
     .modules = kDeepseekV3Modules,
     .shared = kDeepseekModules,
     .rules = kDeepseekV3Rules,
     .written = {.class_name = "DeepseekV3ForCausalLM"}},
};

}  // namespace

std::span<const HfFamily> mixture_families() {
  return kFamilies;
}

}  // namespace kvasir::weights
