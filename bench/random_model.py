"""A model of random weights with a real model's tokenizer: it has no habits, so nothing but the grammar makes its calls.

    python bench/random_model.py SOURCE.gguf OUT.gguf

A tiny Llama (2 layers, 64 wide) in Q8_0; the tokenizer's metadata is copied byte for byte out of SOURCE. The output matrix is scaled so that the
logits spread by about one: every token is about as likely as any other.
"""

import mmap
import pathlib
import random
import struct
import sys

WIDTH, HIDDEN, HEADS, LAYERS, CONTEXT = 64, 128, 2, 2, 32768
F32, Q8_0 = 0, 8
Q8_BLOCK = 32
ALIGNMENT = 32
STRING, ARRAY = 8, 9
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


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


def write_random_model(source_path, path, seed=1):
    with open(source_path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        fields = Fields(data)
    source, vocab = random.Random(seed), fields.tokens
    metadata = [string("general.architecture") + struct.pack("<I", STRING) + string("llama")]
    metadata += [u32("general.alignment", ALIGNMENT), u32("llama.block_count", LAYERS), u32("llama.embedding_length", WIDTH)]
    metadata += [u32("llama.feed_forward_length", HIDDEN), u32("llama.attention.head_count", HEADS), u32("llama.attention.head_count_kv", HEADS)]
    metadata += [u32("llama.context_length", CONTEXT), f32("llama.attention.layer_norm_rms_epsilon", 1e-5), f32("llama.rope.freq_base", 10000.0)]
    metadata += [raw for key, raw in fields.raw.items() if key.startswith("tokenizer.")]
    tensors = []  # name, rows, columns, type, bytes

    def add(name, rows, columns, deviation):
        tensors.append((name, rows, columns, Q8_0, matrix(source, rows * columns, deviation)))

    def norm(name):
        tensors.append((name, 0, WIDTH, F32, struct.pack(f"<{WIDTH}f", *[1.0] * WIDTH)))

    add("token_embd.weight", vocab, WIDTH, 1.0)
    add("output.weight", vocab, WIDTH, WIDTH**-0.5)
    norm("output_norm.weight")
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        norm(block + "attn_norm.weight")
        norm(block + "ffn_norm.weight")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"{block}{part}.weight", WIDTH, WIDTH, WIDTH**-0.5)
        add(block + "ffn_gate.weight", HIDDEN, WIDTH, WIDTH**-0.5)
        add(block + "ffn_up.weight", HIDDEN, WIDTH, WIDTH**-0.5)
        add(block + "ffn_down.weight", WIDTH, HIDDEN, HIDDEN**-0.5)
    infos, offset = b"", 0
    for name, rows, columns, kind, raw in tensors:
        shape = (columns, rows) if rows else (columns,)
        infos += string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
        offset += -(-len(raw) // ALIGNMENT) * ALIGNMENT
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)) + b"".join(metadata) + infos
    with open(path, "wb") as out:
        out.write(head + b"\0" * (-len(head) % ALIGNMENT))
        for *_, raw in tensors:
            out.write(raw + b"\0" * (-len(raw) % ALIGNMENT))
    return pathlib.Path(path)


if __name__ == "__main__":
    print(write_random_model(sys.argv[1], sys.argv[2]))
