"""What is left of the quiet rate while another process keeps one core busy: ours, and llama.cpp's beside it.

    bench/run.sh neighbours [--rounds 5]

Quiet and disturbed alternate. The neighbour computes without pause, as a compiler would.
"""

import argparse
import statistics
import subprocess
import sys

from bars import Bars, head, spread
from serving import QWEN, SMOLLM2
from speed import LLAMA, Kvasir, Measure, attempt

SHARE = 0.6
MEASURES = [Measure("prefill 512", "prefill", 512), Measure("decode", "decode", 64)]
BUSY = "while True: pass"


def disturbed(work):
    neighbour = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        return work()
    finally:
        neighbour.kill()
        neighbour.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    bars = Bars()
    head("Beside one busy neighbour", QWEN)
    for model in (SMOLLM2, QWEN):
        for measure in MEASURES:
            for engine, rounds in ((Kvasir(), options.rounds), (LLAMA, min(options.rounds, 2))):
                flags = max(engine.choices, key=lambda choice: attempt(engine, measure, model, choice))
                pairs = [(engine.rate(measure, model, flags), disturbed(lambda: engine.rate(measure, model, flags))) for _ in range(rounds)]
                shares = [after / before for before, after in pairs]
                print(f"{model.name}, {measure.name}, {engine.name}: quiet {spread((q for q, _ in pairs), 1)}, disturbed "
                      f"{spread((d for _, d in pairs), 1)} tokens/s: {spread(shares)} of it", flush=True)
                if engine is not LLAMA:
                    bars.check(f"{model.name}: {measure.name}", statistics.median(shares) >= SHARE, f"{spread(shares)}, at least {SHARE}")
    return bars.finish()


if __name__ == "__main__":
    sys.exit(main())
