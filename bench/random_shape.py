"""A model of a real one's shape with random 4-bit weights, for speed and memory: what it says means nothing.

    python bench/random_shape.py llama-1b|llama-3b|qwen3-30b-a3b TOKENIZER.gguf OUT.gguf

Q4_K throughout, but for a Q6_K output matrix, as Q4_K_M files have it; the tokenizer's metadata comes from TOKENIZER.gguf, and the vocabulary with
it. The weights repeat every some megabytes, which neither speed nor memory depends on.
"""

import dataclasses
import mmap
import pathlib
import random
import struct
import sys

from random_model import ALIGNMENT, F32, STRING, Fields, f32, string, u32

Q4_K, Q6_K = 12, 14
BLOCK = 256
BYTES = {Q4_K: 144, Q6_K: 210}
PATTERN_BLOCKS = 16384


@dataclasses.dataclass(frozen=True)
class Shape:
    architecture: str
    layers: int
    width: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    experts: int = 0
    experts_used: int = 0


SHAPES = {
    "llama-1b": Shape("llama", 16, 2048, 8192, 32, 8, 64),
    "llama-3b": Shape("llama", 28, 3072, 8192, 24, 8, 128),
    "qwen3-30b-a3b": Shape("qwen3moe", 48, 2048, 768, 32, 4, 128, experts=128, experts_used=8),
}


def pattern(kind, columns, source):
    """Blocks of values spread like those of a trained matrix, one over the root of its columns."""
    step = struct.pack("<e", columns**-0.5 / (32 * 8 if kind == Q4_K else 127 * 16))
    blocks = []
    for _ in range(PATTERN_BLOCKS):
        if kind == Q4_K:
            # Scales of 32 and minima of 8 times 32: codes around eight.
            scales = bytes([32] * 4 + [32] * 4 + [0x00] * 4)
            blocks.append(step + struct.pack("<e", struct.unpack("<e", step)[0] * 7.5) + scales + source.randbytes(128))
        else:
            blocks.append(source.randbytes(192) + source.randbytes(16) + step)
    return b"".join(blocks)


def tensors_of(shape, vocab):
    """(name, shape with the columns first, type)"""
    q, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    yield "token_embd.weight", (shape.width, vocab), Q4_K
    yield "output.weight", (shape.width, vocab), Q6_K
    yield "output_norm.weight", (shape.width,), F32
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", (shape.width,), F32
        yield block + "ffn_norm.weight", (shape.width,), F32
        yield block + "attn_q.weight", (shape.width, q), Q4_K
        yield block + "attn_k.weight", (shape.width, kv), Q4_K
        yield block + "attn_v.weight", (shape.width, kv), Q4_K
        yield block + "attn_output.weight", (q, shape.width), Q4_K
        if shape.experts:
            yield block + "attn_q_norm.weight", (shape.head_dim,), F32
            yield block + "attn_k_norm.weight", (shape.head_dim,), F32
            yield block + "ffn_gate_inp.weight", (shape.width, shape.experts), F32
        suffix, stack = ("_exps", (shape.experts,)) if shape.experts else ("", ())
        yield f"{block}ffn_gate{suffix}.weight", (shape.width, shape.hidden, *stack), Q4_K
        yield f"{block}ffn_up{suffix}.weight", (shape.width, shape.hidden, *stack), Q4_K
        yield f"{block}ffn_down{suffix}.weight", (shape.hidden, shape.width, *stack), Q4_K


def size_of(extents, kind):
    elements = 1
    for extent in extents:
        elements *= extent
    return elements * 4 if kind == F32 else elements // BLOCK * BYTES[kind]


def metadata_of(shape, fields):
    name = shape.architecture
    numbers = {"block_count": shape.layers, "embedding_length": shape.width, "feed_forward_length": shape.hidden, "context_length": 32768,
               "attention.head_count": shape.heads, "attention.head_count_kv": shape.kv_heads, "attention.key_length": shape.head_dim,
               "attention.value_length": shape.head_dim, "rope.dimension_count": shape.head_dim}
    if shape.experts:
        numbers |= {"expert_count": shape.experts, "expert_used_count": shape.experts_used, "expert_feed_forward_length": shape.hidden}
    out = [string("general.architecture") + struct.pack("<I", STRING) + string(name), u32("general.alignment", ALIGNMENT)]
    out += [u32(f"{name}.{key}", value) for key, value in numbers.items()]
    out += [f32(f"{name}.attention.layer_norm_rms_epsilon", 1e-6), f32(f"{name}.rope.freq_base", 1e6)]
    return out + [raw for key, raw in fields.raw.items() if key.startswith("tokenizer.")]


def write_weights(out, name, extents, kind, patterns, source):
    size = size_of(extents, kind)
    if kind == F32:
        elements = size // 4
        values = [1.0] * elements if "norm" in name else [source.gauss(0, extents[0] ** -0.5) for _ in range(elements)]
        out.write(struct.pack(f"<{elements}f", *values))
    else:
        key = kind, extents[0]
        if key not in patterns:
            patterns[key] = pattern(*key, source)
        blocks = patterns[key]
        for at in range(0, size, len(blocks)):
            out.write(blocks[: min(len(blocks), size - at)])
    out.write(b"\0" * (-size % ALIGNMENT))


def write_random_shape(name, tokenizer_path, path, seed=1):
    with open(tokenizer_path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        fields = Fields(data)
    shape, source, patterns = SHAPES[name], random.Random(seed), {}
    metadata = metadata_of(shape, fields)
    tensors = list(tensors_of(shape, fields.tokens))
    infos, offset = b"", 0
    for tensor, extents, kind in tensors:
        infos += string(tensor) + struct.pack(f"<I{len(extents)}QIQ", len(extents), *extents, kind, offset)
        offset += -(-size_of(extents, kind) // ALIGNMENT) * ALIGNMENT
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)) + b"".join(metadata) + infos
    part = pathlib.Path(f"{path}.part")
    with part.open("wb") as out:
        out.write(head + b"\0" * (-len(head) % ALIGNMENT))
        for tensor, extents, kind in tensors:
            write_weights(out, tensor, extents, kind, patterns, source)
    return part.rename(path)


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in SHAPES:
        sys.exit(__doc__)
    print(write_random_shape(*sys.argv[1:]))
