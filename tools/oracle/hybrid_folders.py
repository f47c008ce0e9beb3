"""The tiny hybrid models as folders, as MLX and as Hugging Face have them, read by us, beside mlx-lm, as a table:

    cmake --build build --target logits && python tools/oracle/hybrid_folders.py

KL(mlx-lm || ours), mean over 150 random tokens, and how often the likeliest token is the same.
"""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

import hybrid_judges
from families_table import LOGITS
from tiny_families import FAMILIES, VOCAB, tokens
from tiny_judges import arguments, compare, judge_mlx

TYPES = {"lfm2": "lfm2", "lfm2moe": "lfm2_moe", "granitehybrid": "granitemoehybrid", "qwen3next": "qwen3_next",
         "qwen35": "qwen3_5", "qwen35moe": "qwen3_5_moe"}
LESS_ONE = ("layernorm.weight", "model.norm.weight", "q_norm.weight", "k_norm.weight")
LFM2_MOE = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}


def config(f, hugging_face):
    c = {**arguments(f, hybrid_judges.arguments(f)), "model_type": TYPES[f.arch]}
    for key in ("time_step_limit", "rope_scaling"):
        c.pop(key, None)
    if not f.arch.startswith("qwen"):
        c.pop("head_dim")
    if f.arch == "qwen3next":
        c.pop("rope_parameters")
    if f.arch.startswith("qwen") and hugging_face:
        c["layer_types"] = ["linear_attention" if (i + 1) % 4 else "full_attention" for i in range(f.layers)]
    if f.name == "granitehybrid" and hugging_face:
        c.update(num_local_experts=0, shared_intermediate_size=c["intermediate_size"])
    return {"model_type": c["model_type"], "text_config": c} if f.arch == "qwen35" else c


def hugging_face(f, weights):
    """MLX's names and forms -> Hugging Face's."""
    for name, w in weights.items():
        up = weights.get(name.replace("gate_proj", "up_proj"))
        if "conv.conv" in name or "conv1d.weight" in name:
            w = w.swapaxes(1, 2)
        if f.arch.startswith("qwen") and name.endswith(LESS_ONE):
            w = w - 1
        outer = name.replace("language_model.model.", "model.language_model.").replace("language_model.lm_head", "lm_head")
        part = name.rsplit(".", 2)[-2]
        stacked, projection = "switch_mlp" in name, part in LFM2_MOE
        if stacked and f.arch in ("lfm2moe", "qwen3next"):
            for e, of_expert in enumerate(w):
                new = name.replace("switch_mlp", f"experts.{e}")
                yield (new.replace(part, LFM2_MOE[part]) if f.arch == "lfm2moe" else new), of_expert
        elif projection and "feed_forward" in name and f.arch == "lfm2moe":
            yield name.replace(part, LFM2_MOE[part]), w
        elif projection and f.arch == "granitehybrid" or stacked and f.arch == "qwen35moe":
            if part == "up_proj":
                continue
            fused = np.concatenate([w, up], axis=-2) if part == "gate_proj" else w
            if f.arch == "qwen35moe":
                yield outer.replace("switch_mlp", "experts").replace("gate_proj", "gate_up_proj").removesuffix(".weight"), fused
                continue
            inner = "input_linear" if part == "gate_proj" else "output_linear"
            yield name.replace("switch_mlp." if stacked else "mlp.", "" if stacked else "shared_mlp.").replace(part, inner), fused
        else:
            yield outer, w


def ours(folder, f):
    tokens(f).tofile(folder / "tokens")
    run = subprocess.run([LOGITS, folder, folder / "tokens", folder / "out", "high"], capture_output=True, text=True)
    if run.returncode != 0:
        return run.stderr.strip()
    return np.fromfile(folder / "out", dtype=np.float32).reshape(-1, VOCAB).astype(np.float64)


def main():
    print("| model | as MLX has it | as Hugging Face has it |")
    print("|---|---|---|")
    for f in FAMILIES:
        if f.name not in hybrid_judges.MODULES:
            continue
        judge = judge_mlx(f, tokens(f).tolist())
        cells = []
        for hf in (False, True):
            weights = dict(hybrid_judges.renamed(f))
            with tempfile.TemporaryDirectory() as name:
                tensors = {k: np.ascontiguousarray(w, dtype=np.float32) for k, w in (hugging_face(f, weights) if hf else weights.items())}
                save_file(tensors, Path(name) / "model.safetensors")
                (Path(name) / "config.json").write_text(json.dumps(config(f, hf)))
                got = ours(Path(name), f)
            cells.append(got if isinstance(got, str) else "{:.1e}, {:.3f}".format(*compare(judge, got)))
        print(f"| {f.name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
