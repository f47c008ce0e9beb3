"""The tiny hybrid models in mlx-lm's names and order: what is recurrent in them has other parts than attention."""

import numpy as np

from tiny_families import EXPERT_HIDDEN, EXPERTS, HIDDEN, USED

MODULES = {"lfm2": "lfm2", "lfm2moe": "lfm2_moe", "granitehybrid": "granitemoehybrid", "granitehybrid-moe": "granitemoehybrid",
           "qwen3next": "qwen3_next", "qwen35": "qwen3_5", "qwen35moe": "qwen3_5"}
ATTENTION = {f"attn_{x}.weight": f"self_attn.{x}_proj.weight" for x in "qkv"}
EXPERT_PARTS = {f"ffn_{x}_exps.weight": f"switch_mlp.{x}_proj.weight" for x in ("gate", "up", "down")}
LFM2 = {**ATTENTION, "attn_norm.weight": "operator_norm.weight", "ffn_norm.weight": "ffn_norm.weight",
        "attn_output.weight": "self_attn.out_proj.weight", "attn_q_norm.weight": "self_attn.q_layernorm.weight",
        "attn_k_norm.weight": "self_attn.k_layernorm.weight", "shortconv.in_proj.weight": "conv.in_proj.weight",
        "shortconv.conv.weight": "conv.conv.weight", "shortconv.out_proj.weight": "conv.out_proj.weight"}
DENSE = {f"ffn_{x}.weight": f"mlp.{x}_proj.weight" for x in ("gate", "up", "down")}
GRANITE = {**ATTENTION, **DENSE, "attn_norm.weight": "input_layernorm.weight", "ffn_norm.weight": "post_attention_layernorm.weight",
           "attn_output.weight": "self_attn.o_proj.weight", "ssm_in.weight": "mamba.in_proj.weight",
           "ssm_conv1d.weight": "mamba.conv1d.weight", "ssm_conv1d.bias": "mamba.conv1d.bias", "ssm_dt.bias": "mamba.dt_bias",
           "ssm_a": "mamba.A_log", "ssm_d": "mamba.D", "ssm_norm.weight": "mamba.norm.weight", "ssm_out.weight": "mamba.out_proj.weight",
           "ffn_gate_inp.weight": "block_sparse_moe.router.layer.weight", "ffn_down_shexp.weight": "shared_mlp.output_linear.weight",
           **{k: "block_sparse_moe." + v for k, v in EXPERT_PARTS.items()}}
QWEN = {**ATTENTION, **DENSE, "attn_norm.weight": "input_layernorm.weight",
        "post_attention_norm.weight": "post_attention_layernorm.weight", "attn_output.weight": "self_attn.o_proj.weight",
        "attn_q_norm.weight": "self_attn.q_norm.weight", "attn_k_norm.weight": "self_attn.k_norm.weight",
        "attn_qkv.weight": "linear_attn.in_proj_qkv.weight", "attn_gate.weight": "linear_attn.in_proj_z.weight",
        "ssm_alpha.weight": "linear_attn.in_proj_a.weight", "ssm_beta.weight": "linear_attn.in_proj_b.weight",
        "ssm_ba.weight": "linear_attn.in_proj_ba.weight", "ssm_conv1d.weight": "linear_attn.conv1d.weight",
        "ssm_dt.bias": "linear_attn.dt_bias", "ssm_a": "linear_attn.A_log", "ssm_norm.weight": "linear_attn.norm.weight",
        "ssm_out.weight": "linear_attn.out_proj.weight", "ffn_gate_inp.weight": "mlp.gate.weight",
        "ffn_gate_inp_shexp.weight": "mlp.shared_expert_gate.weight",
        **{f"ffn_{x}_shexp.weight": f"mlp.shared_expert.{x}_proj.weight" for x in ("gate", "up", "down")},
        **{k: "mlp." + v for k, v in EXPERT_PARTS.items()}}


def arguments(family):
    """Besides what all families have."""
    k = family.keys
    kinds = k.get("attention.head_count_kv")
    if family.arch.startswith("lfm2"):
        return {"num_key_value_heads": 1, "norm_eps": k["attention.layer_norm_rms_epsilon"], "conv_bias": False, "conv_L_cache": 3,
                "block_dim": k["embedding_length"], "block_ff_dim": HIDDEN, "block_multiple_of": 1, "block_ffn_dim_multiplier": 1.0,
                "block_auto_adjust_ff_dim": False, "layer_types": ["full_attention" if n else "conv" for n in kinds],
                "moe_intermediate_size": EXPERT_HIDDEN, "num_experts": EXPERTS, "num_experts_per_tok": USED, "norm_topk_prob": True,
                "use_expert_bias": True, "num_dense_layers": 2}
    if family.arch == "granitehybrid":
        moe = {"num_local_experts": EXPERTS, "num_experts_per_tok": USED, "shared_intermediate_size": 64}
        return {"num_key_value_heads": 2, "layer_types": ["attention" if n else "mamba" for n in kinds], "mamba_n_heads": 4,
                "mamba_d_head": 32, "mamba_proj_bias": False, "mamba_d_state": 32, "mamba_d_conv": 4, "mamba_n_groups": 1,
                "mamba_conv_bias": True, "position_embedding_type": "nope", "time_step_limit": (0.0, float("inf")),
                **(moe if "expert_count" in k else {})}
    moe = "expert_count" in k
    return {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 32, "linear_value_head_dim": 32,
            "linear_conv_kernel_dim": 4, "num_experts": EXPERTS if moe else 0, "num_experts_per_tok": USED, "decoder_sparse_step": 1,
            "shared_expert_intermediate_size": 64, "mlp_only_layers": [], "moe_intermediate_size": EXPERT_HIDDEN,
            "norm_topk_prob": True, "partial_rotary_factor": 0.25, "full_attention_interval": 4,
            "rope_parameters": {"type": "default", "rope_theta": k["rope.freq_base"], "partial_rotary_factor": 0.25}}


def grouped(family, w, axis, size):
    """Heads that read their key heads in turn -> those of a key head together, as mlx-lm has them."""
    if family.arch == "qwen3next":
        return w
    share, groups = 2, 2
    shape = w.shape
    w = w.reshape(*shape[:axis], share, groups, size, *shape[axis + 1:])
    return w.swapaxes(axis, axis + 1).reshape(shape)


def fused_qkvz(family, qkv, z):
    """qwen3_next: of each key head its query, its key, and its heads' values and gates."""
    q, key, v = qkv[:64], qkv[64:128], qkv[128:]
    return np.concatenate([np.concatenate([q[32 * g:32 * (g + 1)], key[32 * g:32 * (g + 1)], v[64 * g:64 * (g + 1)],
                                           z[64 * g:64 * (g + 1)]]) for g in range(2)])


def delta_part(family, part, w):
    if part == "attn_qkv.weight" or part == "ssm_conv1d.weight":
        return np.concatenate([w[:128], grouped(family, w[128:], 0, 32)])
    if part == "attn_gate.weight":
        return grouped(family, w, 0, 32)
    if part in ("ssm_alpha.weight", "ssm_beta.weight", "ssm_a", "ssm_dt.bias"):
        return grouped(family, w, 0, 1)
    return grouped(family, w, 1, 32) if part == "ssm_out.weight" else w


def renamed(family, weights=None):
    """`weights`: floats by GGUF's names, in place of the family's own."""
    weights = weights or family.weights()
    lfm2, qwen = family.arch.startswith("lfm2"), family.arch.startswith("qwen")
    outer = "language_model." if family.arch.startswith("qwen35") else ""
    feed = {"gate": "w1", "up": "w3", "down": "w2"} if family.arch == "lfm2" else {x: f"{x}_proj" for x in ("gate", "up", "down")}
    names = dict(LFM2 if lfm2 else QWEN if qwen else GRANITE)
    if lfm2:
        names.update({f"ffn_{x}.weight": f"feed_forward.{y}.weight" for x, y in feed.items()})
        names.update({k: "feed_forward." + v for k, v in EXPERT_PARTS.items()})
        names.update({"ffn_gate_inp.weight": "feed_forward.gate.weight", "exp_probs_b.bias": "feed_forward.expert_bias"})
    for name, w in weights.items():
        if not name.startswith("blk."):
            yield outer + {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
                           "token_embd_norm.weight": "model.embedding_norm.weight", "output.weight": "lm_head.weight"}[name], w
            continue
        _, layer, part = name.split(".", 2)
        prefix = f"{outer}model.layers.{layer}."
        if qwen:
            w = delta_part(family, part, w) if f"blk.{layer}.ssm_a" in weights else w
        if part == "ssm_a":
            w = np.log(-w).reshape(-1)
        if part in ("ssm_d", "ssm_norm.weight"):
            w = w.reshape(-1)
        if part == "ffn_gate_inp_shexp.weight":
            w = w.reshape(1, -1)
        if "conv" in part and part.endswith("conv.weight") or part == "ssm_conv1d.weight":
            w = w[:, :, None]
        if family.arch == "qwen3next" and part == "attn_qkv.weight":
            yield prefix + "linear_attn.in_proj_qkvz.weight", fused_qkvz(family, w, weights[f"blk.{layer}.attn_gate.weight"])
        elif family.arch == "qwen3next" and part == "attn_gate.weight":
            continue
        elif family.arch == "granitehybrid" and part == "ffn_gate_shexp.weight":
            up = weights[f"blk.{layer}.ffn_up_shexp.weight"]
            yield prefix + "shared_mlp.input_linear.weight", np.concatenate([w, up])
        elif family.arch == "granitehybrid" and part == "ffn_up_shexp.weight":
            continue
        else:
            yield prefix + names[part], w
