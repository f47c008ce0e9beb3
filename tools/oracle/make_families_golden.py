"""Remakes tests/models/golden/families/*.bin: a tiny model of each family, and a judge's logits for it.

    make oracle        (or: python tools/oracle/make_families_golden.py [NAME...])

The judge is mlx-lm in float32, or, where it has no such model or leaves its windows out, llama.cpp on float32 weights. Needs PyPI gguf, mlx,
mlx-cpu, mlx-lm, llama-cpp-python, numpy.

A golden file, little-endian: u32 magic 'KVFG', version 1, bytes of GGUF header h, tensors n, vocabulary v, tokens t,
rows r; h bytes, the GGUF file up to its tensors' data; of each tensor f32 centre, f32 spread, u32 whether its quantised
form is Q8_0 (tiny_families.py says how elements follow from these); t x u8 tokens; r x u16 positions; r x v x f32 logits.
"""

import struct
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np

from tiny_families import FAMILIES, Q8_0, VOCAB, tokens
from tiny_judges import judge_llama, judge_mlx

OUT = Path(__file__).resolve().parents[2] / "tests/models/golden/families"
POSITIONS = [0, 1, 2, 7, 15, 23, 24, 30, 63, 64, 65, 87, 100, 127, 128, 149]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for f in FAMILIES:
        if sys.argv[1:] and f.name not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/{f.name}.gguf"
            f.write(path, True)
            reader = gguf.GGUFReader(path)
            header = Path(path).read_bytes()[: reader.data_offset]
            t = tokens(f)
            logits, who = judge_mlx(f, t.tolist()), "mlx-lm"
            if logits is None or len(logits) < len(t):
                logits, who = judge_llama(path, t), "llama.cpp"
        rows = [p for p in POSITIONS if p < len(logits)]
        with open(OUT / f"{f.name}.bin", "wb") as out:
            out.write(struct.pack("<7I", 0x4746564B, 1, len(header), len(f.tensors), VOCAB, len(t), len(rows)))
            out.write(header)
            for x in f.tensors:
                out.write(struct.pack("<ffI", x.centre, x.spread, x.kind == Q8_0))
            out.write(t.astype(np.uint8).tobytes() + np.array(rows, dtype="<u2").tobytes())
            out.write(logits[rows].astype("<f4").tobytes())
        print(f"{f.name}: {len(rows)} rows by {who}, {(OUT / f'{f.name}.bin').stat().st_size} bytes")


if __name__ == "__main__":
    main()
