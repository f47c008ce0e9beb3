"""Every format of weights with every family, beside the oracles that read it: makes docs/benchmarks/formats.md.

    make formats-table      (or: python tools/oracle/formats_table.py [--resume] [FAMILY...]; of named families it prints)

Tiny models with random weights (tiny_families.py), with rows of whole blocks: 64, 128 or 256 wide as a format asks. A cell is
KL(oracle || ours) over the tokens of a family and how often the likeliest token is the oracle's. Needs build/logits and PyPI
gguf, mlx, mlx-cpu, mlx-lm, llama-cpp-python.
"""

import contextlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import tiny_families

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = (64, 128, 256)
KEPT = ROOT / "build/formats-table"  # a run that was cut off goes on from here with --resume
WORSE = 1e-4  # cells above it are looked into


class Cells:
    """What one width of the families gives: {table: {family: {format: cell}}}, and what lies behind the worse ones."""

    def __init__(self, width, names):
        import family_folders
        import families_table
        import tiny_formats
        import tiny_judges

        self.formats, self.folders, self.table, self.judges = tiny_formats, family_folders, families_table, tiny_judges
        self.width, self.quantiser = width, tiny_formats.Quantiser()
        self.families = [f for f in tiny_families.FAMILIES if not names or f.name in names]

    def run(self):
        """A file for each family, which a run that goes on with another one finds."""
        for n, f in enumerate(self.families):
            done, began = KEPT / f"{self.width}-{f.name}.json", time.time()
            if done.exists():
                continue
            self.cells, self.worse, self.rounded = {}, [], []
            with tempfile.TemporaryDirectory() as root, contextlib.redirect_stdout(io.StringIO()):  # mlx-lm talks
                self.root, self.family = Path(root), f
                self.tokens = tiny_families.tokens(f)
                self.tokens.tofile(self.root / "tokens")
                self.gguf()
                self.mlx()
                self.hugging_face()
            KEPT.mkdir(parents=True, exist_ok=True)
            part = done.with_suffix(".part")
            part.write_text(json.dumps({"cells": self.cells, "worse": self.worse, "rounded": self.rounded}))
            part.rename(done)
            print(f"rows of {self.width}: {n + 1}/{len(self.families)} {f.name}, {time.time() - began:.0f} s", flush=True)

    def ours(self, path):
        context = 256 if "phi4" in self.family.name else None
        return self.table.ours(path, self.root / "tokens", "high", context)

    def add(self, table, name, oracle, mine, again=None):
        """`again`: ours on the same weights as floats."""
        row = self.cells.setdefault(table, {}).setdefault(self.family.name, {})
        if isinstance(mine, str):
            raise SystemExit(f"{self.family.name}, {name}: {mine}")
        if oracle is None:
            row[name] = None
            return
        p, q = self.judges.log_softmax(oracle), self.judges.log_softmax(mine[: len(oracle)])
        each = (np.exp(p) * (p - q)).sum(axis=-1)
        kl, top1 = max(0.0, float(each.mean())), float((p.argmax(-1) == q.argmax(-1)).mean())
        row[name] = [kl, top1]
        if kl > WORSE:
            floats = self.judges.compare(oracle, again())[0] if again else None
            self.worse.append([table, self.family.name, name, kl, float(np.median(each)), int((each > WORSE).sum()), len(each), floats])

    def gguf(self):
        f, kinds = self.family, self.formats.GGUF[self.width]
        model = self.judges.Mlx(f) if kinds and self.judges.mlx_knows(f) else None
        for kind in kinds:
            path = self.root / f"{f.name}-{kind.name}.gguf"
            weights = self.formats.write_gguf(f, path, kind, self.quantiser)
            mine = self.ours(path)
            mlx = model.logits(self.tokens.tolist(), weights) if model else None
            # llama.cpp takes a Granite 4 whose inner size is twice its width only, and ends the process otherwise.
            readable = self.width < 256 or not f.name.startswith("granitehybrid")
            llama = self.judges.judge_llama(str(path), self.tokens) if readable else None

            def as_floats():
                floats = self.root / f"{f.name}-floats.gguf"
                f.write(floats, False, lambda t: (kind, weights[t.name].astype(np.float32)))
                return self.ours(floats)

            self.add("mlx-lm", kind.name, mlx, mine, as_floats)
            self.add("llama.cpp", kind.name, llama, mine, as_floats)
            path.unlink()

    def judged(self, folder, as_it_is=False):
        import mlx.core as mx

        tokens = self.tokens.tolist()
        if self.family.name == "gemma2":  # mlx-lm has no window there
            tokens = tokens[: self.family.keys["attention.sliding_window"]]
        return np.array(self.formats.load(self.family, folder, as_it_is)(mx.array([tokens]))[0]).astype(np.float64)

    def mlx(self):
        f, names = self.family, self.formats.MLX[self.width]
        found = self.formats.folder_of(f, False) if names else None
        if found:
            self.folders.write(self.root / "plain", *found)
        for number, name in enumerate(names):
            if not found:
                self.add("MLX", name, None, None)
                continue
            folder = self.root / f"mlx{number}"
            self.formats.write_mlx(f, folder, self.root / "plain", name)
            mine = self.ours(folder)
            self.add("MLX", name, self.judged(folder), mine)
            if name in self.formats.MODES:
                self.as_it_is(folder, name, mine)

    def as_it_is(self, folder, name, mine):
        """Where what mlx-lm rounds to bfloat16 by itself makes most of the distance; of such a folder also from its weights as floats."""
        kl, kept = self.judges.compare(self.judged(folder, as_it_is=True), mine)[0], self.cells["MLX"][self.family.name][name][0]
        if kl > 10 * max(kept, 1e-12):
            self.formats.write_dequantized(folder, self.root / "dequantized", name)
            floats = self.judges.compare(self.judged(self.root / "dequantized"), mine)[0]
            self.rounded.append([self.family.name, name, kl, kept, floats])

    def hugging_face(self):
        f, names = self.family, self.formats.HUGGING_FACE[self.width]
        found = self.formats.folder_of(f, True) if names else None
        for name in names:
            folder, floats = self.root / f"hf-{name}", self.root / f"hf-{name}-floats"
            if not found or not self.formats.write_hugging_face(f, folder, floats, name):
                self.add("Hugging Face", name, None, None)
                continue
            self.add("Hugging Face", name, self.judged(floats), self.ours(folder))


def collect(names):
    """{"cells": {table: {family: {format: [KL, top-1] or None}}}, "worse": [...], "rounded": [...]} of what has been computed."""
    results = {"cells": {}, "worse": [], "rounded": []}
    for f in tiny_families.FAMILIES:
        for width in WIDTHS:
            done = KEPT / f"{width}-{f.name}.json"
            if names and f.name not in names or not done.exists():
                continue
            part = json.loads(done.read_text())
            results["worse"] += part["worse"]
            results["rounded"] += part["rounded"]
            for table, families in part["cells"].items():
                for family, cells in families.items():
                    results["cells"].setdefault(table, {}).setdefault(family, {}).update(cells)
    return results


def main():
    names = [a for a in sys.argv[1:] if not a.startswith("--")]
    width = next((int(a.removeprefix("--rows=")) for a in sys.argv[1:] if a.startswith("--rows=")), None)
    if width:  # one of the processes that are started below
        tiny_families.widen(width)
        return Cells(width, names).run()
    if "--resume" not in sys.argv:
        shutil.rmtree(KEPT, ignore_errors=True)
    began = time.time()
    if "--as-it-is" not in sys.argv:
        # The widest take the longest; the others go beside them.
        runs = [subprocess.Popen([sys.executable, __file__, f"--rows={w}", *names]) for w in (256, 64)]
        failed = [run.wait() for run in runs]
        failed.append(subprocess.call([sys.executable, __file__, "--rows=128", *names]))
        if any(failed):
            raise SystemExit("a part failed; what it did is kept for --resume")
    from formats_document import document

    text = document(collect(names))
    if names:
        print(text)
    else:
        (ROOT / "docs/benchmarks/formats.md").write_text(text)
        print(f"docs/benchmarks/formats.md: {time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
