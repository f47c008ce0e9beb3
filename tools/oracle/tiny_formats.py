"""The tiny families' weights in every format: GGUF's types by llama.cpp's own quantiser, MLX's modes by mlx-lm, Hugging Face's
types, each with what an independent reader (the `gguf` package, mlx) makes of it."""

import ctypes
import json
import struct
from pathlib import Path

import gguf
import mlx.core as mx
import mlx.nn as nn
import numpy as np
from gguf import GGMLQuantizationType as T

import family_folders
import hybrid_folders
import hybrid_judges
from tiny_families import hashes

# By the rows that they want.
GGUF = {64: [T.F32, T.F16, T.BF16, T.Q8_0, T.Q5_1, T.Q5_0, T.Q4_1, T.Q4_0, T.IQ4_NL, T.MXFP4, T.NVFP4],
        128: [],
        256: [T.Q6_K, T.Q5_K, T.Q4_K, T.Q3_K, T.Q2_K, T.TQ2_0, T.TQ1_0, T.IQ4_XS, T.IQ3_S, T.IQ3_XXS, T.IQ2_S, T.IQ2_XS,
              T.IQ2_XXS, T.IQ1_M, T.IQ1_S]}
BITS = (8, 6, 5, 4, 3, 2)
MODES = {"mxfp8": (8, 32), "mxfp4": (4, 32), "nvfp4": (4, 16)}
MLX = {64: [f"{b} bits, {g}" for g in (32, 64) for b in BITS] + list(MODES), 128: [f"{b} bits, 128" for b in BITS], 256: []}
HUGGING_FACE = {64: ["F32", "F16", "BF16", "FP8"], 128: [], 256: []}
POOL = 512  # blocks


class Quantiser:
    """llama.cpp's, of its shared library."""

    def __init__(self):
        import llama_cpp

        library = next((Path(llama_cpp.__file__).parent / "lib").glob("libggml-base.*"))
        self.chunk = ctypes.CDLL(str(library)).ggml_quantize_chunk
        self.chunk.restype = ctypes.c_size_t
        self.chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64,
                               ctypes.c_void_p]
        self.pools = {}

    def blocks(self, kind, values):
        """(rows, columns) -> bytes; every weight as important as every other, where a type asks for that."""
        rows, columns = values.shape
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        out = np.zeros((rows, columns // elements * size), dtype=np.uint8)
        values, even = np.ascontiguousarray(values, dtype=np.float32), np.ones(columns, dtype=np.float32)
        wrote = self.chunk(int(kind), values.ctypes.data, out.ctypes.data, 0, rows, columns, even.ctypes.data)
        assert wrote == out.size, f"llama.cpp does not quantise to {kind.name}"
        return out

    def pool(self, kind, spread):
        """Blocks of weights of that spread, and what the `gguf` package reads in them. Some types take long to make."""
        if (kind, spread) not in self.pools:
            elements, _ = gguf.GGML_QUANT_SIZES[kind]
            u = hashes(f"{kind.name} of {spread}", POOL * elements) >> np.uint64(40)
            values = spread * (u.astype(np.float32) / np.float32(2**23) - 1)
            raw = self.blocks(kind, values.reshape(-1, 256)).reshape(POOL, -1)
            self.pools[kind, spread] = raw, gguf.quants.dequantize(raw, kind).reshape(POOL, elements)
        return self.pools[kind, spread]

    def stored(self, t, kind):
        """(type, bytes or floats, floats) of a matrix; Q8_0 where its rows are no whole blocks."""
        floats = t.floats()
        if kind == T.F32:
            return kind, floats, floats
        if kind == T.F16:
            half = floats.astype(np.float16)
            return kind, half, half.astype(np.float32)
        if kind == T.BF16:
            raw = gguf.quants.quantize(floats, kind)
            return kind, raw, gguf.quants.dequantize(raw, kind).reshape(t.shape)
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        if t.shape[-1] % elements != 0 or kind == T.Q8_0:
            raw = t.bytes_q8()
            return T.Q8_0, raw, floats
        raw, values = self.pool(kind, float(t.spread))
        chosen = hashes(f"blocks of {t.name}", floats.size // elements) % np.uint64(POOL)
        return kind, raw[chosen].reshape(*t.shape[:-1], -1), values[chosen].reshape(t.shape)


def write_gguf(f, path, kind, quantiser):
    """Floats by GGUF's names, as the `gguf` package reads them."""
    weights = f.weights()

    def stored(t):
        kept, data, weights[t.name] = quantiser.stored(t, kind)
        return kept, data

    f.write(path, False, stored)
    return weights


def is_hybrid(f):
    return f.name in hybrid_judges.MODULES


def folder_of(f, hugging_face):
    """config.json and tensors as floats, or None where mlx-lm has no such model."""
    if is_hybrid(f):
        weights = dict(hybrid_judges.renamed(f))
        return hybrid_folders.config(f, hugging_face), dict(hybrid_folders.hugging_face(f, weights)) if hugging_face else weights
    if family_folders.module_of(f) is None:
        return None
    weights = family_folders.of_mlx(f)
    c = family_folders.config(f)
    if hugging_face and f.arch == "gpt-oss":
        c["quantization_config"] = {"quant_method": "mxfp4"}
    return c, dict(family_folders.of_hugging_face(f, weights)) if hugging_face else weights


def mlx_how(name):
    if name in MODES:
        bits, group = MODES[name]
        return {"mode": name, "bits": bits, "group_size": group}
    bits, group = name.split(" bits, ")
    return {"mode": "affine", "bits": int(bits), "group_size": int(group)}


def is_matrix(name, w):
    """Of those that FP8 models have in 8 bits: not embedding, output layer, router or what is stacked."""
    parts = ("_proj.weight", "_linear.weight", ".w1.weight", ".w2.weight", ".w3.weight")
    return w.ndim == 2 and name.endswith(parts) and "router" not in name and w.shape[1] % 32 == 0


def fp8(w):
    """e4m3 codes and scales of blocks of 128 x 128, and the floats that they stand for."""
    rows, columns = w.shape
    by = [np.repeat(np.arange(-(-n // 128)), 128)[:n] for n in w.shape]
    scales = np.zeros((-(-rows // 128), -(-columns // 128)), dtype=np.float32)
    np.maximum.at(scales, (by[0][:, None], by[1][None, :]), np.abs(w))
    scales = (scales / 448).astype(np.float32)
    spread = scales[by[0][:, None], by[1][None, :]]
    codes = mx.to_fp8(mx.array(w / spread))
    return np.array(codes), scales, np.array(mx.from_fp8(codes, dtype=mx.float32)) * spread


def save(path, tensors):
    """A safetensors file of (dtype, array) by name."""
    header, at = {}, 0
    for name, (dtype, w) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(w.shape), "data_offsets": [at, at + w.nbytes]}
        at += w.nbytes
    head = json.dumps(header).encode()
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(head)) + head)
        for _, w in tensors.values():
            out.write(np.ascontiguousarray(w).tobytes())


def write_hugging_face(f, folder, as_floats, name):
    """The folder in a type, and another with the floats that its tensors stand for, for mlx-lm. False where there is none."""
    c, weights = folder_of(f, True)
    if name == "FP8" and "quantization_config" in c:
        return False
    stored, floats = {}, {}
    for key, w in weights.items():
        w = np.ascontiguousarray(w)
        if w.dtype == np.uint8:
            stored[key], floats[key] = ("U8", w), w
        elif name == "FP8" and is_matrix(key, w):
            codes, scales, floats[key] = fp8(w)
            stored[key], stored[key.replace(".weight", ".weight_scale_inv")] = ("F8_E4M3", codes), ("F32", scales)
        elif name == "F16":
            half = w.astype(np.float16)
            stored[key], floats[key] = ("F16", half), half.astype(np.float32)
        elif name in ("BF16", "FP8"):
            half = gguf.quants.quantize(w.reshape(1, -1), T.BF16)
            floats[key] = gguf.quants.dequantize(half, T.BF16).reshape(w.shape)
            stored[key] = ("BF16", half.view(np.uint16).reshape(w.shape))
        else:
            stored[key], floats[key] = ("F32", w.astype(np.float32)), w
    if name == "FP8":
        c = {**c, "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "model.safetensors", stored)
    (folder / "config.json").write_text(json.dumps(c))
    plain = {k: v for k, v in c.items() if name != "FP8" or k != "quantization_config"}
    family_folders.write(as_floats, plain, floats)
    return True


def write_mlx(f, folder, plain, name):
    """`plain` has the folder of floats."""
    from mlx.utils import tree_flatten
    from mlx_lm.utils import quantize_model

    how = mlx_how(name)
    c = json.loads((plain / "config.json").read_text())
    model = load(f, plain)
    fits = lambda _, m: m.weight.shape[-1] % how["group_size"] == 0
    model, q = quantize_model(model, c, how["group_size"], how["bits"], how["mode"], quant_predicate=fits)
    q["quantization_config"] = q["quantization"]
    family_folders.write(folder, q, dict(tree_flatten(model.parameters())))


def write_dequantized(folder, as_floats, name):
    """MLX's folder as the float32 that mx.dequantize makes of it."""
    how = mlx_how(name)
    weights = mx.load(str(folder / "model.safetensors"))

    def floats(key, w):
        module, _, part = key.rpartition(".")
        if part != "weight" or f"{module}.scales" not in weights:
            return w.astype(mx.float32)
        stored = [weights.get(f"{module}.{p}") for p in ("weight", "scales", "biases")]
        return mx.dequantize(*stored, **how, dtype=mx.float32)

    plain = {key: floats(key, w) for key, w in weights.items() if not key.endswith((".scales", ".biases"))}
    c = json.loads((folder / "config.json").read_text())
    c = {key: value for key, value in c.items() if key not in ("quantization", "quantization_config")}
    family_folders.write(as_floats, c, {key: np.array(w) for key, w in plain.items()})


class FloatEmbedding(nn.QuantizedEmbedding):
    """MLX gives rows in mxfp8, mxfp4 and nvfp4 as bfloat16, which holds them exactly, in a model of any type: what is computed of them
    before something in float32 comes in (a norm's weight) would be rounded to bfloat16."""

    def __call__(self, x):
        return super().__call__(x).astype(mx.float32)


def load(f, folder, as_it_is=False):
    """By mlx-lm, in float32; `as_it_is`: but for what MLX makes bfloat16 of by itself."""
    from mlx_lm.utils import load_model

    c = json.loads((folder / "config.json").read_text())
    more = {"time_step_limit": (0.0, float("inf"))} if f.arch == "granitehybrid" else family_folders.judged_config(f, c)
    model, _ = load_model(folder, model_config=more)
    model.set_dtype(mx.float32)
    for _, module in model.named_modules():
        if type(module) is nn.QuantizedEmbedding and not as_it_is:
            module.__class__ = FloatEmbedding
    return model
