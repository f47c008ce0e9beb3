"""Memory while loading, of every type that docs/formats/weights.md lists: a model of random weights of each, written, loaded and deleted.

    bench/loading_types.py SOURCE.gguf [--megabytes 1000] [--folder DIR] [TYPE...]     TYPE: one of GGUF's, or mlx:4x64-bf16, mlx:mxfp4, ...,
                                                                                       hf:fp8-blocks, hf:fp8-rows, hf:fp8-one

Prints a row of a Markdown table for each and MISS where one takes more than 1.1 times its file and 150 MB. The tokenizer is SOURCE's.
"""

import argparse
import pathlib
import sys
import tempfile

from loading import FIXED_MB, SHARE, file_bytes, peak_bytes
from random_folder import FP8, KINDS, write_big_folder
from random_model import TYPES, write_big_model


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    options.add_argument("source")
    options.add_argument("types", nargs="*", default=[*TYPES, *(f"mlx:{kind}" for kind in KINDS), *(f"hf:{kind}" for kind in FP8)])
    options.add_argument("--megabytes", type=float, default=1000)
    options.add_argument("--folder", default=tempfile.gettempdir())
    asked = options.parse_intermixed_args()
    missed = 0
    for name in asked.types:
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            _, of_folder, kind = name.partition(":")
            if of_folder:
                model = write_big_folder(asked.source, pathlib.Path(folder) / "model", kind, asked.megabytes)
            else:
                model = write_big_model(asked.source, pathlib.Path(folder) / "model.gguf", name, asked.megabytes)
            size, peak = file_bytes(model), peak_bytes(model)
        kept = peak <= SHARE * size + FIXED_MB * 1e6
        missed += not kept
        print(f"| {name} | {size / 1e6:.0f} | {peak / 1e6:.0f} | {peak / size:.2f} | {'PASS' if kept else 'MISS'} |", flush=True)
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
