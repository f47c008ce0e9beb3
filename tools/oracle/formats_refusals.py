"""What is refused, each as a file or folder made here, and the line that the program prints of it."""

import json
import subprocess
import tempfile
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from safetensors.numpy import save_file

from families_table import LOGITS

FOLDERS = {
    "GPTQ": {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}},
    "AWQ": {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"}},
    "bitsandbytes": {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
    "HQQ": {"quantization_config": {"quant_method": "hqq"}},
    "modelopt (NVFP4)": {"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}},
    "compressed-tensors, int4": {"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized"}},
    "MLX, a mode of another name": {"quantization": {"group_size": 32, "bits": 4, "mode": "mxfp6"}},
    "MLX, 7 bits": {"quantization": {"group_size": 64, "bits": 7}},
    "an unknown model_type": {"model_type": "mamba"},
    "phi3small": {"model_type": "phi3small"},
    "mistral3 with Mistral 4 in it": {"model_type": "mistral3", "text_config": {"model_type": "mistral4"}},
    "an embedding model (EmbeddingGemma)": {"model_type": "gemma3_text", "use_bidirectional_attention": True},
    "gpt-oss with another clamp": {"model_type": "gpt_oss", "swiglu_limit": 5.0},
    "DeepSeek V3 with another router": {"model_type": "deepseek_v3", "scoring_func": "softmax"},
    "dynamic NTK": {"rope_scaling": {"type": "dynamic", "factor": 2.0}},
    "windows in Qwen2": {"model_type": "qwen2", "use_sliding_window": True},
    "another activation": {"hidden_act": "relu"},
}


def refusal(path):
    tokens = Path(path).parent / "tokens"
    np.zeros(1, dtype=np.int32).tofile(tokens)
    run = subprocess.run([LOGITS, path, tokens, Path(path).parent / "out"], capture_output=True, text=True)
    line = run.stderr.strip()
    if run.returncode == 0 or "\n" in line or not line:
        raise SystemExit(f"{path} is not refused in one line: {line}")
    return line.replace(str(path), "MODEL")


def gguf_file(path, kind, arch="llama", data=None):
    writer = gguf.GGUFWriter(str(path), arch)
    writer.add_uint32(f"{arch}.block_count", 1)
    writer.add_tensor("token_embd.weight", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def of_gguf(root):
    for kind in (T.Q1_0, T.I8, T.I16, T.I32, T.I64, T.F64, T.Q8_1, T.Q8_K):
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        data = np.zeros((1, size * max(1, 256 // elements)), dtype=np.uint8)
        yield f"GGUF, {kind.name}", gguf_file(root / f"{kind.name}.gguf", kind, data=data)
    whole = gguf_file(root / "whole.gguf", None, "mamba", np.zeros((1, 256), dtype=np.float32))
    yield "GGUF, an unknown architecture", whole
    old = root / "old.gguf"
    old.write_bytes(whole.read_bytes()[:4] + b"\x01\0\0\0" + whole.read_bytes()[8:])
    yield "GGUF, version 1", old
    cut = root / "cut.gguf"
    cut.write_bytes(whole.read_bytes()[:-512])
    yield "GGUF, cut off", cut
    other = root / "other.bin"
    other.write_bytes(b"PK\x03\x04" + bytes(60))
    yield "another file", other


def of_folders(root):
    for number, (what, fields) in enumerate(FOLDERS.items()):
        folder = root / str(number)
        folder.mkdir()
        tensors = {"model.norm.weight": np.zeros(64, np.float32)}
        if "quantization" in fields:
            tensors = {"lm_head.weight": np.zeros((2, 8), np.uint32), "lm_head.scales": np.zeros((2, 1), np.float16),
                       "lm_head.biases": np.zeros((2, 1), np.float16)}
        save_file(tensors, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps({"model_type": "llama", **fields}))
        yield f"folder, {what}", folder
    plain = root / "plain"
    plain.mkdir()
    (plain / "config.json").write_text('{"model_type": "gpt_oss"}')
    save_file({"model.layers.0.mlp.experts.gate_up_proj": np.zeros((1, 32, 4), np.float32)}, plain / "model.safetensors")
    yield "folder, gpt-oss whose experts are not quantised", plain
    extra = root / "extra"
    extra.mkdir()
    (extra / "config.json").write_text('{"model_type": "llama", "quantization": {"group_size": 16, "bits": 4, "mode": "nvfp4"}}')
    save_file({"lm_head.weight": np.zeros((2, 8), np.uint32), "lm_head.scales": np.zeros((2, 4), np.uint8),
               "lm_head.global_scale": np.zeros(1, np.float32)}, extra / "model.safetensors")
    yield "folder, MLX with a global_scale", extra
    torch = root / "torch"
    torch.mkdir()
    (torch / "config.json").write_text('{"model_type": "llama"}')
    (torch / "pytorch_model.bin").write_bytes(b"PK")
    yield "folder, weights of PyTorch's own format", torch


def refusals():
    """(what, the line) of each."""
    with tempfile.TemporaryDirectory() as root:
        return [(what, refusal(path)) for of in (of_gguf, of_folders) for what, path in of(Path(root))]


if __name__ == "__main__":
    for what, line in refusals():
        print(f"{what}: {line}")
