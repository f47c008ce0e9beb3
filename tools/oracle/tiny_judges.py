"""What outside judges make of the tiny models (tiny_families.py): mlx-lm in float32, and llama.cpp.

judge_mlx(family, tokens) and judge_llama(path, tokens) give logits (tokens, vocabulary).
"""

import ctypes
import importlib

import numpy as np

import hybrid_judges
from tiny_families import EXPERT_HIDDEN, EXPERTS, USED

# GGUF's name of a part -> mlx-lm's, where most families agree.
PARTS = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "attn_qkv": "self_attn.qkv_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "attn_sinks": "self_attn.sinks", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    "ffn_gate_inp": "mlp.gate", "ffn_gate_exps": "mlp.switch_mlp.gate_proj", "ffn_up_exps": "mlp.switch_mlp.up_proj",
    "ffn_down_exps": "mlp.switch_mlp.down_proj", "ffn_gate_shexp": "mlp.shared_experts.gate_proj",
    "ffn_up_shexp": "mlp.shared_experts.up_proj", "ffn_down_shexp": "mlp.shared_experts.down_proj",
    "attn_q_a": "self_attn.q_a_proj", "attn_q_a_norm": "self_attn.q_a_layernorm", "attn_q_b": "self_attn.q_b_proj",
    "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa", "attn_kv_a_norm": "self_attn.kv_a_layernorm",
    "attn_k_b": "self_attn.embed_q", "attn_v_b": "self_attn.unembed_out",
    "post_attention_norm": "post_attention_layernorm", "post_ffw_norm": "post_feedforward_layernorm",
}
GEMMA = {"ffn_norm": "pre_feedforward_layernorm"}
DEEPSEEK = {"moe_intermediate_size": EXPERT_HIDDEN, "n_shared_experts": 2, "n_routed_experts": EXPERTS, "kv_lora_rank": 64,
            "qk_rope_head_dim": 16, "v_head_dim": 32, "qk_nope_head_dim": 32, "num_experts_per_tok": USED,
            "first_k_dense_replace": 1}
# Of each of our families: mlx-lm's module, its own arguments, and its own names.
MODULES = {
    "llama": ("llama", {}, {}), "llama3-rope": ("llama", {}, {}), "llama-linear": ("llama", {}, {}),
    "llama-yarn": ("llama", {}, {}), "qwen2": ("qwen2", {}, {}), "qwen3": ("qwen3", {}, {}),
    "mixtral": ("mixtral", {"num_local_experts": EXPERTS, "num_experts_per_tok": USED}, {
        "ffn_gate_inp": "block_sparse_moe.gate", "ffn_gate_exps": "block_sparse_moe.switch_mlp.gate_proj",
        "ffn_up_exps": "block_sparse_moe.switch_mlp.up_proj", "ffn_down_exps": "block_sparse_moe.switch_mlp.down_proj"}),
    "ministral3": ("ministral3", {}, {}),
    "qwen3moe": ("qwen3_moe", {"num_experts": EXPERTS, "num_experts_per_tok": USED, "decoder_sparse_step": 1,
                               "mlp_only_layers": [], "moe_intermediate_size": EXPERT_HIDDEN, "norm_topk_prob": True}, {}),
    "smollm3": ("smollm3", {}, {}), "olmo2": ("olmo2", {}, {}), "olmo3": ("olmo3", {}, {}), "phi3": ("phi3", {}, {}),
    "granite": ("granite", {}, {}), "granitemoe-shared": None,
    "granitemoe": ("granitemoe", {"num_local_experts": EXPERTS, "num_experts_per_tok": USED}, {
        "ffn_gate_inp": "block_sparse_moe.router.layer", "ffn_gate_exps": "block_sparse_moe.switch_mlp.gate_proj",
        "ffn_up_exps": "block_sparse_moe.switch_mlp.up_proj", "ffn_down_exps": "block_sparse_moe.switch_mlp.down_proj"}),
    "phi4-mini": ("phi3", {}, {}), "phi4-mini-short": None, "gemma": ("gemma", {}, {}), "gemma2": ("gemma2", {}, GEMMA),
    "gemma3": ("gemma3_text", {}, GEMMA),
    "gpt-oss": ("gpt_oss", {"num_local_experts": EXPERTS, "num_experts_per_tok": USED}, {
        "ffn_gate_inp": "mlp.router", "ffn_gate_exps": "mlp.experts.gate_proj", "ffn_up_exps": "mlp.experts.up_proj",
        "ffn_down_exps": "mlp.experts.down_proj"}),
    "glm4moe": ("glm4_moe", {"moe_intermediate_size": EXPERT_HIDDEN, "norm_topk_prob": True, "n_group": 1, "topk_group": 1,
                             "n_shared_experts": 1, "n_routed_experts": EXPERTS, "routed_scaling_factor": 1.5,
                             "num_experts_per_tok": USED, "first_k_dense_replace": 1, "use_qk_norm": True,
                             "attention_bias": True, "partial_rotary_factor": 0.5}, {}),
    "deepseek-v2-lite": ("deepseek_v2", {**DEEPSEEK, "q_lora_rank": None, "routed_scaling_factor": 1.0}, {}),
    "deepseek-v2": ("deepseek_v2", {**DEEPSEEK, "q_lora_rank": 32, "routed_scaling_factor": 4.0, "n_group": 3,
                                    "topk_group": 2, "topk_method": "group_limited_greedy"}, {}),
    "deepseek-v3": ("deepseek_v3", {**DEEPSEEK, "q_lora_rank": 32, "routed_scaling_factor": 2.5, "norm_topk_prob": True,
                                    "n_group": 3, "topk_group": 2}, {}),
}
PERMUTED = {"llama", "mistral3", "smollm3", "granite", "granitemoe"}


def rope_scaling(family):
    k = family.keys
    kind = k.get("rope.scaling.type")
    if family.name == "phi4-mini":
        w = family.weights()
        return {"type": "longrope", "long_factor": w["rope_factors_long.weight"].tolist(),
                "short_factor": w["rope_factors_short.weight"].tolist()}
    if kind is None:
        return None
    scaling = {"type": kind, "rope_type": kind, "factor": k["rope.scaling.factor"]}
    if kind == "yarn":
        scaling["original_max_position_embeddings"] = k["rope.scaling.original_context_length"]
    if family.arch == "deepseek2":
        slope = round(k["rope.scaling.yarn_log_multiplier"] * 10, 6)
        scaling.update(mscale=slope, mscale_all_dim=slope)
    return scaling


def arguments(family, own):
    k = family.keys
    args = {
        "model_type": family.arch, "hidden_size": k["embedding_length"], "num_hidden_layers": k["block_count"],
        "intermediate_size": EXPERT_HIDDEN if family.name == "gpt-oss" else k["feed_forward_length"],
        "num_attention_heads": k["attention.head_count"], "num_key_value_heads": k["attention.head_count_kv"],
        "head_dim": k["attention.key_length"], "vocab_size": k["vocab_size"], "rope_theta": k["rope.freq_base"],
        "rms_norm_eps": k["attention.layer_norm_rms_epsilon"], "max_position_embeddings": k["context_length"],
        "tie_word_embeddings": family.tied, "rope_scaling": rope_scaling(family), "attention_bias": False,
        "mlp_bias": False, **own}
    if family.arch == "deepseek2":
        args["num_key_value_heads"] = args["num_attention_heads"]
    if family.arch in ("gemma2", "gemma3"):
        args["query_pre_attn_scalar"] = float(k["attention.key_length"])
    if family.arch == "gemma2":
        args.update(attn_logit_softcapping=k["attn_logit_softcapping"], final_logit_softcapping=k["final_logit_softcapping"])
    if family.arch == "gemma3":
        args.update(rope_local_base_freq=k["rope.freq_base_swa"])
    if "attention.sliding_window" in k:
        args["sliding_window"] = k["attention.sliding_window"]
    if family.arch.startswith("granite"):
        args.update(logits_scaling=k["logit_scale"], attention_multiplier=k["attention.scale"],
                    embedding_multiplier=k["embedding_scale"], residual_multiplier=k["residual_scale"])
    if family.name == "ministral3":
        args["rope_parameters"] = {
            "rope_type": "yarn", "rope_theta": k["rope.freq_base"], "factor": k["rope.scaling.factor"],
            "original_max_position_embeddings": k["rope.scaling.original_context_length"], "beta_fast": 32.0,
            "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1}
    if family.name == "phi4-mini":
        # mlx-lm scales by sqrt(1 + ln(max / original) / ln(original)): the ratio that makes it what the file says.
        args.update(partial_rotary_factor=24 / 32, original_max_position_embeddings=64, max_position_embeddings=64 * 64)
    if family.name == "olmo3":
        args["layer_types"] = (["sliding_attention"] * 3 + ["full_attention"]) * (k["block_count"] // 4)
    return args


def neighbours_to_halves(w, heads):
    """Rows whose rotary pairs are neighbours -> pairs (i, i + d/2), as mlx-lm wants them."""
    rows = w.shape[0]
    return w.reshape(heads, rows // heads // 2, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def renamed(family, names, joined, weights=None):
    """`joined`: attn_k_b and attn_v_b are one matrix, of each head the keys' rows and then the values'. `weights`: floats by
    GGUF's names, in place of the family's own."""
    k = family.keys
    weights = weights or family.weights()
    for name, w in weights.items():
        if name in ("rope_factors_long.weight", "rope_factors_short.weight", "rope_freqs.weight"):
            continue
        if not name.startswith("blk."):
            yield {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
                   "output.weight": "lm_head.weight"}[name], w
            continue
        _, layer, part, kind = name.split(".")
        prefix = f"model.layers.{layer}."
        if family.arch in PERMUTED and part in ("attn_q", "attn_k"):
            w = neighbours_to_halves(w, k["attention.head_count" + ("_kv" if part == "attn_k" else "")])
        if family.arch == "phi3" and part == "ffn_up":
            yield prefix + "mlp.gate_up_proj.weight", w
        elif part == "exp_probs_b":
            yield prefix + "mlp.gate.e_score_correction_bias", w
        elif part == "attn_sinks":
            yield prefix + "self_attn.sinks", w
        elif joined and part == "attn_k_b":
            values = weights[name.replace("attn_k_b", "attn_v_b")]
            rows = np.concatenate([w.swapaxes(1, 2), values], axis=1)
            yield prefix + "self_attn.kv_b_proj.weight", rows.reshape(-1, rows.shape[-1])
        elif joined and part == "attn_v_b":
            continue
        else:
            yield f"{prefix}{names.get(part, PARTS[part])}.{kind}", w


class FactoredRope:
    """Rotation whose frequencies are divided by given factors, as GGUF's rope_freqs.weight says."""

    def __init__(self, base, factors):
        import mlx.core as mx

        dims = 2 * len(factors)
        self.dims = dims
        self.freqs = mx.array(base ** (np.arange(0, dims, 2) / dims) * factors, dtype=mx.float32)

    def __call__(self, x, offset=0):
        import mlx.core as mx

        return mx.fast.rope(x, self.dims, traditional=False, base=None, scale=1.0, offset=offset, freqs=self.freqs)


class Mlx:
    """mlx-lm's model of a family, in float32."""

    def __init__(self, family):
        self.family, self.hybrid = family, family.name in hybrid_judges.MODULES
        if self.hybrid:
            module, own, self.names = hybrid_judges.MODULES[family.name], hybrid_judges.arguments(family), None
        else:
            module, own, self.names = MODULES[family.name]
        self.module = module
        m = importlib.import_module(f"mlx_lm.models.{module}")
        self.model = m.Model(m.ModelArgs.from_dict(arguments(family, own)))

    def renamed(self, weights):
        if self.hybrid:
            return list(hybrid_judges.renamed(self.family, weights))
        less_one = 1 if self.module.startswith("gemma") else 0  # GGUF stores the sum
        named = [(name, w - less_one if "norm" in name else w)
                 for name, w in renamed(self.family, self.names, self.module == "deepseek_v2", weights)]
        if self.module == "gemma3_text":
            named.append(("lm_head.weight", weights["token_embd.weight"]))
        return named

    def logits(self, tokens, weights=None):
        """(tokens, vocabulary). `weights`: floats by GGUF's names, in place of the family's own."""
        import mlx.core as mx

        weights = weights or self.family.weights()
        if self.family.name == "gemma2":  # mlx-lm has no window there
            tokens = tokens[: self.family.keys["attention.sliding_window"]]
        self.model.load_weights([(name, mx.array(w)) for name, w in self.renamed(weights)], strict=True)
        self.model.set_dtype(mx.float32)
        if self.family.name == "llama3-rope":
            for layer in self.model.layers:
                layer.self_attn.rope = FactoredRope(self.family.keys["rope.freq_base"], weights["rope_freqs.weight"])
        return np.array(self.model(mx.array([tokens]))[0]).astype(np.float64)


def mlx_knows(family):
    return family.name in hybrid_judges.MODULES or MODULES[family.name] is not None


def judge_mlx(family, tokens):
    """None where mlx-lm has no such model."""
    return Mlx(family).logits(tokens) if mlx_knows(family) else None


KEPT = []  # what llama.cpp calls as long as it is loaded


def judge_llama(path, tokens):
    import llama_cpp as ll

    if not KEPT:
        ll.llama_backend_init()
        KEPT.append(ll.llama_log_callback(lambda *_: None))
        ll.llama_log_set(KEPT[0], None)
    plain = ll.llama_model_default_params()
    plain.use_extra_bufts = False  # its AMX kernels crash on matrices as small as these
    model = ll.llama_model_load_from_file(path.encode(), plain)
    if not model:
        return None
    params = ll.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch, params.n_threads, params.n_threads_batch = 256, 256, 256, 2, 2
    params.type_k = params.type_v = 0  # f32
    params.flash_attn_type = 0
    params.swa_full = True
    context = ll.llama_init_from_model(model, params)
    batch = ll.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, t in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = int(t), i, 1, 0, 1
    if ll.llama_decode(context, batch) != 0:
        return None
    vocab = ll.llama_vocab_n_tokens(ll.llama_model_get_vocab(model))
    rows = ll.llama_get_logits(context)
    out = np.ctypeslib.as_array(ctypes.cast(rows, ctypes.POINTER(ctypes.c_float)), (len(tokens), vocab))
    out = out.astype(np.float64)
    ll.llama_batch_free(batch)
    ll.llama_free(context)
    ll.llama_model_free(model)
    return out


def log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def compare(judge, ours):
    """KL(judge || ours), mean over tokens, and how often the likeliest token is the same."""
    p, q = log_softmax(judge), log_softmax(ours[: len(judge)])
    return float((np.exp(p) * (p - q)).sum(axis=-1).mean()), float((p.argmax(-1) == q.argmax(-1)).mean())
