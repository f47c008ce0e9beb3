// Families with recurrent layers: LFM2, Granite 4, Qwen3-Next and Qwen3.5.

#include "weights/hf_families.h"

namespace kvasir::weights {
namespace {

constexpr HfField kLfm2Fields[] = {
    {"norm_eps", "attention.layer_norm_rms_epsilon"},
    {"conv_L_cache", "shortconv.l_cache"},
    {"block_dim", "embedding_length"},
};
constexpr HfField kLfm2MoeFields[] = {
    {"", "expert_gating_func", "2"},  // a sigmoid each
    {"norm_eps", "attention.layer_norm_rms_epsilon"},
    {"conv_L_cache", "shortconv.l_cache"},
    {"num_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
    {"moe_intermediate_size", "expert_feed_forward_length"},
    {"norm_topk_prob", "expert_weights_norm", "true"},
    {"routed_scaling_factor", "expert_weights_scale"},
    {"num_dense_layers", "leading_dense_block_count"},
};
constexpr HfModule kLfm2Shared[] = {
    {"model.embedding_norm", "token_embd_norm"},
    {"model.layers.#.operator_norm", "blk.#.attn_norm"},
    {"model.layers.#.ffn_norm", "blk.#.ffn_norm"},
    {"model.layers.#.self_attn.out_proj", "blk.#.attn_output"},
    {"model.layers.#.self_attn.q_layernorm", "blk.#.attn_q_norm"},
    {"model.layers.#.self_attn.k_layernorm", "blk.#.attn_k_norm"},
    {"model.layers.#.conv.in_proj", "blk.#.shortconv.in_proj"},
    {"model.layers.#.conv.conv", "blk.#.shortconv.conv"},
    {"model.layers.#.conv.out_proj", "blk.#.shortconv.out_proj"},
};
constexpr HfModule kLfm2Modules[] = {
    {"model.layers.#.feed_forward.w1", "blk.#.ffn_gate"},
    {"model.layers.#.feed_forward.w3", "blk.#.ffn_up"},
    {"model.layers.#.feed_forward.w2", "blk.#.ffn_down"},
};
// Dense layers have two sets of names too; here the first is Hugging Face's.
constexpr HfModule kLfm2MoeModules[] = {
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
    {"norm_topk_prob", "expert_weights_norm", "true"},
};
// Qwen3-Next has the inputs of a delta net in two matrices, Qwen3.5 in four; the latter's experts are stacks.
constexpr HfModule kQwen3NextModules[] = {
    {"model.layers.#.linear_attn.in_proj_qkvz", "blk.#.ssm_in"},
    {"model.layers.#.linear_attn.in_proj_qkvz", "blk.#.attn_qkv", HfSplit::kKeyHeads, "blk.#.attn_gate"},
    {"model.layers.#.linear_attn.in_proj_ba", "blk.#.ssm_ba"},
    {"model.layers.#.mlp.experts.@.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.mlp.experts.@.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.mlp.experts.@.down_proj", "blk.#.ffn_down_exps"},
    {"model.layers.#.mlp.switch_mlp.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.mlp.switch_mlp.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.mlp.switch_mlp.down_proj", "blk.#.ffn_down_exps"},
};
constexpr HfModule kQwen35Modules[] = {
    {"model.layers.#.linear_attn.in_proj_qkv", "blk.#.attn_qkv"},
    {"model.layers.#.linear_attn.in_proj_z", "blk.#.attn_gate"},
    {"model.layers.#.linear_attn.in_proj_a", "blk.#.ssm_alpha"},
    {"model.layers.#.linear_attn.in_proj_b", "blk.#.ssm_beta"},
    {"model.layers.#.mlp.experts.gate_up_proj", "blk.#.ffn_gate_exps.weight", HfSplit::kHalves,
     "blk.#.ffn_up_exps.weight"},
    {"model.layers.#.mlp.experts.down_proj", "blk.#.ffn_down_exps.weight"},
    {"model.layers.#.mlp.experts.@.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.mlp.experts.@.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.mlp.experts.@.down_proj", "blk.#.ffn_down_exps"},
    {"model.layers.#.mlp.switch_mlp.gate_proj", "blk.#.ffn_gate_exps"},
    {"model.layers.#.mlp.switch_mlp.up_proj", "blk.#.ffn_up_exps"},
    {"model.layers.#.mlp.switch_mlp.down_proj", "blk.#.ffn_down_exps"},
};
constexpr HfModule kDeltaNetShared[] = {
    {"model.layers.#.post_attention_layernorm", "blk.#.post_attention_norm"},
    {"model.layers.#.linear_attn.conv1d", "blk.#.ssm_conv1d"},
    {"model.layers.#.linear_attn.norm", "blk.#.ssm_norm"},
    {"model.layers.#.linear_attn.out_proj", "blk.#.ssm_out"},
    {"model.layers.#.linear_attn.A_log", "blk.#.ssm_a"},
    {"model.layers.#.linear_attn.dt_bias", "blk.#.ssm_dt.bias"},
    {"model.layers.#.mlp.gate", "blk.#.ffn_gate_inp"},
    {"model.layers.#.mlp.shared_expert.gate_proj", "blk.#.ffn_gate_shexp"},
    {"model.layers.#.mlp.shared_expert.up_proj", "blk.#.ffn_up_shexp"},
    {"model.layers.#.mlp.shared_expert.down_proj", "blk.#.ffn_down_shexp"},
    {"model.layers.#.mlp.shared_expert_gate", "blk.#.ffn_gate_inp_shexp"},
};

constexpr HfSign kLfm2MoeSigns[] = {{"use_expert_bias", "exp_probs_b.bias"}};
constexpr HfSign kGranite4Signs[] = {{"attention_bias", "attn_q.bias"},
                                     {"mamba_conv_bias", "ssm_conv1d.bias"}};

constexpr HfFamily lfm2(std::string_view model_type, std::string_view architecture,
                        std::span<const HfField> fields, std::span<const HfModule> modules,
                        HfWriting written) {
  return {.model_type = model_type,
          .architecture = architecture,
          .tied = true,
          .fields = fields,
          .modules = modules,
          .shared = kLfm2Shared,
          .recurrent_type = "conv",
          .written = written};
}

constexpr HfFamily delta_net(std::string_view model_type, std::string_view architecture,
                             std::span<const HfModule> modules, HfWriting written = {}) {
  return {.model_type = model_type,
          .architecture = architecture,
          .norms_less_one_unless_mlx = true,
          .partly_rotated = true,
          .fields = kDeltaNetFields,
          .modules = modules,
          .shared = kDeltaNetShared,
          .recurrent_type = "linear_attention",
          .written = written};
}

constexpr HfFamily qwen35(std::string_view model_type, std::string_view architecture,
                          std::string_view mlx_type = {}, HfWriting written = {}) {
  HfFamily f = delta_net(model_type, architecture, kQwen35Modules, written);
  f.mlx_type = mlx_type;
  f.rope_parameters = true;
  return f;
}

constexpr HfFamily kFamilies[] = {
    lfm2("lfm2", "lfm2", kLfm2Fields, kLfm2Modules,
         {.class_name = "Lfm2ForCausalLM",
          .constants = R"({"conv_bias": false, "block_multiple_of": 1, "block_ffn_dim_multiplier": 1.0,
                           "block_auto_adjust_ff_dim": false})"}),
    lfm2(
        "lfm2_moe", "lfm2moe", kLfm2MoeFields, kLfm2MoeModules,
        {.class_name = "Lfm2MoeForCausalLM", .constants = R"({"conv_bias": false})", .signs = kLfm2MoeSigns}),
    {.model_type = "granitemoehybrid",
     .architecture = "granitehybrid",
     .permuted = true,
     .shared_alone = true,
     .tied = true,
     .fields = kGranite4Fields,
     .modules = kGranite4Modules,
     .recurrent_type = "mamba",
     .written = {.class_name = "GraniteMoeHybridForCausalLM",
                 .constants = R"({"mamba_proj_bias": false})",
                 .signs = kGranite4Signs}},
    delta_net("qwen3_next", "qwen3next", kQwen3NextModules,
              {.class_name = "Qwen3NextForCausalLM",
               .constants = R"({"decoder_sparse_step": 1, "mlp_only_layers": []})",
               .signs = kAttentionBias}),
    qwen35("qwen3_5", "qwen35"),
    qwen35("qwen3_5_text", "qwen35", "qwen3_5",
           {.class_name = "Qwen3_5ForCausalLM", .signs = kAttentionBias}),
    qwen35("qwen3_5_moe", "qwen35moe"),
    qwen35("qwen3_5_moe_text", "qwen35moe", "qwen3_5_moe",
           {.class_name = "Qwen3_5MoeForCausalLM", .signs = kAttentionBias}),
};

}  // namespace

std::span<const HfFamily> hybrid_families() {
  return kFamilies;
}

}  // namespace kvasir::weights
