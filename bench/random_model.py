"""A model of random weights with a real model's tokenizer: it has no habits, so nothing but the grammar makes its calls.

    python bench/random_model.py SOURCE.gguf OUT.gguf [TYPE MEGABYTES]

A tiny Llama (2 layers, 64 wide) in Q8_0; the tokenizer's metadata is copied byte for byte out of SOURCE. The output matrix is scaled so that the
logits spread by about one: every token is about as likely as any other. With TYPE, one of GGUF's, a Llama 4096 wide with all of its matrices of that
type and as many layers as make MEGABYTES: what it says is noise, but it takes the memory and time that a real one takes.
"""

import mmap
import pathlib
import random
import struct
import sys
from dataclasses import dataclass

CONTEXT = 32768
F32, Q8_0 = 0, 8
Q8_BLOCK = 32
ALIGNMENT = 32
STRING, ARRAY = 8, 9
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


@dataclass
class Shape:
    width: int = 64
    hidden: int = 128
    heads: int = 2
    kv_heads: int = 2
    layers: int = 2

    def matrices(self):
        """(name, rows, columns) of a layer."""
        kv = self.width // self.heads * self.kv_heads
        attention = [("attn_q", self.width), ("attn_k", kv), ("attn_v", kv), ("attn_output", self.width)]
        inner = [("ffn_gate", self.hidden, self.width), ("ffn_up", self.hidden, self.width), ("ffn_down", self.width, self.hidden)]
        return [(name, rows, self.width) for name, rows in attention] + inner


# Of each type: its number, elements and bytes of a block, and where f16 scales lie in it.
TYPES = {
    "F32": (0, 1, 4, []), "F16": (1, 1, 2, [0]), "BF16": (30, 1, 2, []), "Q4_0": (2, 32, 18, [0]), "Q4_1": (3, 32, 20, [0, 2]),
    "Q5_0": (6, 32, 22, [0]), "Q5_1": (7, 32, 24, [0, 2]), "Q8_0": (8, 32, 34, [0]), "Q2_K": (10, 256, 84, [80, 82]), "Q3_K": (11, 256, 110, [108]),
    "Q4_K": (12, 256, 144, [0, 2]), "Q5_K": (13, 256, 176, [0, 2]), "Q6_K": (14, 256, 210, [208]), "IQ1_S": (19, 256, 50, [0]),
    "IQ1_M": (29, 256, 56, []), "IQ2_XXS": (16, 256, 66, [0]), "IQ2_XS": (17, 256, 74, [0]), "IQ2_S": (22, 256, 82, [0]),
    "IQ3_XXS": (18, 256, 98, [0]), "IQ3_S": (21, 256, 110, [0]), "IQ4_NL": (20, 32, 18, [0]), "IQ4_XS": (23, 256, 136, [0]),
    "TQ1_0": (34, 256, 54, [52]), "TQ2_0": (35, 256, 66, [64]), "MXFP4": (39, 32, 17, []), "NVFP4": (40, 64, 36, []),
}  # fmt: skip
BIG = Shape(width=4096, hidden=14336, heads=32, kv_heads=4)
CHUNK = 1 << 20  # random blocks are made once and then repeated: memory does not mind


class Fields:
    """The metadata of a GGUF file (version 3), each as the bytes that it has there."""

    def __init__(self, data):
        self.data, self.at = data, 8
        _, count = self.take("<QQ")
        self.raw, self.tokens = {}, 0
        for _ in range(count):
            start = self.at
            key = self.string().decode()
            entries = self.skip(self.take("<I")[0])
            if key == "tokenizer.ggml.tokens":
                self.tokens = entries
            self.raw[key] = bytes(data[start : self.at])

    def take(self, layout):
        values = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return values

    def string(self):
        (size,) = self.take("<Q")
        self.at += size
        return self.data[self.at - size : self.at]

    def skip(self, kind):
        """Entries of what was skipped."""
        if kind == STRING:
            self.string()
            return 1
        if kind != ARRAY:
            self.at += SIZES[kind]
            return 1
        inner, count = self.take("<IQ")
        if inner in SIZES:
            self.at += SIZES[inner] * count
        else:
            for _ in range(count):
                self.skip(inner)
        return count


def string(text):
    return struct.pack("<Q", len(text.encode())) + text.encode()


def u32(key, value):
    return string(key) + struct.pack("<II", 4, value)


def f32(key, value):
    return string(key) + struct.pack("<If", 6, value)


def matrix(source, elements, deviation):
    """Q8_0 blocks of values uniform around nought."""
    scale = struct.pack("<e", deviation * 3**0.5 / 128)
    values = source.randbytes(elements)
    return b"".join(scale + values[at : at + Q8_BLOCK] for at in range(0, elements, Q8_BLOCK))


def random_blocks(source, kind):
    """About CHUNK bytes of whole blocks with small finite scales."""
    _, _, size, scales = TYPES[kind]
    data = bytearray(source.randbytes(CHUNK // size * size))
    for at in range(0, len(data), size):
        for scale in scales:
            data[at + scale + 1] = 0x10 | data[at + scale + 1] & 0x83  # f16 of 2^-11 to 2^-10
        if kind in ("F32", "BF16"):
            data[at + size - 1] = 0x3C | data[at + size - 1] & 0x80
        elif kind == "IQ1_M":
            data[at + 55] = data[at + 55] & 0x0F | 0x10  # the upper bits of its f16, which lies in four words
        elif kind == "MXFP4":
            data[at] = 110 + data[at] % 8
        elif kind == "NVFP4":
            for part in range(4):
                data[at + part] &= 0x1F
    return bytes(data)


def metadata_of(shape, fields):
    out = [string("general.architecture") + struct.pack("<I", STRING) + string("llama")]
    out += [u32("general.alignment", ALIGNMENT), u32("llama.block_count", shape.layers), u32("llama.embedding_length", shape.width)]
    out += [u32("llama.feed_forward_length", shape.hidden), u32("llama.attention.head_count", shape.heads)]
    out += [u32("llama.attention.head_count_kv", shape.kv_heads), u32("llama.context_length", CONTEXT)]
    out += [f32("llama.attention.layer_norm_rms_epsilon", 1e-5), f32("llama.rope.freq_base", 10000.0)]
    return out + [raw for key, raw in fields.raw.items() if key.startswith("tokenizer.")]


def write_file(path, metadata, tensors):
    """tensors: (name, rows or 0, columns, type's number, bytes of data, function that yields the data in pieces)"""
    infos, offset = b"", 0
    for name, rows, columns, kind, size, _ in tensors:
        shape = (columns, rows) if rows else (columns,)
        infos += string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
        offset += -(-size // ALIGNMENT) * ALIGNMENT
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)) + b"".join(metadata) + infos
    with open(path, "wb") as out:
        out.write(head + b"\0" * (-len(head) % ALIGNMENT))
        for *_, size, pieces in tensors:
            for piece in pieces():
                out.write(piece)
            out.write(b"\0" * (-size % ALIGNMENT))
    return pathlib.Path(path)


def write_model(path, shape, fields, number, matrix_of):
    """matrix_of(rows, columns, deviation): a matrix's bytes and a function that yields them."""
    tensors = []

    def add(name, rows, columns, deviation):
        tensors.append((name, rows, columns, number, *matrix_of(rows, columns, deviation)))

    def norm(name):
        raw = struct.pack(f"<{shape.width}f", *[1.0] * shape.width)
        tensors.append((name, 0, shape.width, F32, len(raw), lambda: [raw]))

    add("token_embd.weight", fields.tokens, shape.width, 1.0)
    add("output.weight", fields.tokens, shape.width, shape.width**-0.5)
    norm("output_norm.weight")
    for layer in range(shape.layers):
        norm(f"blk.{layer}.attn_norm.weight")
        norm(f"blk.{layer}.ffn_norm.weight")
        for name, rows, columns in shape.matrices():
            add(f"blk.{layer}.{name}.weight", rows, columns, columns**-0.5)
    return write_file(path, metadata_of(shape, fields), tensors)


def read_fields(path):
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return Fields(data)


def write_random_model(source_path, path, seed=1):
    source = random.Random(seed)

    def matrix_of(rows, columns, deviation):
        raw = matrix(source, rows * columns, deviation)
        return len(raw), lambda: [raw]

    return write_model(path, Shape(), read_fields(source_path), Q8_0, matrix_of)


def repeated(chunk, size):
    """`size` bytes that repeat the chunk."""
    for at in range(0, size, len(chunk)):
        yield chunk[: size - at]


def write_big_model(source_path, path, kind, megabytes, seed=1):
    number, elements, block, _ = TYPES[kind]
    fields = read_fields(source_path)
    chunk = random_blocks(random.Random(seed), kind)

    def size_of(rows, columns):
        return rows * columns // elements * block

    each = sum(size_of(rows, columns) for _, rows, columns in BIG.matrices())
    layers = max(1, round((megabytes * 1e6 - 2 * size_of(fields.tokens, BIG.width)) / each))

    def matrix_of(rows, columns, _):
        size = size_of(rows, columns)
        return size, lambda: repeated(chunk, size)

    return write_model(path, Shape(BIG.width, BIG.hidden, BIG.heads, BIG.kv_heads, layers), fields, number, matrix_of)


if __name__ == "__main__":
    if len(sys.argv) > 3:
        print(write_big_model(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))
    else:
        print(write_random_model(sys.argv[1], sys.argv[2]))
