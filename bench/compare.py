"""Kvasir and llama-bench alternately on the same files: prefill 512 and decode 64. Prints medians, spreads and ratios.

    python3 bench/compare.py LLAMA_BENCH ROUNDS MODEL.gguf ...
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

PREFILL, DECODE = 512, 64


def run(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def kvasir(model, threads):
    r = run(["build/kvasir", "bench", "-m", model, "--threads", threads, "--prefill", str(PREFILL), "--decode",
             str(DECODE), "--repeat", "1", "--json"])
    return r["prefill_per_s"], r["decode_per_s"], r


def llama(bench, model, threads):
    rows = run([bench, "-m", model, "-t", threads, "-p", str(PREFILL), "-n", str(DECODE), "-r", "1", "-o", "json"])
    rates = {("prefill" if row["n_prompt"] else "decode"): row["avg_ts"] for row in rows}
    return rates["prefill"], rates["decode"]


def line(name, values):
    return f"{name:<12} {statistics.median(values):8.1f}  ({min(values):.1f} to {max(values):.1f})"


def main():
    bench, rounds, models = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    threads = str(len(os.sched_getaffinity(0)))
    worst = float("inf")
    for model in models:
        ours, theirs, last = {"prefill": [], "decode": []}, {"prefill": [], "decode": []}, None
        for _ in range(rounds):
            p, d, last = kvasir(model, threads)
            ours["prefill"].append(p)
            ours["decode"].append(d)
            p, d = llama(bench, model, threads)
            theirs["prefill"].append(p)
            theirs["decode"].append(d)
        print(f"\n{Path(model).name}, {threads} threads, {rounds} rounds, kernels {last['kernels']}; memory "
              f"{last['memory_bytes_per_s'] / 1e9:.1f} GB/s, int8 {last['int8_ops_per_s'] / 1e9:.0f} GOPS")
        for what, count in (("prefill", PREFILL), ("decode", DECODE)):
            ratios = [a / b for a, b in zip(ours[what], theirs[what])]
            worst = min(worst, statistics.median(ratios))
            share = last["prefill_int8_share" if what == "prefill" else "decode_memory_share"]
            print(f"  {what} {count}, tokens a second")
            print("    " + line("kvasir", ours[what]) + f"  {share:.0%} of the {'int8' if what == 'prefill' else 'memory'} limit")
            print("    " + line("llama.cpp", theirs[what]))
            print("    " + f"{'ratio':<12} {statistics.median(ratios):8.2f}  ({min(ratios):.2f} to {max(ratios):.2f})")
    print(f"\nlowest median ratio: {worst:.2f}")
    return 0 if worst >= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
