"""Remakes tests/weights/golden/types.gguf and types.f32: one small tensor of every type that Kvasir reads, written by the
`gguf` package with random blocks, and what that package decodes it to."""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

TYPES = [T.F32, T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q4_K, T.Q5_K, T.Q6_K, T.Q2_K, T.Q3_K, T.IQ1_S,
         T.IQ1_M, T.IQ2_XXS, T.IQ2_XS, T.IQ2_S, T.IQ3_XXS, T.IQ3_S, T.IQ4_NL, T.IQ4_XS, T.TQ1_0, T.TQ2_0, T.MXFP4, T.NVFP4]
ROWS, COLUMNS = 19, 512  # one group of 16 rows and a tail
FEW_ROWS = 2  # of the types of few bits, of which there are many
# Where a block's f16 scales lie; random bytes there could be NaN.
SCALES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q4_K: [0, 2], T.Q5_K: [0, 2],
          T.Q6_K: [208], T.Q2_K: [80, 82], T.Q3_K: [108], T.IQ1_S: [0], T.IQ2_XXS: [0], T.IQ2_XS: [0], T.IQ2_S: [0],
          T.IQ3_XXS: [0], T.IQ3_S: [0], T.IQ4_NL: [0], T.IQ4_XS: [0], T.TQ1_0: [52], T.TQ2_0: [64]}


def raw(kind, rng):
    rows = ROWS if kind in TYPES[:11] else FEW_ROWS
    if kind in (T.F32, T.F16):
        return rng.normal(size=(rows, COLUMNS)).astype(np.float32 if kind == T.F32 else np.float16)
    if kind == T.BF16:
        values = rng.normal(size=(rows, COLUMNS)).astype(np.float32)
        return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8).reshape(rows, -1)
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, size=(rows * COLUMNS // elements, size), dtype=np.uint8)
    if kind == T.MXFP4:
        blocks[:, 0] = rng.integers(100, 130, size=len(blocks))  # 2^-27 to 2^2
    if kind == T.IQ1_M:  # the f16 scale lies in the upper nibbles of four words
        blocks[:, 55] &= 0x3F  # its exponent's upper bits: small numbers
    if kind == T.NVFP4:
        blocks[:, :4] &= 0x7F  # scales are not negative
    for at in SCALES.get(kind, []):
        scales = rng.normal(size=len(blocks), scale=0.05).astype(np.float16)
        blocks[:, at:at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(rows, -1)


def main():
    rng = np.random.default_rng(1)
    out = Path(__file__).resolve().parents[2] / "tests/weights/golden"
    writer = gguf.GGUFWriter(str(out / "types.gguf"), "llama")
    writer.add_uint32("test.answer", 42)
    writer.add_float32("test.float", 1.5)
    writer.add_bool("test.flag", True)
    writer.add_string("test.text", "héllo")
    writer.add_array("test.words", ["a", "", "ccc"])
    writer.add_array("test.numbers", [1, -2, 3])
    writer.add_array("test.floats", [0.5, -0.25])
    expected = []
    for kind in TYPES:
        data = raw(kind, rng)
        writer.add_tensor(f"tensor.{kind.name}", data, raw_dtype=None if kind in (T.F32, T.F16) else kind)
        expected.append(gguf.quants.dequantize(data, kind).astype("<f4").reshape(-1))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    np.concatenate(expected).tofile(out / "types.f32")


if __name__ == "__main__":
    main()
