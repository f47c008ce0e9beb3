"""The tiny families as folders, as MLX, MLX quantised and Hugging Face have them, read by us and by mlx-lm from the same files,
as a table:

    cmake --build build --target logits && python tools/oracle/family_folders.py [NAME...]

KL(mlx-lm || ours), mean over 150 random tokens, and how often the likeliest token is the same. mlx-lm loads each folder with its
own loader and computes in float32. hybrid_folders.py has the families with recurrent layers.
"""

import json
import math
import sys
import tempfile
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx_lm.models import rope_utils

from families_table import cell, ours
from tiny_families import EXPERT_HIDDEN, EXPERTS, FAMILIES, HEAD_DIM, USED, tokens
from tiny_judges import MODULES, arguments, renamed

UNROUNDED = "hf, YaRN unrounded"
MIXTRAL = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
# mlx-lm has no granitemoeshared; its granitemoehybrid without recurrent layers is the same graph.
SHARED = ("granitemoe", {"num_local_experts": EXPERTS, "num_experts_per_tok": USED, "shared_intermediate_size": 64},
          {**MODULES["granitemoe"][2], "ffn_down_shexp": "shared_mlp.output_linear"})


def module_of(f):
    if f.name == "granitemoe-shared":
        return SHARED
    return MODULES.get(f.name)


def config(f):
    module, own, _ = module_of(f)
    c = arguments(f, own)
    c["model_type"] = module
    if f.name == "llama3-rope":
        c["rope_scaling"] = LLAMA3
    if f.name == "granitemoe-shared":
        c["model_type"] = "granitemoeshared"
    if f.arch == "deepseek2":
        c.pop("head_dim")
    if f.name == "deepseek-v2-lite":
        c["topk_method"] = "greedy"
    return c


def judged_config(f, c):
    """What mlx-lm is told in place of c."""
    if f.name != "granitemoe-shared":
        return c
    return {**c, "model_type": "granitemoehybrid", "layer_types": ["attention"] * f.layers, "position_embedding_type": "rope",
            "mamba_n_heads": 1, "mamba_d_head": 1, "mamba_d_state": 1, "mamba_d_conv": 2, "mamba_n_groups": 1,
            "mamba_proj_bias": False, "mamba_conv_bias": False}


def of_mlx(f, weights=None):
    """Names and values as mlx-lm saves them. `weights`: floats by GGUF's names, in place of the family's own."""
    module, _, names = module_of(f)
    out, joined = {}, {}
    for name, w in renamed(f, names, module == "deepseek_v2", weights):
        if module.startswith("gemma") and "norm" in name:
            w = w - 1
        if "_shexp" in name or ("shared_experts" in name and f.name == "granitemoe-shared"):
            joined[name] = w
            continue
        out[name] = w
    for name, gate in joined.items():
        if "gate_proj" in name:
            up = joined[name.replace("gate_proj", "up_proj")]
            out[name.replace("mlp.shared_experts.gate_proj", "shared_mlp.input_linear")] = np.concatenate([gate, up])
    return out


def of_hugging_face(f, weights):
    """mlx-lm's names and forms -> Hugging Face's, where these differ."""
    for name, w in weights.items():
        part = name.rsplit(".", 2)[-2]
        if f.name == "deepseek-v3" and part == "embed_q":
            rows = np.concatenate([w.swapaxes(1, 2), weights[name.replace("embed_q", "unembed_out")]], axis=1)
            yield name.replace("embed_q", "kv_b_proj"), rows.reshape(-1, rows.shape[-1])
        elif f.name == "deepseek-v3" and part == "unembed_out":
            continue
        elif f.arch == "gpt-oss" and ".experts." in name:
            yield from gpt_oss_experts(name, w, weights)
        elif f.arch == "granitemoe" and "switch_mlp" in name:
            if part == "gate_proj":
                both = np.concatenate([w, weights[name.replace("gate_proj", "up_proj")]], axis=1)
                yield name.replace("switch_mlp.gate_proj", "input_linear"), both
            elif part == "down_proj":
                yield name.replace("switch_mlp.down_proj", "output_linear"), w
        elif "switch_mlp" in name:
            for e, of_expert in enumerate(w):
                new = name.replace("switch_mlp", f"experts.{e}")
                yield (new.replace(part, MIXTRAL[part]) if f.name == "mixtral" else new), of_expert
        else:
            yield name, w


def gpt_oss_experts(name, w, weights):
    """Gate's and up's rows in turn, and matrices as MXFP4's blocks and scales."""
    if "up_proj" in name:
        return
    stem, kind = name.rsplit(".", 1)
    if "gate_proj" in name:
        up = weights[name.replace("gate_proj", "up_proj")]
        w = np.stack([w, up], axis=2).reshape(w.shape[0], 2 * w.shape[1], *w.shape[2:])
        stem = stem.replace("gate_proj", "gate_up_proj")
    if kind == "bias":
        yield stem + "_bias", w
        return
    codes, scales = mx.quantize(mx.array(w), group_size=32, bits=4, mode="mxfp4")
    yield stem + "_blocks", np.array(codes).view(np.uint8).reshape(*w.shape[:-1], w.shape[-1] // 32, 16)
    yield stem + "_scales", np.array(scales)


def write(folder, c, tensors):
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {k: w if isinstance(w, mx.array) else mx.array(np.ascontiguousarray(w)) for k, w in tensors.items()}
    mx.save_safetensors(str(folder / "model.safetensors"), arrays, metadata={"format": "mlx"})
    (folder / "config.json").write_text(json.dumps(c))


def quantised(f, folder, to, **how):
    """The folder as mlx-lm quantises it."""
    from mlx.utils import tree_flatten
    from mlx_lm.utils import quantize_model

    c = config(f)
    model = load(f, folder, c)
    # The same for every layer: models' own recipes have groups that tiny rows do not fill.
    model, q = quantize_model(model, c, how.pop("group_size"), how.pop("bits"), quant_predicate=lambda *_: True, **how)
    q["quantization_config"] = q["quantization"]
    write(to, q, dict(tree_flatten(model.parameters())))
    return q


def load(f, folder, c):
    """By mlx-lm, in float32."""
    from mlx_lm.utils import load_model

    model, _ = load_model(folder, model_config=judged_config(f, c))
    model.set_dtype(mx.float32)
    return model


class Unrounded:
    """`math` without rounding."""

    def __getattr__(self, name):
        return (lambda x: x) if name in ("floor", "ceil") else getattr(math, name)


def judge(f, folder, c, form=""):
    t = tokens(f).tolist()
    # gpt-oss asks for YaRN whose bounds are not rounded ("truncate"), which mlx-lm does not read.
    rope_utils.math = Unrounded() if form == UNROUNDED else math
    if f.name == "gemma2":  # mlx-lm has no window there
        t = t[: f.keys["attention.sliding_window"]]
    return np.array(load(f, folder, c)(mx.array([t]))[0]).astype(np.float64)


def multimodal(f, root, weights):
    """gemma3 and mistral3 as they come: the text model within another, whose vision tensors are not read."""
    outer = {"gemma3": "gemma3", "ministral3": "mistral3"}[f.name]
    text = {**config(f), "vocab_size": 64}
    c = {"model_type": outer, "text_config": text, "vocab_size": 64, "vision_config": {"hidden_size": 8}}
    inside = {"language_model." + k: w for k, w in weights.items()}
    inside["vision_tower.patch.weight"] = np.ones((2, 2), np.float32)
    inside["multi_modal_projector.linear.weight"] = np.ones((2, 2), np.float32)
    write(root, c, inside)
    return c


def forms(f, root):
    """(what it is, folder, config) of each form."""
    weights = of_mlx(f)
    c = config(f)
    write(root / "mlx", c, weights)
    yield "mlx", root / "mlx", c
    q = quantised(f, root / "mlx", root / "mlx4", group_size=32, bits=4)
    yield "mlx 4 bits", root / "mlx4", q
    hf = dict(of_hugging_face(f, weights))
    if f.arch == "gpt-oss":
        c = {**c, "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}}
    write(root / "hf", c, hf)
    yield "hf", root / "hf", c
    if f.arch == "gpt-oss":
        c = {**c, "rope_scaling": {**c["rope_scaling"], "truncate": False}}
        write(root / "unrounded", c, hf)
        yield UNROUNDED, root / "unrounded", c
    if f.name in ("gemma3", "ministral3"):
        yield "within a multimodal one", root / "outer", multimodal(f, root / "outer", weights)


def main():
    names = ["mlx", "mlx 4 bits", "hf", UNROUNDED, "within a multimodal one"]
    print("| model | " + " | ".join(names) + " |")
    print("|---|" + "---|" * len(names))
    for f in FAMILIES:
        if sys.argv[1:] and f.name not in sys.argv[1:] or module_of(f) is None:
            continue
        with tempfile.TemporaryDirectory() as root:
            cells = dict.fromkeys(names, "-")
            tokens(f).tofile(Path(root) / "tokens")
            for name, folder, c in forms(f, Path(root)):
                mine = ours(folder, Path(root) / "tokens", "high", 256 if "phi4" in f.name else None)
                cells[name] = cell(judge(f, folder, c, name), mine)
        print(f"| {f.name} | " + " | ".join(cells.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
