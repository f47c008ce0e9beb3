"""Remakes tests/models/golden/*.bin: what the model's logits are, by an outside judge.

    make oracle        (or: python tools/oracle/make_logits_golden.py MODELS_DIR)

The judge is mlx-lm in float32 on the dequantised weights of the GGUF file. llama.cpp (llama-cpp-python) reads the same
tokens from the same file; its divergence from the judge is kept beside, as the bar that ours is held to. Needs PyPI
mlx-lm, mlx-cpu, gguf, llama-cpp-python, numpy.

A golden file, little-endian: u32 magic 'KVLG', version 1, n tokens, k; n x i32 tokens; f32 llama_kl, f32 llama_top1;
then for each position: k x i32 ids, k x f32 log-probabilities of the judge's k likeliest tokens.
KL is measured over those k tokens and one bucket for all others.
"""

import struct
import sys
from pathlib import Path

import gguf
import mlx.core as mx
import numpy as np

TOP = 256
TOKENS = 96
TEXT = """<|im_start|>system
You are a careful programmer.<|im_end|>
<|im_start|>user
Why is the sky blue? Answer briefly, then write a C function that adds two integers.<|im_end|>
<|im_start|>assistant
Sunlight is scattered by the molecules of the air, and blue light is scattered more than red light, because its
wavelength is shorter. Here is the function:

int add(int a, int b) {
    return a + b;
}
"""
MODELS = {
    "smollm2": "smollm2-135m-instruct-q4_1.gguf",
    "qwen2.5-coder": "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
}


def field(reader, key):
    return reader.fields[key].contents()


def unpermute(w, heads):
    """GGUF stores Llama's q and k with rotary pairs as neighbours; mlx-lm wants (i, i + d/2)."""
    rows = w.shape[0]
    return w.reshape(heads, rows // heads // 2, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def judge(path):
    reader = gguf.GGUFReader(path)
    arch = field(reader, "general.architecture")
    get = lambda k: field(reader, f"{arch}.{k}")
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}
    if arch == "llama":
        from mlx_lm.models.llama import Model, ModelArgs
    else:
        from mlx_lm.models.qwen2 import Model, ModelArgs
    heads, kv_heads = get("attention.head_count"), get("attention.head_count_kv")
    tied = "output.weight" not in tensors
    model = Model(ModelArgs(
        model_type=arch, hidden_size=get("embedding_length"), num_hidden_layers=get("block_count"),
        intermediate_size=get("feed_forward_length"), num_attention_heads=heads, num_key_value_heads=kv_heads,
        rms_norm_eps=get("attention.layer_norm_rms_epsilon"), vocab_size=tensors["token_embd.weight"].shape[0],
        rope_theta=get("rope.freq_base"), tie_word_embeddings=tied))
    names = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
             "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    weights = []
    for name, w in tensors.items():
        if name.startswith("blk."):
            _, layer, part, kind = name.split(".")
            if arch == "llama" and part in ("attn_q", "attn_k"):
                w = unpermute(w, heads if part == "attn_q" else kv_heads)
            key = f"model.layers.{layer}.{names[part]}.{kind}"
        else:
            key = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
                   "output.weight": "lm_head.weight"}[name]
        weights.append((key, mx.array(w)))
    model.load_weights(weights, strict=True)
    model.set_dtype(mx.float32)
    return model


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def divergence(p_ids, p_log, q_log):
    """KL(judge || q) over the judge's top tokens and one bucket for the rest, mean over positions."""
    q_top = np.take_along_axis(q_log, p_ids, axis=1)
    p, q = np.exp(p_log), np.exp(q_top)
    p_rest, q_rest = np.maximum(1 - p.sum(1), 1e-12), np.maximum(1 - q.sum(1), 1e-12)
    return float(np.mean((p * (p_log - q_top)).sum(1) + p_rest * np.log(p_rest / q_rest)))


def main():
    from llama_cpp import Llama
    models = Path(sys.argv[1] if len(sys.argv) > 1 else Path.home() / ".cache/kvasir/models")
    out = Path(__file__).resolve().parents[2] / "tests/models/golden"
    for name, file in MODELS.items():
        llama = Llama(str(models / file), n_ctx=512, logits_all=True, verbose=False)
        tokens = llama.tokenize(TEXT.encode(), add_bos=False, special=True)[:TOKENS]
        llama.eval(tokens)
        llama_log = log_softmax(np.array(llama.scores[: len(tokens)]))
        logits = judge(models / file)(mx.array([tokens]))[0]
        judge_log = log_softmax(np.array(logits))
        ids = np.argsort(-judge_log, axis=1)[:, :TOP]
        top = np.take_along_axis(judge_log, ids, axis=1)
        kl = divergence(ids, top, llama_log)
        agree = float(np.mean(llama_log.argmax(1) == ids[:, 0]))
        print(f"{name}: {len(tokens)} tokens; llama.cpp KL {kl:.6f}, top-1 {agree:.4f}")
        with open(out / f"{name}.bin", "wb") as f:
            f.write(struct.pack("<4I", 0x474C564B, 1, len(tokens), TOP))
            f.write(np.array(tokens, dtype="<i4").tobytes())
            f.write(struct.pack("<2f", kl, agree))
            for i, t in zip(ids, top):
                f.write(i.astype("<i4").tobytes() + t.astype("<f4").tobytes())


if __name__ == "__main__":
    main()
