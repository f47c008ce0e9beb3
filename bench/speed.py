"""Kvasir, llama.cpp and ik_llama.cpp alternately in one run, on the same files: prefill, decode, decode of a batch, in shares of the machine's limits.

    bench/run.sh speed [--rounds 5] [--quick] [--only MEASURE] [--precision auto] [--json FILE] [--plot FILE.svg] [MODEL.gguf ...]      (make bench ARGS=...)

The peers are built natively from their own source packages (bench/peer.sh) and take the flags that served each measure best in a round
of trying. A ratio is of the medians of rounds that alternate; its spread is that of the rounds' own ratios. --quick: one model, llama.cpp
alone, short measures. --precision: Kvasir's; auto, its default, is high for SmolLM2 (0.000001 from the judge) and standard for larger models.
The fidelity that is printed is that of standard, on the golden files (tools/oracle/make_logits_golden.py): KL from mlx-lm in float32 and top-1,
ours and llama.cpp's.
"""

import argparse
import dataclasses
import json
import pathlib
import re
import statistics
import subprocess
import sys

from bars import Bars, head, spread
from serving import KVASIR, QWEN, ROOT, SMOLLM2, THREADS

BATCH, BATCH_TOKENS = 16, 32


@dataclasses.dataclass(frozen=True)
class Measure:
    name: str
    kind: str  # prefill, decode or batch
    tokens: int


MEASURES = [Measure("prefill 512", "prefill", 512), Measure("prefill 4096", "prefill", 4096), Measure("decode", "decode", 64),
            Measure(f"decode, {BATCH} at a time", "batch", BATCH_TOKENS)]
QUICK = [Measure("prefill 512", "prefill", 512), Measure("decode", "decode", 32)]

# At least so many times the peer's rate.
BARS = {
    "ik_llama.cpp": {"prefill 512": 1.5, "prefill 4096": 1.6, "decode": {"qwen": 1.25, "smollm2": 1.7}},
    "llama.cpp": {"prefill 512": 3.0, "prefill 4096": 3.4, "decode": {"qwen": 2.2, "smollm2": 2.4}, f"decode, {BATCH} at a time": 2.0},
}


def run(command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


class Kvasir:
    name = "kvasir"

    def __init__(self, precision="auto"):
        self.limits, self.shares, self.choices = {}, {}, [("--precision", precision)]

    def rate(self, measure, model, flags):
        prefill, decode, batch = {"prefill": (measure.tokens, 0, 1), "decode": (0, measure.tokens, 1), "batch": (0, measure.tokens, BATCH)}[measure.kind]
        out = json.loads(run([KVASIR, "bench", "-m", model, "--threads", THREADS, "--prefill", prefill, "--decode", decode, "--batch", batch,
                              "--repeat", 1, "--json", *flags]))
        for key in ("memory_bytes_per_s", "int8_ops_per_s", "bf16_ops_per_s", "f32_ops_per_s"):
            self.limits.setdefault(key, []).append(out[key])
        self.kernels = out["kernels"]
        share = {"prefill": "prefill_int8_share", "decode": "decode_memory_share", "batch": "decode_int8_share"}[measure.kind]
        self.shares.setdefault(measure.name, []).append(out[share])
        return out["prefill_per_s" if measure.kind == "prefill" else "decode_per_s"]


class Peer:
    """llama-bench, and llama-batched-bench for batches."""

    def __init__(self, name, key, choices, batch_choices):
        self.name, self.key, self.choices, self.batch_choices, self.programs = name, key, choices, batch_choices, {}

    def program(self, name):
        if name not in self.programs:
            built = subprocess.run([ROOT / "bench" / "peer.sh", name, self.key], check=True, stdout=subprocess.PIPE, text=True)
            self.programs[name] = built.stdout.strip()
        return self.programs[name]

    def rate(self, measure, model, flags):
        if measure.kind == "batch":
            # A prompt of one token each: the tokens then come from an empty context, as ours do.
            out = run([self.program("llama-batched-bench"), "-m", model, "-t", THREADS, "-c", 4096, "-npp", 1, "-ntg", measure.tokens, "-npl", BATCH,
                       "--output-format", "jsonl", *flags])
            return next(json.loads(line)["speed_tg"] for line in out.splitlines() if line.startswith("{"))
        counts = ["-p", measure.tokens, "-n", 0] if measure.kind == "prefill" else ["-p", 0, "-n", measure.tokens]
        out = run([self.program("llama-bench"), "-m", model, "-t", THREADS, *counts, "-r", 1, "-o", "json", *flags])
        return json.loads(out[out.index("["):])[0]["avg_ts"]


LLAMA = Peer("llama.cpp", "llama", [(), ("-fa", "1"), ("--repack", "0"), ("-fa", "1", "--repack", "0")], [(), ("-fa", "on"), ("--no-repack",)])
IK = Peer("ik_llama.cpp", "ik", [(), ("-rtr", "1"), ("-fa", "0"), ("-fa", "0", "-rtr", "1")], None)


def fidelity():
    """{model: 'KL ..., top-1 ...'} at standard precision, from the golden test."""
    test = ROOT / "build" / "executor_test"
    if not test.exists():
        return {}
    out = subprocess.run([test, "--gtest_filter=*LogitsAreNoFurtherFromTheJudge*"], capture_output=True, text=True).stdout
    return {m[1].lower(): m[2] for m in re.finditer(r"^(\S+): (KL .*)$", out, re.MULTILINE)}


def attempt(engine, measure, model, flags):
    """A rate; 0 where the program ends with an error, which is shown: another choice may work."""
    try:
        return engine.rate(measure, model, flags)
    except RuntimeError as error:
        print(f"{model.name}, {measure.name}: {engine.name} with {' '.join(flags) or 'no flags'}: {str(error).splitlines()[0]}", flush=True)
        return 0


def measure_model(model, engines, measures, rounds):
    """{measure: {engine: rates, one a round}}, and the flags that each engine took."""
    rates, flags = {}, {}
    for measure in measures:
        rates[measure.name] = {}
        for engine in engines:
            choices = getattr(engine, "batch_choices", engine.choices) if measure.kind == "batch" else engine.choices
            if choices is None:
                continue
            tried = {choice: attempt(engine, measure, model, choice) for choice in choices} if len(choices) > 1 else {choices[0]: 0}
            flags[measure.name, engine.name] = max(tried, key=tried.get)
            rates[measure.name][engine.name] = []
        for _ in range(rounds):
            for engine in engines:
                if engine.name in rates[measure.name]:
                    rates[measure.name][engine.name].append(engine.rate(measure, model, flags[measure.name, engine.name]))
        show(model, measure, rates[measure.name], flags, engines[0])
    return rates, flags


def show(model, measure, rates, flags, kvasir):
    ours = rates["kvasir"]
    limit = {"prefill": "the int8 dots' peak", "decode": "the memory limit", "batch": "the int8 dots' peak"}[measure.kind]
    print(f"{model.name}, {measure.name}: {spread(ours, 1)} tokens/s, {statistics.median(kvasir.shares[measure.name]):.0%} of {limit}")
    kvasir.shares[measure.name] = []
    for name, theirs in rates.items():
        if name != "kvasir":
            ratios = [a / b for a, b in zip(ours, theirs)]
            best = " ".join(flags[measure.name, name]) or "as it comes"
            print(f"    {name:<13} {spread(theirs, 1)} ({best}); ratio {spread(ratios)}", flush=True)


def plot(path, results):
    """Bars of rates over llama.cpp's, one group a model and measure, as a plain SVG."""
    rows = [(f"{model} · {measure}", {n: statistics.median(r) for n, r in rates.items()}) for model, by in results.items() for measure, rates in by.items()]
    colours = {"kvasir": "#2b6cb0", "ik_llama.cpp": "#dd6b20", "llama.cpp": "#a0aec0"}
    most = max(v / r["llama.cpp"] for _, r in rows for v in r.values())
    height, width, left = 22 * sum(len(r) + 1 for _, r in rows) + 40, 900, 330
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="13">',
             f'<rect width="{width}" height="{height}" fill="white"/><text x="10" y="20">Tokens a second, times llama.cpp\'s</text>']
    y = 36
    for label, by in rows:
        parts.append(f'<text x="10" y="{y + 15}">{label}</text>')
        for name, value in by.items():
            ratio = value / by["llama.cpp"]
            length = (width - left - 190) * ratio / most
            parts.append(f'<rect x="{left}" y="{y + 2}" width="{length:.0f}" height="16" fill="{colours[name]}"/>'
                         f'<text x="{left + length + 6:.0f}" y="{y + 15}">{name} {value:.0f} ({ratio:.2f}x)</text>')
            y += 22
        y += 22
    pathlib.Path(path).write_text("\n".join([*parts, "</svg>\n"]))


def check(bars, model, rates):
    for peer, wanted in BARS.items():
        for measure, factor in wanted.items():
            if peer not in rates.get(measure, {}):
                continue
            if isinstance(factor, dict):
                factor = next((f for key, f in factor.items() if key in model.name), None)
                if factor is None:
                    continue
            ratios = [a / b for a, b in zip(rates[measure]["kvasir"], rates[measure][peer])]
            bars.check(f"{model.name}: {measure}, {factor} x {peer}", statistics.median(ratios) >= factor, spread(ratios))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", help="measures whose names begin so; several times for several")
    parser.add_argument("--peer", action="append", choices=["llama.cpp", "ik_llama.cpp"], help="beside this one only; without it, both")
    parser.add_argument("--precision", choices=["auto", "standard", "high"], default="auto")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--plot", type=pathlib.Path)
    options = parser.parse_args()
    models = options.models or ([SMOLLM2] if options.quick else [SMOLLM2, QWEN])
    kvasir = Kvasir(options.precision)
    peers = options.peer or (["llama.cpp"] if options.quick else ["llama.cpp", "ik_llama.cpp"])
    engines = [kvasir, *(peer for peer in (LLAMA, IK) if peer.name in peers)]
    head("Speed beside llama.cpp and ik_llama.cpp", models[0])
    bars, results, taken = Bars(), {}, {}
    measures = [m for m in (QUICK if options.quick else MEASURES) if not options.only or m.name.startswith(tuple(options.only))]
    if not measures:
        parser.error(f"--only {' '.join(options.only)}: no measure begins so; they are {', '.join(m.name for m in MEASURES)}")
    for model in models:
        rates, flags = measure_model(model, engines, measures, options.rounds)
        results[model.stem], taken[model.stem] = rates, {f"{m}, {e}": " ".join(f) for (m, e), f in flags.items()}
        check(bars, model, rates)
    limits = {k: statistics.median(v) for k, v in kvasir.limits.items()}
    print(f"\nmachine: memory {limits['memory_bytes_per_s'] / 1e9:.1f} GB/s, int8 dots {limits['int8_ops_per_s'] / 1e9:.0f} GOPS, bf16 dots "
          f"{limits['bf16_ops_per_s'] / 1e9:.0f}, f32 {limits['f32_ops_per_s'] / 1e9:.0f} GFLOPS; kernels {kvasir.kernels}")
    for name, figures in fidelity().items():
        print(f"fidelity at standard precision: {name}: {figures}")
    if options.json:
        options.json.write_text(json.dumps({"rates": results, "flags": taken, "limits": limits, "kernels": kvasir.kernels}, indent=1) + "\n")
    if options.plot:
        plot(options.plot, results)
    return bars.finish()


if __name__ == "__main__":
    sys.exit(main())
