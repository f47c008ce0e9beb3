"""Speed as a share of this machine's limits, both models, in half a minute: what a loss of speed shows in.

    bench/run.sh quick

The limits are measured in the same run (`kvasir bench`). No figure is a time: a slower machine has lower limits. The floors are about half of what quiet
machines showed, and the best of three tries counts, since a machine that tests run on may have other work.
"""

import json
import subprocess
import sys

from bars import Bars, head
from serving import KVASIR, QWEN, SMOLLM2

TRIES = 3
# (of the int8 limit in a prefill of 512 tokens, of the memory limit in decode), by kernels; SmolLM2's products are of two planes.
FLOORS = {
    "avx512amx": {SMOLLM2: (0.15, 0.35), QWEN: (0.25, 0.33)},
    "": {SMOLLM2: (0.10, 0.30), QWEN: (0.20, 0.30)},
}


def shares(model):
    measured = json.loads(subprocess.run([KVASIR, "bench", "-m", model, "--json"], check=True, capture_output=True, text=True).stdout)
    return measured["kernels"], (measured["prefill_int8_share"], measured["decode_memory_share"])


def main():
    head("Speed by share of the limits", QWEN)
    bars = Bars()
    for model in (SMOLLM2, QWEN):
        best = (0.0, 0.0)
        for _ in range(TRIES):
            kernels, seen = shares(model)
            floors = FLOORS.get(kernels, FLOORS[""])[model]
            best = tuple(max(pair) for pair in zip(best, seen))
            if all(share >= floor for share, floor in zip(best, floors)):
                break
        for what, share, floor in zip(("prefill, of int8", "decode, of memory"), best, floors):
            bars.check(f"{model.name}, {kernels}: {what}", share >= floor, f"{share:.2f}, at least {floor}")
    return bars.finish()


if __name__ == "__main__":
    sys.exit(main())
