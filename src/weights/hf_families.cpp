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
// An expert a tensor (Hugging Face), or a stack (MLX).
constexpr HfModule kExpertModules[] = {
    {"model.layers.#.mlp.gate", "blk.#.ffn_gate_inp"},
    {"model.layers.#.mlp.experts.@.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.mlp.experts.@.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.mlp.experts.@.down_proj", "blk.#.ffn_down_exps"},
    {"model.layers.#.mlp.switch_mlp.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.mlp.switch_mlp.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.mlp.switch_mlp.down_proj", "blk.#.ffn_down_exps"},
};

constexpr HfField kExpertFields[] = {
    {"num_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
    {"moe_intermediate_size", "expert_feed_forward_length"},
    {"norm_topk_prob", "expert_weights_norm"},
};
constexpr HfField kGemma2Fields[] = {
    {"sliding_window", "attention.sliding_window"},
    {"attn_logit_softcapping", "attn_logit_softcapping"},
    {"final_logit_softcapping", "final_logit_softcapping"},
};
constexpr HfField kGemma3Fields[] = {
    {"sliding_window", "attention.sliding_window"},
    {"final_logit_softcapping", "final_logit_softcapping"},
    {"rope_local_base_freq", "rope.freq_base_swa"},
};
constexpr HfField kGraniteFields[] = {
    {"embedding_multiplier", "embedding_scale"},
    {"residual_multiplier", "residual_scale"},
    {"attention_multiplier", "attention.scale"},
    {"logits_scaling", "logit_scale"},
};
constexpr HfField kWindowFields[] = {{"sliding_window", "attention.sliding_window"}};

constexpr HfField kLfm2Fields[] = {
    {"norm_eps", "attention.layer_norm_rms_epsilon"},
    {"conv_L_cache", "shortconv.l_cache"},
    {"num_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
    {"moe_intermediate_size", "expert_feed_forward_length"},
    {"norm_topk_prob", "expert_weights_norm"},
    {"routed_scaling_factor", "expert_weights_scale"},
    {"num_dense_layers", "leading_dense_block_count"},
};
constexpr HfModule kLfm2Modules[] = {
    {"model.embedding_norm", "token_embd_norm"},
    {"model.layers.#.operator_norm", "blk.#.attn_norm"},
    {"model.layers.#.ffn_norm", "blk.#.ffn_norm"},
    {"model.layers.#.self_attn.out_proj", "blk.#.attn_output"},
    {"model.layers.#.self_attn.q_layernorm", "blk.#.attn_q_norm"},
    {"model.layers.#.self_attn.k_layernorm", "blk.#.attn_k_norm"},
    {"model.layers.#.conv.in_proj", "blk.#.shortconv.in_proj"},
    {"model.layers.#.conv.conv", "blk.#.shortconv.conv"},
    {"model.layers.#.conv.out_proj", "blk.#.shortconv.out_proj"},
    {"model.layers.#.feed_forward.w1", "blk.#.ffn_gate"},
    {"model.layers.#.feed_forward.w3", "blk.#.ffn_up"},
    {"model.layers.#.feed_forward.w2", "blk.#.ffn_down"},
    {"model.layers.#.feed_forward.gate_proj", "blk.#.ffn_gate"},
    {"model.layers.#.feed_forward.up_proj", "blk.#.ffn_up"},
    {"model.layers.#.feed_forward.down_proj", "blk.#.ffn_down"},
    {"model.layers.#.feed_forward.gate", "blk.#.ffn_gate_inp"},
    {"model.layers.#.feed_forward.expert_bias", "blk.#.exp_probs_b.bias"},
    {"model.layers.#.feed_forward.experts.@.w1", "blk.#.ffn_gate_exps"},
    {"model.layers.#.feed_forward.experts.@.w3", "blk.#.ffn_up_exps"},
    {"model.layers.#.feed_forward.experts.@.w2", "blk.#.ffn_down_exps"},
    {"model.layers.#.feed_forward.switch_mlp.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.feed_forward.switch_mlp.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.feed_forward.switch_mlp.down_proj", "blk.#.ffn_down_exps"},
};
constexpr HfField kGranite4Fields[] = {
    {"embedding_multiplier", "embedding_scale"},
    {"residual_multiplier", "residual_scale"},
    {"attention_multiplier", "attention.scale"},
    {"logits_scaling", "logit_scale"},
    {"mamba_d_conv", "ssm.conv_kernel"},
    {"mamba_d_state", "ssm.state_size"},
    {"mamba_n_groups", "ssm.group_count"},
    {"mamba_n_heads", "ssm.time_step_rank"},
    {"num_local_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
    {"shared_intermediate_size", "expert_shared_feed_forward_length"},
};
// Gate and up are the halves of one matrix (Hugging Face), or apart (MLX, but for the shared expert's).
constexpr HfModule kGranite4Modules[] = {
    {"model.layers.#.mamba.in_proj", "blk.#.ssm_in"},
    {"model.layers.#.mamba.conv1d", "blk.#.ssm_conv1d"},
    {"model.layers.#.mamba.norm", "blk.#.ssm_norm"},
    {"model.layers.#.mamba.out_proj", "blk.#.ssm_out"},
    {"model.layers.#.mamba.A_log", "blk.#.ssm_a"},
    {"model.layers.#.mamba.D", "blk.#.ssm_d"},
    {"model.layers.#.mamba.dt_bias", "blk.#.ssm_dt.bias"},
    {"model.layers.#.shared_mlp.input_linear", "blk.#.ffn_gate_up_shexp"},
    {"model.layers.#.shared_mlp.output_linear", "blk.#.ffn_down_shexp"},
    {"model.layers.#.block_sparse_moe.router.layer", "blk.#.ffn_gate_inp"},
    {"model.layers.#.block_sparse_moe.input_linear", "blk.#.ffn_gate_up_exps"},
    {"model.layers.#.block_sparse_moe.output_linear", "blk.#.ffn_down_exps"},
    {"model.layers.#.block_sparse_moe.switch_mlp.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.block_sparse_moe.switch_mlp.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.block_sparse_moe.switch_mlp.down_proj", "blk.#.ffn_down_exps"},
};

constexpr HfField kDeltaNetFields[] = {
    {"linear_conv_kernel_dim", "ssm.conv_kernel"},
    {"linear_key_head_dim", "ssm.state_size"},
    {"linear_num_key_heads", "ssm.group_count"},
    {"linear_num_value_heads", "ssm.time_step_rank"},
    {"full_attention_interval", "full_attention_interval"},
    {"num_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
    {"moe_intermediate_size", "expert_feed_forward_length"},
    {"shared_expert_intermediate_size", "expert_shared_feed_forward_length"},
    {"norm_topk_prob", "expert_weights_norm"},
};
// Qwen3-Next has the inputs of a delta net in two matrices, Qwen3.5 in four; the latter's experts are stacks.
constexpr HfModule kDeltaNetModules[] = {
    {"model.layers.#.post_attention_layernorm", "blk.#.post_attention_norm"},
    {"model.layers.#.linear_attn.in_proj_qkvz", "blk.#.ssm_in"},
    {"model.layers.#.linear_attn.in_proj_ba", "blk.#.ssm_ba"},
    {"model.layers.#.linear_attn.in_proj_qkv", "blk.#.attn_qkv"},
    {"model.layers.#.linear_attn.in_proj_z", "blk.#.attn_gate"},
    {"model.layers.#.linear_attn.in_proj_a", "blk.#.ssm_alpha"},
    {"model.layers.#.linear_attn.in_proj_b", "blk.#.ssm_beta"},
    {"model.layers.#.linear_attn.conv1d", "blk.#.ssm_conv1d"},
    {"model.layers.#.linear_attn.norm", "blk.#.ssm_norm"},
    {"model.layers.#.linear_attn.out_proj", "blk.#.ssm_out"},
    {"model.layers.#.linear_attn.A_log", "blk.#.ssm_a"},
    {"model.layers.#.linear_attn.dt_bias", "blk.#.ssm_dt.bias"},
    {"model.layers.#.mlp.gate", "blk.#.ffn_gate_inp"},
    {"model.layers.#.mlp.experts.@.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.mlp.experts.@.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.mlp.experts.@.down_proj", "blk.#.ffn_down_exps"},
    {"model.layers.#.mlp.experts.gate_up_proj", "blk.#.ffn_gate_up_exps.weight"},
    {"model.layers.#.mlp.experts.down_proj", "blk.#.ffn_down_exps.weight"},
    {"model.layers.#.mlp.switch_mlp.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.mlp.switch_mlp.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.mlp.switch_mlp.down_proj", "blk.#.ffn_down_exps"},
    {"model.layers.#.mlp.shared_expert.gate_proj", "blk.#.ffn_gate_shexp"},
    {"model.layers.#.mlp.shared_expert.up_proj", "blk.#.ffn_up_shexp"},
    {"model.layers.#.mlp.shared_expert.down_proj", "blk.#.ffn_down_shexp"},
    {"model.layers.#.mlp.shared_expert_gate", "blk.#.ffn_gate_inp_shexp"},
};

constexpr HfFamily delta_net(std::string_view model_type, std::string_view architecture) {
  return {model_type,       architecture,      false, false, false, true, kDeltaNetFields,
          kDeltaNetModules, "linear_attention"};
}

constexpr HfFamily kFamilies[] = {
    {"llama", "llama", true, false, false, false, {}, {}},
    {"mistral", "llama", true, false, false, false, kWindowFields, {}},
    {"qwen2", "qwen2", false, false, false, false, {}, {}},
    {"qwen3", "qwen3", false, false, false, false, {}, {}},
    {"qwen3_moe", "qwen3moe", false, false, false, false, kExpertFields, kExpertModules},
    {"gemma2", "gemma2", false, true, true, false, kGemma2Fields, kGemmaModules},
    {"gemma3_text", "gemma3", false, true, true, false, kGemma3Fields, kGemmaModules},
    {"phi3", "phi3", false, false, false, false, kWindowFields, kPhi3Modules},
    {"granite", "granite", true, false, false, false, kGraniteFields, {}},
    {"olmo2", "olmo2", false, false, false, false, {}, kOlmo2Modules},
    {"smollm3", "smollm3", true, false, true, false, {}, {}},
    {"lfm2", "lfm2", false, false, true, false, kLfm2Fields, kLfm2Modules, "conv"},
    {"lfm2_moe", "lfm2moe", false, false, true, false, kLfm2Fields, kLfm2Modules, "conv"},
    {"granitemoehybrid", "granitehybrid", true, false, true, false, kGranite4Fields, kGranite4Modules,
     "mamba"},
    delta_net("qwen3_next", "qwen3next"),
    delta_net("qwen3_5", "qwen35"),
    delta_net("qwen3_5_text", "qwen35"),
    delta_net("qwen3_5_moe", "qwen35moe"),
    delta_net("qwen3_5_moe_text", "qwen35moe"),
};

}  // namespace

const HfFamily* find_hf_family(std::string_view model_type) {
  for (const HfFamily& f : kFamilies) {
    if (f.model_type == model_type) return &f;
  }
  return nullptr;
}

std::string_view hf_family_names() {
  static const std::string names = [] {
    std::string all;
    for (const HfFamily& f : kFamilies) all += (all.empty() ? "" : ", ") + std::string(f.model_type);
    return all;
  }();
  return names;
}

std::span<const HfField> common_fields() {
  return kCommonFields;
}
std::span<const HfModule> common_modules() {
  return kCommonModules;
}

}  // namespace kvasir::weights
