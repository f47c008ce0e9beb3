"""Remakes tests/weights/golden/mlx/: a folder whose matrices are quantised by `mlx` in every mode, width and group size,
and what `mlx` dequantises them to (weights.f32, in the order of GGUF's tensor names). config.json has the modes as
per-layer overrides, as mlx-lm writes them; its shapes are not those of the tensors, which only the reader sees."""

import json
from pathlib import Path

import mlx.core as mx
import numpy as np

ROWS, COLUMNS = 5, 128
MODULES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
           "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
           "mlp.down_proj": "ffn_down"}
DTYPES = [mx.bfloat16, mx.float16, mx.float32]


def cases():
    """(parameters, dtype of the scales)"""
    n = 0
    for bits in (2, 3, 4, 5, 6, 8):
        for group in (32, 64, 128):
            yield {"group_size": group, "bits": bits, "mode": "affine"}, DTYPES[n % 3]
            n += 1
    for mode, group, bits in (("mxfp4", 32, 4), ("mxfp8", 32, 8), ("nvfp4", 16, 4)):
        yield {"group_size": group, "bits": bits, "mode": mode}, None


def main():
    rng = np.random.default_rng(2)
    out = Path(__file__).resolve().parents[2] / "tests/weights/golden/mlx"
    out.mkdir(parents=True, exist_ok=True)
    tensors, expected = {}, {}
    quantization = {"group_size": 64, "bits": 4}
    for number, (parameters, dtype) in enumerate(cases()):
        layer, place = divmod(number, len(MODULES))
        hf, gguf = list(MODULES.items())[place]
        path = f"model.layers.{layer}.{hf}"
        weight = mx.array(rng.normal(size=(ROWS, COLUMNS), scale=0.04).astype(np.float32))
        if dtype is not None:
            weight = weight.astype(dtype)
        parts = mx.quantize(weight, **parameters)
        for name, part in zip(("weight", "scales", "biases"), parts):
            tensors[f"{path}.{name}"] = part
        # In 32 bits, so that nothing is rounded that the stored form has.
        exact = [p.astype(mx.float32) if p.dtype in DTYPES else p for p in parts]
        expected[f"blk.{layer}.{gguf}"] = np.array(mx.dequantize(*exact, **parameters).astype(mx.float32))
        # The folder's default is not repeated.
        if parameters != {**quantization, "mode": "affine"}:
            quantization[path] = parameters
    tensors["model.norm.weight"] = mx.array(rng.normal(size=COLUMNS).astype(np.float32)).astype(mx.bfloat16)
    expected["output_norm"] = np.array(tensors["model.norm.weight"].astype(mx.float32))
    mx.save_safetensors(str(out / "model.safetensors"), tensors, metadata={"format": "mlx"})
    config = {"model_type": "llama", "hidden_size": 128, "num_hidden_layers": 3, "intermediate_size": 128,
              "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 5, "rms_norm_eps": 1e-5,
              "rope_theta": 500000.0, "max_position_embeddings": 64, "tie_word_embeddings": True, "hidden_act": "silu",
              "quantization": quantization, "quantization_config": quantization}
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    np.concatenate([expected[name].reshape(-1) for name in sorted(expected)]).astype("<f4").tofile(out / "weights.f32")


if __name__ == "__main__":
    main()
