"""Our logits of the tiny models beside what mlx-lm and llama.cpp make of the same files, as a table in markdown.

    cmake --build build --target logits && python tools/oracle/families_table.py [NAME...]

KL(judge || ours) is a mean over 150 random tokens. Judges compute in float32 on the dequantised weights; ours reads
F32 and Q8_0 files, at standard and high precision. The last columns say how far the judges are from each other and
llama.cpp on the Q8_0 file from itself on floats. Needs PyPI gguf, mlx, mlx-cpu, mlx-lm, llama-cpp-python.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tiny_families import FAMILIES, VOCAB, tokens
from tiny_judges import compare, judge_llama, judge_mlx

LOGITS = Path(__file__).resolve().parents[2] / "build/logits"


def ours(path, token_file, precision, context=None):
    """Logits, or the line that says why there are none. A context tells which factors LongRoPE takes."""
    out = path.with_suffix(".out")
    context = [str(context)] if context else ["256"] if "phi4" in path.name else []
    run = subprocess.run([LOGITS, path, token_file, out, precision, *context], capture_output=True, text=True)
    if run.returncode != 0:
        return run.stderr.strip()
    return np.fromfile(out, dtype=np.float32).reshape(-1, VOCAB).astype(np.float64)


def cell(judge, mine):
    if isinstance(mine, str):
        return mine
    if judge is None or mine is None:
        return "-"
    kl, top1 = compare(judge, mine)
    return f"{max(kl, 0):.1e}, {top1:.3f}"


def llama_or_none(path, t):
    try:
        return judge_llama(str(path), t)
    except ImportError:
        return None


def main():
    print("| model | mlx-lm, F32 | llama.cpp, F32 | judge, Q8_0 high | judge, Q8_0 standard | judges apart | llama.cpp's Q8_0 |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for f in FAMILIES:
            if sys.argv[1:] and f.name not in sys.argv[1:]:
                continue
            floats, q8 = Path(folder) / f"{f.name}-f32.gguf", Path(folder) / f"{f.name}-q8.gguf"
            f.write(floats, True)
            f.write(q8, False)
            t = tokens(f)
            t.tofile(Path(folder) / "tokens")
            try:
                mlx = judge_mlx(f, t.tolist())
            except Exception as e:
                print(f"mlx-lm on {f.name}: {type(e).__name__}: {e}", file=sys.stderr)
                mlx = None
            llama = llama_or_none(floats, t)
            judge = mlx if mlx is not None else llama
            run = lambda path, precision: ours(path, Path(folder) / "tokens", precision)
            cells = [cell(mlx, run(floats, "high")), cell(llama, run(floats, "high")), cell(judge, run(q8, "high")),
                     cell(judge, run(q8, "standard")), cell(mlx, llama), cell(llama, llama_or_none(q8, t))]
            print(f"| {f.name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
