"""A folder of safetensors of random weights, quantised as MLX does it, or in Hugging Face's FP8: random_model.py's big Llama in another format.

    python bench/random_folder.py SOURCE.gguf OUT KIND MEGABYTES     KIND: 4x64-bf16 (affine: bits, group, type of the scales), mxfp4,
                                                                     fp8-blocks (FP8 with a scale for 128 x 128), ...

The tokenizer is SOURCE's, as `kvasir convert --to mlx` writes it.
"""

import json
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile

from random_model import BIG, CHUNK, CONTEXT, repeated

ROOT = pathlib.Path(__file__).resolve().parents[1]
AFFINE = [f"{bits}x{group}-{scales}" for bits, group, scales in [
    (2, 32, "f16"), (2, 64, "bf16"), (3, 64, "bf16"), (4, 32, "f16"), (4, 64, "bf16"), (4, 128, "f16"), (4, 64, "f32"), (5, 64, "bf16"),
    (6, 64, "bf16"), (8, 64, "bf16")]]  # fmt: skip
MODES = {"mxfp4": (4, 32), "nvfp4": (4, 16), "mxfp8": (8, 32)}
KINDS = [*AFFINE, *MODES, "bf16"]
# Hugging Face's FP8: type and shape of a matrix's scales, and what config.json says. Embedding and output layer are BF16 there.
BLOCK = 128
COMPRESSED = {"quant_method": "compressed-tensors", "format": "float-quantized",
              "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"type": "float", "num_bits": 8}}}}  # fmt: skip
FP8 = {
    "fp8-blocks": ("weight_scale_inv", "f32", lambda rows, columns: [-(-rows // BLOCK), -(-columns // BLOCK)],
                   {"quant_method": "fp8", "weight_block_size": [BLOCK, BLOCK]}),
    "fp8-rows": ("weight_scale", "bf16", lambda rows, columns: [rows, 1], COMPRESSED),
    "fp8-one": ("weight_scale", "f32", lambda rows, columns: [1], COMPRESSED),
}  # fmt: skip
DTYPE = {"f16": ("F16", struct.pack("<e", 0.01)), "bf16": ("BF16", struct.pack("<f", 0.01)[2:]), "f32": ("F32", struct.pack("<f", 0.01))}
# Of the modes' scales in a byte: 2^-7 as e8m0, 2^-5 as e4m3.
BYTE_SCALE = {"mxfp4": b"\x78", "mxfp8": b"\x78", "nvfp4": b"\x10"}
NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}  # fmt: skip


def quantization_of(kind):
    if kind in MODES:
        bits, group = MODES[kind]
        return {"bits": bits, "group_size": group, "mode": kind}
    if "x" not in kind:  # as plain as bf16, or FP8
        return None
    bits, _, rest = kind.partition("x")
    return {"bits": int(bits), "group_size": int(rest.partition("-")[0]), "mode": "affine"}


def without_nan(codes):
    return bytes(c & 0xBF for c in codes[: 1 << 16])


def parts_of(name, rows, columns, kind, codes):
    """(name, type, shape, a chunk that its bytes repeat) of what a matrix is stored as."""
    quantization = quantization_of(kind)
    if kind in FP8 and name.startswith("model.layers."):
        part, scales, shape, _ = FP8[kind]
        dtype, value = DTYPE[scales]
        stored = (f"{name}.weight", "F8_E4M3", [rows, columns], without_nan(codes))
        return [stored, (f"{name}.{part}", dtype, shape(rows, columns), value * (1 << 16))]
    if quantization is None:
        plain = b"".join(codes[at : at + 1] + b"\x3c" for at in range(0, 1 << 16))  # bf16 around 2^-7
        return [(f"{name}.weight", "BF16", [rows, columns], plain)]
    bits, group = quantization["bits"], quantization["group_size"]
    if kind == "mxfp8":
        codes = without_nan(codes)
    stored = [(f"{name}.weight", "U32", [rows, columns * bits // 32], codes)]
    if kind in MODES:
        return [*stored, (f"{name}.scales", "U8", [rows, columns // group], BYTE_SCALE[kind] * (1 << 16))]
    dtype, value = DTYPE[kind.partition("-")[2]]
    return stored + [(f"{name}.{part}", dtype, [rows, columns // group], value * (1 << 16)) for part in ("scales", "biases")]


def bytes_of(dtype, shape):
    return {"U32": 4, "F32": 4, "U8": 1, "F8_E4M3": 1}.get(dtype, 2) * shape[0] * (shape[1] if len(shape) > 1 else 1)


def write_big_folder(source, folder, kind, megabytes, kvasir=ROOT / "build/kvasir"):
    folder = pathlib.Path(folder)
    with tempfile.TemporaryDirectory(dir=folder.parent) as small:
        subprocess.run([kvasir, "convert", source, f"{small}/mlx", "--to", "mlx"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.copytree(f"{small}/mlx", folder, ignore=shutil.ignore_patterns("*.safetensors*"))
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    codes = random.Random(1).randbytes(CHUNK)

    def parts(layers):
        shapes = [("model.embed_tokens", vocabulary, BIG.width), ("lm_head", vocabulary, BIG.width)]
        shapes += [(f"model.layers.{n}.{NAMES[name]}", rows, columns) for n in range(layers) for name, rows, columns in BIG.matrices()]
        out = [part for name, rows, columns in shapes for part in parts_of(name, rows, columns, kind, codes)]
        one = b"\x80\x3f"
        norms = ["model.norm"] + [f"model.layers.{n}.{norm}" for n in range(layers) for norm in ("input_layernorm", "post_attention_layernorm")]
        return out + [(f"{norm}.weight", "BF16", [BIG.width], one * BIG.width) for norm in norms]

    none, one = (sum(bytes_of(dtype, shape) for _, dtype, shape, _ in parts(n)) for n in (0, 1))
    layers = max(1, round((megabytes * 1e6 - none) / (one - none)))
    header, offset, tensors = {}, 0, parts(layers)
    for name, dtype, shape, _ in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset := offset + bytes_of(dtype, shape)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for _, dtype, shape, chunk in tensors:
            for piece in repeated(chunk, bytes_of(dtype, shape)):
                out.write(piece)
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": BIG.width, "intermediate_size": BIG.hidden,
              "num_attention_heads": BIG.heads, "num_key_value_heads": BIG.kv_heads, "num_hidden_layers": layers, "vocab_size": vocabulary,
              "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": CONTEXT, "tie_word_embeddings": False}  # fmt: skip
    if quantization := quantization_of(kind):
        config["quantization"] = quantization
    if kind in FP8:
        config["quantization_config"] = FP8[kind][-1]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def main():
    import sys

    if len(sys.argv) != 5:
        sys.exit(__doc__)
    print(write_big_folder(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])))


if __name__ == "__main__":
    main()
