"""Tiny models with random weights, one or more for each family: what is in their GGUF files.

A family is a dict of its metadata and its tensors by GGUF's names. Weights are a function of the tensor's name and
the element's index, so that a test remakes them without Python: a tensor is a centre and a spread, and element i is
centre + spread * u, u = splitmix64(fnv1a64(name) + i) as a number in [-1, 1) of 24 bits (F32), or, quantised (Q8_0),
spread / 127 as f16 times the hash's upper 8 bits as a signed byte.
"""

import math

import gguf
import numpy as np

WIDTH, HIDDEN, HEADS, KV_HEADS, HEAD_DIM, VOCAB = 64, 96, 4, 2, 32, 64
EXPERTS, USED, EXPERT_HIDDEN = 6, 3, 32
WINDOW = 24
TOKENS = 150
Q8_0 = gguf.GGMLQuantizationType.Q8_0
F32 = gguf.GGMLQuantizationType.F32


def splitmix64(x):
    with np.errstate(over="ignore"):
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def hashes(name, count):
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x100000001B3) % 2**64
    with np.errstate(over="ignore"):
        return splitmix64(np.uint64(seed) + np.arange(count, dtype=np.uint64))


class Tensor:
    def __init__(self, name, shape, spread, centre=0.0, kind=F32):
        self.name, self.shape, self.kind = name, shape, kind
        self.spread, self.centre = np.float32(spread), np.float32(centre)

    def bytes_q8(self):
        """(rows, bytes) of Q8_0 blocks."""
        q = (hashes(self.name, math.prod(self.shape)) >> np.uint64(56)).astype(np.uint8).view(np.int8)
        blocks = q.reshape(-1, 32)
        scale = np.full((len(blocks), 1), self.spread / np.float32(127), dtype=np.float16)
        raw = np.concatenate([scale.view(np.uint8), blocks.view(np.uint8)], axis=1)
        return raw.reshape(*self.shape[:-1], -1)

    def floats(self):
        if self.kind == Q8_0:
            return gguf.quants.dequantize(self.bytes_q8(), Q8_0).reshape(self.shape).astype(np.float32)
        u = (hashes(self.name, math.prod(self.shape)) >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - 1
        return (self.centre + self.spread * u.astype(np.float32)).astype(np.float32).reshape(self.shape)


def matrix(name, *shape, gain=1.0):
    """Outputs have about the variance of the inputs, times gain squared."""
    return Tensor(name, shape, gain * math.sqrt(3 / shape[-1]), kind=Q8_0)


def norm(name, n):
    return Tensor(name, (n,), 0.5, 1.0)


def small(name, *shape, spread=0.3):
    return Tensor(name, shape, spread)


class Family:
    """Defaults are the Llama graph's; `arch` is general.architecture."""

    def __init__(self, name, arch, layers=4, **keys):
        self.name, self.arch, self.layers = name, arch, layers
        self.tied = True
        self.keys = {
            "block_count": layers, "context_length": 4096, "embedding_length": WIDTH, "feed_forward_length": HIDDEN,
            "attention.head_count": HEADS, "attention.head_count_kv": KV_HEADS, "attention.key_length": HEAD_DIM,
            "attention.value_length": HEAD_DIM, "attention.layer_norm_rms_epsilon": 1e-5, "rope.freq_base": 10000.0,
            "rope.dimension_count": HEAD_DIM, "vocab_size": VOCAB, **keys}
        self.tensors = [matrix("token_embd.weight", VOCAB, WIDTH, gain=1.5), norm("output_norm.weight", WIDTH)]

    def add(self, *tensors):
        self.tensors += tensors
        return self

    def untied(self):
        self.tied = False
        return self.add(matrix("output.weight", VOCAB, WIDTH, gain=1.5))

    def attention(self, i, bias=False, out_bias=False, norms=None, fused=False, kv_heads=None, gated=False):
        p = f"blk.{i}."
        q = self.keys["attention.head_count"] * self.head_dim
        kv = (kv_heads or self.keys["attention.head_count_kv"]) * self.head_dim
        if fused:
            self.add(matrix(p + "attn_qkv.weight", q + 2 * kv, WIDTH, gain=1.3))
        else:
            rows = 2 * q if gated else q
            self.add(matrix(p + "attn_q.weight", rows, WIDTH, gain=1.5), matrix(p + "attn_k.weight", kv, WIDTH, gain=1.5),
                     matrix(p + "attn_v.weight", kv, WIDTH))
        if bias:
            self.add(small(p + "attn_q.bias", q), small(p + "attn_k.bias", kv), small(p + "attn_v.bias", kv))
        if norms == "head":
            self.add(norm(p + "attn_q_norm.weight", self.head_dim), norm(p + "attn_k_norm.weight", self.head_dim))
        if norms == "all":
            self.add(norm(p + "attn_q_norm.weight", q), norm(p + "attn_k_norm.weight", kv))
        self.add(matrix(p + "attn_output.weight", WIDTH, q))
        if out_bias:
            self.add(small(p + "attn_output.bias", WIDTH))
        return self

    @property
    def head_dim(self):
        return self.keys["attention.key_length"]

    def norms(self, i, *names):
        return self.add(*[norm(f"blk.{i}.{n}.weight", WIDTH) for n in names])

    def feed_forward(self, i, fused=False, suffix="", hidden=None):
        p, h = f"blk.{i}.ffn_", hidden or self.keys["feed_forward_length"]
        if fused:
            return self.add(matrix(p + "up.weight", 2 * h, WIDTH), matrix(p + "down.weight", WIDTH, h))
        return self.add(matrix(f"{p}gate{suffix}.weight", h, WIDTH), matrix(f"{p}up{suffix}.weight", h, WIDTH),
                        matrix(f"{p}down{suffix}.weight", WIDTH, h))

    def experts(self, i, biases=False):
        p = f"blk.{i}.ffn_"
        self.add(Tensor(p + "gate_inp.weight", (EXPERTS, WIDTH), 1.5 * math.sqrt(3 / WIDTH)),
                 matrix(p + "gate_exps.weight", EXPERTS, EXPERT_HIDDEN, WIDTH),
                 matrix(p + "up_exps.weight", EXPERTS, EXPERT_HIDDEN, WIDTH),
                 matrix(p + "down_exps.weight", EXPERTS, WIDTH, EXPERT_HIDDEN))
        if biases:
            self.add(small(p + "gate_inp.bias", EXPERTS), small(p + "gate_exps.bias", EXPERTS, EXPERT_HIDDEN),
                     small(p + "up_exps.bias", EXPERTS, EXPERT_HIDDEN), small(p + "down_exps.bias", EXPERTS, WIDTH))
        return self

    def write(self, path, floats, stored=None):
        """`floats`: all as F32, else matrices as Q8_0, or as stored(tensor) has them: a type and its bytes, or floats."""
        writer = gguf.GGUFWriter(path, self.arch)
        writer.add_string("tokenizer.ggml.model", "no_vocab")
        for key, value in self.keys.items():
            full = key if key.startswith("tokenizer.") else f"{self.arch}.{key}"
            if isinstance(value, bool):
                writer.add_bool(full, value)
            elif isinstance(value, int):
                writer.add_uint32(full, value)
            elif isinstance(value, float):
                writer.add_float32(full, value)
            elif isinstance(value, list):
                writer.add_array(full, value)
            else:
                writer.add_string(full, value)
        for t in self.tensors:
            if stored and t.kind != F32:
                kind, data = stored(t)
                writer.add_tensor(t.name, data, raw_dtype=None if data.dtype != np.uint8 else kind)
            elif floats or t.kind == F32:
                writer.add_tensor(t.name, t.floats())
            else:
                writer.add_tensor(t.name, t.bytes_q8(), raw_dtype=Q8_0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    def weights(self):
        return {t.name: t.floats() for t in self.tensors}


def llama_like(name, arch, **keys):
    f = Family(name, arch, **keys)
    for i in range(f.layers):
        f.norms(i, "attn_norm", "ffn_norm").attention(i).feed_forward(i)
    return f


YARN = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64}


def llama():
    f = llama_like("llama", "llama").untied()
    return f


def llama3():
    """Llama 3.1's scaling: GGUF's converter turns it into factors."""
    f = llama_like("llama3-rope", "llama", **{"rope.freq_base": 500000.0})
    return f.add(Tensor("rope_freqs.weight", (HEAD_DIM // 2,), 1.5, 2.5))


def llama_linear():
    return llama_like("llama-linear", "llama", **{"rope.scaling.type": "linear", "rope.scaling.factor": 4.0})


def llama_yarn():
    return llama_like("llama-yarn", "llama", **YARN)


def mixtral():
    f = Family("mixtral", "llama", expert_count=EXPERTS, expert_used_count=USED, feed_forward_length=EXPERT_HIDDEN,
               **{"attention.head_count": HEADS // 2})
    for i in range(f.layers):
        f.norms(i, "attn_norm", "ffn_norm").attention(i).experts(i)
    return f.untied()


def ministral3():
    return llama_like("ministral3", "mistral3", **YARN, **{
        "rope.scaling.yarn_log_multiplier": 1.0, "attention.temperature_scale": 0.1,
        "rope.scaling.yarn_beta_fast": 32.0, "rope.scaling.yarn_beta_slow": 1.0})


def qwen2():
    f = Family("qwen2", "qwen2", **{"attention.head_count": HEADS // 2})
    for i in range(f.layers):
        f.norms(i, "attn_norm", "ffn_norm").attention(i, bias=True).feed_forward(i)
    return f


def qwen3():
    f = Family("qwen3", "qwen3", **{"rope.freq_base": 1000000.0})
    for i in range(f.layers):
        f.norms(i, "attn_norm", "ffn_norm").attention(i, norms="head").feed_forward(i)
    return f


def qwen3_moe():
    f = Family("qwen3moe", "qwen3moe", expert_count=EXPERTS, expert_used_count=USED,
               expert_feed_forward_length=EXPERT_HIDDEN)
    for i in range(f.layers):
        f.norms(i, "attn_norm", "ffn_norm").attention(i, norms="head").experts(i)
    return f.untied()


def smollm3():
    return llama_like("smollm3", "smollm3", layers=5)


def multipliers():
    return {"attention.scale": 0.25, "embedding_scale": 4.0, "residual_scale": 0.3, "logit_scale": 1.5,
            "attention.head_count": HEADS // 2, "rope.dimension_count": 32}


def granite():
    return llama_like("granite", "granite", **multipliers())


def granite_moe(name="granitemoe", **keys):
    f = Family(name, "granitemoe", expert_count=EXPERTS, expert_used_count=USED, feed_forward_length=EXPERT_HIDDEN,
               **multipliers(), **keys)
    for i in range(f.layers):
        f.norms(i, "attn_norm", "ffn_norm").attention(i).experts(i)
    return f


def granite_moe_shared():
    f = granite_moe("granitemoe-shared", expert_shared_feed_forward_length=64)
    for i in range(f.layers):
        f.feed_forward(i, suffix="_shexp", hidden=64)
    return f


def olmo2():
    f = Family("olmo2", "olmo2", **{"attention.head_count": HEADS // 2})
    for i in range(f.layers):
        f.norms(i, "post_attention_norm", "post_ffw_norm").attention(i, norms="all").feed_forward(i)
    return f.untied()


def olmo3():
    f = Family("olmo3", "olmo2", **{"attention.head_count": HEADS // 2, "attention.sliding_window": WINDOW}, **YARN)
    for i in range(f.layers):
        f.norms(i, "post_attention_norm", "post_ffw_norm").attention(i, norms="all").feed_forward(i)
    return f.untied()


def phi3():
    f = Family("phi3", "phi3", **{"attention.head_count": HEADS // 2})
    for i in range(f.layers):
        f.norms(i, "attn_norm", "ffn_norm").attention(i, fused=True).feed_forward(i, fused=True)
    return f.untied()


def phi4_mini(name="phi4-mini", trained=64):
    f = Family(name, "phi3", **{
        "attention.head_count": HEADS // 2, "rope.dimension_count": 24, "rope.scaling.original_context_length": trained,
        "rope.scaling.attn_factor": 1.4142135})
    for i in range(f.layers):
        f.norms(i, "attn_norm", "ffn_norm").attention(i, fused=True).feed_forward(i, fused=True)
    return f.add(Tensor("rope_factors_long.weight", (12,), 1.5, 2.5), Tensor("rope_factors_short.weight", (12,), 0.1, 1.1))


def phi4_mini_short():
    """Trained for more than is asked for: the short factors."""
    return phi4_mini("phi4-mini-short", 1024)


def gemma():
    f = Family("gemma", "gemma")
    for i in range(f.layers):
        f.norms(i, "attn_norm", "ffn_norm").attention(i).feed_forward(i)
    return f


def gemma2():
    f = Family("gemma2", "gemma2", **{"attention.sliding_window": WINDOW, "attn_logit_softcapping": 2.0,
                                      "final_logit_softcapping": 3.0})
    for i in range(f.layers):
        f.norms(i, "attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm").attention(i).feed_forward(i)
    return f


def gemma3():
    f = Family("gemma3", "gemma3", layers=7, **{
        "attention.sliding_window": WINDOW, "rope.freq_base": 1000000.0, "rope.scaling.type": "linear",
        "rope.scaling.factor": 8.0, "rope.freq_base_swa": 10000.0})
    for i in range(f.layers):
        f.norms(i, "attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm")
        f.attention(i, norms="head").feed_forward(i)
    return f


def gpt_oss():
    f = Family("gpt-oss", "gpt-oss", expert_count=EXPERTS, expert_used_count=USED,
               expert_feed_forward_length=EXPERT_HIDDEN, **{"attention.sliding_window": WINDOW}, **YARN)
    for i in range(f.layers):
        f.norms(i, "attn_norm", "post_attention_norm").attention(i, bias=True, out_bias=True)
        f.experts(i, biases=True).add(small(f"blk.{i}.attn_sinks.weight", HEADS, spread=2.0))
    return f.untied()


def glm4_moe():
    f = Family("glm4moe", "glm4moe", expert_count=EXPERTS, expert_used_count=USED,
               expert_feed_forward_length=EXPERT_HIDDEN, expert_shared_count=1, leading_dense_block_count=1,
               expert_gating_func=2, expert_weights_norm=True, expert_weights_scale=1.5,
               **{"rope.dimension_count": HEAD_DIM // 2})
    for i in range(f.layers):
        f.norms(i, "attn_norm", "post_attention_norm").attention(i, bias=True, norms="head")
        if i == 0:
            f.feed_forward(i)
        else:
            f.experts(i).feed_forward(i, suffix="_shexp", hidden=EXPERT_HIDDEN)
            f.add(small(f"blk.{i}.exp_probs_b.bias", EXPERTS, spread=0.2))
    return f.untied()


def deepseek(name, q_rank, extra, selection_bias):
    kv_rank, rotated, plain, value = 64, 16, 32, 32
    f = Family(name, "deepseek2", **{
        "attention.head_count_kv": 1, "attention.kv_lora_rank": kv_rank, "attention.key_length": kv_rank + rotated,
        "attention.value_length": kv_rank, "attention.key_length_mla": plain + rotated,
        "attention.value_length_mla": value, "rope.dimension_count": rotated, "expert_count": EXPERTS,
        "expert_used_count": USED, "expert_feed_forward_length": EXPERT_HIDDEN, "expert_shared_count": 2,
        "leading_dense_block_count": 1, "attention.layer_norm_rms_epsilon": 1e-6, **extra})
    if q_rank:
        f.keys["attention.q_lora_rank"] = q_rank
    for i in range(f.layers):
        p = f"blk.{i}."
        f.norms(i, "attn_norm", "ffn_norm")
        q = HEADS * (plain + rotated)
        if q_rank:
            f.add(matrix(p + "attn_q_a.weight", q_rank, WIDTH), norm(p + "attn_q_a_norm.weight", q_rank),
                  matrix(p + "attn_q_b.weight", q, q_rank, gain=1.5))
        else:
            f.add(matrix(p + "attn_q.weight", q, WIDTH, gain=1.5))
        f.add(matrix(p + "attn_kv_a_mqa.weight", kv_rank + rotated, WIDTH, gain=1.5),
              norm(p + "attn_kv_a_norm.weight", kv_rank), matrix(p + "attn_k_b.weight", HEADS, kv_rank, plain),
              matrix(p + "attn_v_b.weight", HEADS, value, kv_rank),
              matrix(p + "attn_output.weight", WIDTH, HEADS * value))
        if i == 0:
            f.feed_forward(i)
        else:
            f.experts(i).feed_forward(i, suffix="_shexp", hidden=2 * EXPERT_HIDDEN)
            if selection_bias:
                f.add(small(f"blk.{i}.exp_probs_b.bias", EXPERTS, spread=0.2))
    return f.untied()


def deepseek_v2_lite():
    """Has no first rank. llama.cpp takes it so by its number of layers alone, and cannot read this one."""
    return deepseek("deepseek-v2-lite", 0, {"expert_gating_func": 1, "expert_weights_scale": 1.0, **YARN,
                                            "rope.scaling.yarn_log_multiplier": 0.0707}, False)


def deepseek_v2():
    """Its groups count by their best expert; llama.cpp has V3's rule for both, and differs here."""
    return deepseek("deepseek-v2", 32, {"expert_gating_func": 1, "expert_weights_scale": 4.0, "expert_group_count": 3,
                                        "expert_group_used_count": 2, **YARN,
                                        "rope.scaling.yarn_log_multiplier": 0.1}, False)


def deepseek_v3():
    return deepseek("deepseek-v3", 32, {
        "expert_gating_func": 2, "expert_weights_norm": True, "expert_weights_scale": 2.5, "expert_group_count": 3,
        "expert_group_used_count": 2, **YARN, "rope.scaling.yarn_log_multiplier": 0.1}, True)


def short_conv(f, i):
    p = f"blk.{i}.shortconv."
    f.add(matrix(p + "in_proj.weight", 3 * WIDTH, WIDTH), small(p + "conv.weight", WIDTH, 3, spread=1.0),
          matrix(p + "out_proj.weight", WIDTH, WIDTH))


def lfm2(name="lfm2", arch="lfm2", **keys):
    attends = [False, False, True, False, True]
    f = Family(name, arch, layers=len(attends), **{
        "attention.head_count": HEADS // 2, "attention.head_count_kv": [int(a) for a in attends], "shortconv.l_cache": 3, **keys})
    f.tensors[1] = norm("token_embd_norm.weight", WIDTH)
    for i, a in enumerate(attends):
        f.norms(i, "attn_norm", "ffn_norm")
        if a:
            f.attention(i, norms="head", kv_heads=1)
        else:
            short_conv(f, i)
        if i < keys.get("leading_dense_block_count", len(attends)):
            f.feed_forward(i)
        else:
            f.experts(i).add(small(f"blk.{i}.exp_probs_b.bias", EXPERTS, spread=0.2))
    return f


def lfm2_moe():
    return lfm2("lfm2moe", "lfm2moe", expert_count=EXPERTS, expert_used_count=USED, expert_gating_func=2,
                expert_feed_forward_length=EXPERT_HIDDEN, leading_dense_block_count=2)


SSM = {"ssm.conv_kernel": 4, "ssm.inner_size": 128, "ssm.state_size": 32, "ssm.time_step_rank": 4}


def mamba2(f, i):
    p, k = f"blk.{i}.ssm_", f.keys
    inner, heads = k["ssm.inner_size"], k["ssm.time_step_rank"]
    channels = inner + 2 * k["ssm.group_count"] * k["ssm.state_size"]
    f.add(matrix(p + "in.weight", inner + channels + heads, WIDTH), small(p + "conv1d.weight", channels, 4, spread=0.8),
          small(p + "conv1d.bias", channels), Tensor(p + "dt.bias", (heads,), 1.0, -1.0),
          Tensor(p + "a", (heads, 1), 0.9, -1.0), small(p + "d", heads, 1, spread=1.0),
          Tensor(p + "norm.weight", (k["ssm.group_count"], inner // k["ssm.group_count"]), 0.5, 1.0),
          matrix(p + "out.weight", WIDTH, inner))


def granite_hybrid(name="granitehybrid", **keys):
    attends = [False, False, True, False]
    f = Family(name, "granitehybrid", **{**multipliers(), **SSM, "ssm.group_count": 1, "rope.scaling.finetuned": False,
                                         "attention.head_count_kv": [2 * a for a in attends], **keys})
    for i, a in enumerate(attends):
        f.norms(i, "attn_norm", "ffn_norm")
        if a:
            f.attention(i, kv_heads=2)
        else:
            mamba2(f, i)
        if "expert_count" in keys:
            f.experts(i).feed_forward(i, suffix="_shexp", hidden=64)
        else:
            f.feed_forward(i)
    return f


def granite_hybrid_moe():
    return granite_hybrid("granitehybrid-moe", expert_count=EXPERTS, expert_used_count=USED,
                          feed_forward_length=EXPERT_HIDDEN, expert_shared_feed_forward_length=64)


def delta_net(f, i):
    p, k = f"blk.{i}.", f.keys
    inner, heads, groups, state = (k[f"ssm.{n}"] for n in ("inner_size", "time_step_rank", "group_count", "state_size"))
    channels = inner + 2 * groups * state
    f.add(matrix(p + "attn_qkv.weight", channels, WIDTH, gain=1.5), matrix(p + "attn_gate.weight", inner, WIDTH),
          small(p + "ssm_conv1d.weight", channels, 4, spread=0.8), Tensor(p + "ssm_dt.bias", (heads,), 1.0, -1.0),
          Tensor(p + "ssm_a", (heads,), 0.9, -1.0), norm(p + "ssm_norm.weight", state), matrix(p + "ssm_out.weight", WIDTH, inner))
    if f.arch == "qwen3next":
        f.add(matrix(p + "ssm_ba.weight", 2 * heads, WIDTH))
    else:
        f.add(matrix(p + "ssm_alpha.weight", heads, WIDTH), matrix(p + "ssm_beta.weight", heads, WIDTH))


def qwen3_next(name="qwen3next", arch="qwen3next", experts=True, **keys):
    if experts:
        keys = {**keys, "expert_count": EXPERTS, "expert_used_count": USED, "expert_feed_forward_length": EXPERT_HIDDEN,
                "expert_shared_feed_forward_length": 64}
    f = Family(name, arch, layers=5, **{**SSM, "ssm.group_count": 2, "full_attention_interval": 4,
                                        "rope.dimension_count": HEAD_DIM // 4, "attention.layer_norm_rms_epsilon": 1e-6, **keys})
    for i in range(f.layers):
        f.norms(i, "attn_norm", "post_attention_norm")
        if (i + 1) % 4 == 0:
            f.attention(i, norms="head", gated=True)
        else:
            delta_net(f, i)
        if experts:
            f.experts(i).feed_forward(i, suffix="_shexp", hidden=64)
            f.add(Tensor(f"blk.{i}.ffn_gate_inp_shexp.weight", (WIDTH,), math.sqrt(3 / WIDTH)))
        else:
            f.feed_forward(i)
    return f.untied()


def qwen35():
    return qwen3_next("qwen35", "qwen35", experts=False, **{"rope.dimension_sections": [2, 1, 1, 0]})


def qwen35_moe():
    return qwen3_next("qwen35moe", "qwen35moe", **{"rope.dimension_sections": [2, 1, 1, 0]})


MAKERS = (llama, llama3, llama_linear, llama_yarn, mixtral, ministral3, qwen2, qwen3, qwen3_moe, smollm3,
                          granite, granite_moe, granite_moe_shared, olmo2, olmo3, phi3, phi4_mini, phi4_mini_short, gemma, gemma2, gemma3, gpt_oss, glm4_moe,
                          deepseek_v2_lite, deepseek_v2, deepseek_v3, lfm2, lfm2_moe, granite_hybrid,
                          granite_hybrid_moe, qwen3_next, qwen35, qwen35_moe)
FAMILIES = [f() for f in MAKERS]


def widen(rows):
    """Nearly all rows of whole blocks of 64, 128 or 256, and fewer tokens. Before the judges are imported, who take sizes from
    here."""
    global WIDTH, HIDDEN, HEADS, EXPERT_HIDDEN, TOKENS
    WIDTH = HIDDEN = EXPERT_HIDDEN = rows
    HEADS, TOKENS = 2 * max(rows, 64) // HEAD_DIM, 100
    FAMILIES[:] = [f() for f in MAKERS]



def tokens(family):
    return (hashes("tokens of " + family.name, TOKENS) % np.uint64(VOCAB)).astype(np.int32)
