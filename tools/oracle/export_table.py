"""The tiny families' folders, written by `kvasir convert` as GGUF and from it, and from the folder itself, as folders again:

    cmake --build build --target kvasir logits && python tools/oracle/export_table.py [--json] [NAME...]

For each way: how many tensors are not bit for bit those of the folder that other hands made, and, as a share of the largest logit,
how far our logits lie from ours on the original, and mlx-lm's and llama.cpp's on what was written from mlx-lm's on the original. GGUF files by
other hands, of floats and in Q8_0, have mlx-lm's logits of the same weights for a judge.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import tiny_families

tiny_families.VOCAB = 320  # a token for each byte
tiny_families.FAMILIES[:] = [f() for f in tiny_families.MAKERS]

import gguf  # noqa: E402
import mlx.core as mx  # noqa: E402
import numpy as np  # noqa: E402
from mlx_lm.utils import load_model  # noqa: E402
from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: E402

import family_folders  # noqa: E402
import hybrid_folders  # noqa: E402
import hybrid_judges  # noqa: E402
from tiny_families import FAMILIES, VOCAB  # noqa: E402
from tiny_judges import Mlx, judge_llama, mlx_knows  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BINARY, LOGITS = ROOT / "build/kvasir", ROOT / "build/logits"
# mlx-lm has no such model; what it is told instead computes the same.
UNKNOWN = {"granitemoe-shared"}


def hybrid(f):
    return f.name in hybrid_judges.MODULES


LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
TOKENS = [*LETTERS, "\u0120t", *(f"<{i}>" for i in range(VOCAB - len(LETTERS) - 1))]


def tokenizer(folder):
    made = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(TOKENS)}, merges=[("\u0120", "t")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))


def by_other_hands(f, path, floats):
    """A GGUF file as the `gguf` package writes it, with a tokenizer."""
    own = gguf.GGUFWriter.add_string
    f.keys.update({"tokenizer.ggml.tokens": TOKENS, "tokenizer.ggml.token_type": [1] * VOCAB, "tokenizer.ggml.pre": "gpt-2",
                   "tokenizer.ggml.merges": ["\u0120 t"]})
    gguf.GGUFWriter.add_string = lambda w, key, value: own(w, key, "gpt2" if key == "tokenizer.ggml.model" else value)
    try:
        f.write(path, floats)
    finally:
        gguf.GGUFWriter.add_string = own


def originals(f, root):
    """{"hf" or "mlx": folder}, made by other hands."""
    if hybrid(f):
        weights = dict(hybrid_judges.renamed(f))
        forms = {"hf": dict(hybrid_folders.hugging_face(f, weights)), "mlx": weights}
        configs = {form: hybrid_folders.config(f, form == "hf") for form in forms}
    else:
        weights = family_folders.of_mlx(f)
        forms = {"hf": dict(family_folders.of_hugging_face(f, weights)), "mlx": weights}
        c = family_folders.config(f)
        configs = {"mlx": c, "hf": c}
        if f.arch == "gpt-oss":
            configs["hf"] = {**c, "quantization_config": {"quant_method": "mxfp4"}}
    for form, tensors in forms.items():
        family_folders.write(root / form, configs[form], tensors)
        tokenizer(root / form)
    return {form: root / form for form in forms}


def ours(f, path, tokens):
    out = path.parent / (path.name + ".out")
    context = ["256"] if "phi4" in f.name else []
    run = subprocess.run([LOGITS, path, tokens, out, "high", *context], capture_output=True, text=True)
    if run.returncode != 0:
        raise RuntimeError(run.stderr.strip())
    return np.fromfile(out, dtype=np.float32).reshape(-1, VOCAB).astype(np.float64)


def mlx(f, folder, t):
    if f.name == "gemma2":  # mlx-lm has no window there
        t = t[: f.keys["attention.sliding_window"]]
    c = json.loads((folder / "config.json").read_text())
    told = family_folders.judged_config(f, c) if f.name in UNKNOWN else c
    if c["model_type"].startswith("qwen3_5"):  # transformers' name of the text model alone
        told = {**c, "model_type": c["model_type"].removesuffix("_text")}
    model, _ = load_model(folder, model_config=told)
    model.set_dtype(mx.float32)
    return np.array(model(mx.array([t.tolist()]))[0]).astype(np.float64)


def convert(source, to, out, *extra):
    run = subprocess.run([BINARY, "convert", source, out, "--to", to, "-q", *extra], capture_output=True, text=True)
    if run.returncode != 0:
        raise RuntimeError(run.stderr.strip())


def floats(x):
    return np.array(x.astype(mx.float32) if x.dtype == mx.bfloat16 else x)


def differing(made, original):
    """How many tensors are not the original's, bit for bit, and the largest difference."""
    a, b = (mx.load(str(p / "model.safetensors")) for p in (made, original))
    a, b = ({k.replace("language_model.", "").replace("model.model.", "model."): v for k, v in x.items()} for x in (a, b))
    assert a.keys() == b.keys(), sorted(a.keys() ^ b.keys())
    wrong, most = 0, 0.0
    for k in a:
        x, y = floats(a[k]), floats(b[k])
        assert x.shape == y.shape, (k, x.shape, y.shape)
        wrong += not (a[k].dtype == b[k].dtype and np.array_equal(x, y))
        most = max(most, float(np.abs(x.astype(np.float64) - y).max()))
    return [wrong, most]


def apart(a, b):
    return float(np.abs(a - b).max() / np.abs(b).max())


def rows(f, root):
    """Of each way: its name, tensors that differ, how far logits are apart, ours and mlx-lm's; or what refuses it."""
    t = tiny_families.tokens(f)
    t.tofile(root / "tokens")
    folders = originals(f, root)
    mine = {form: ours(f, path, root / "tokens") for form, path in folders.items()}
    judged = {form: mlx(f, path, t) for form, path in folders.items()}

    def way(name, form, source, to, out):
        try:
            convert(source, {"hf": "safetensors"}.get(to, to), out, *([] if to == "gguf" else ["--dtype", "f32"]))
        except RuntimeError as e:
            return {"way": name, "refused": str(e)}
        own = apart(ours(f, out, root / "tokens"), mine[form])
        if to == "gguf":
            found = {"way": name, "ours": own}
            if importlib.util.find_spec("llama_cpp"):
                llama = judge_llama(str(out), t.tolist())
                found["llama"] = "does not load" if llama is None else apart(llama[: len(judged[form])], judged[form])
            return found
        return {"way": name, "differ": differing(out, folders[to]), "ours": own, "mlx": apart(mlx(f, out, t), judged[form])}

    for form, other in (("hf", "mlx"), ("mlx", "hf")):
        yield way(f"{form} -> {other}", form, folders[form], other, root / f"{form}-{other}")
        yield way(f"{form} -> GGUF", form, folders[form], "gguf", root / f"{form}.gguf")
        yield way(f"{form} -> GGUF -> hf", form, root / f"{form}.gguf", "hf", root / f"{form}-gguf-hf")
    yield way("hf -> GGUF -> mlx", "hf", root / "hf.gguf", "mlx", root / "hf-gguf-mlx")
    judge = Mlx(f).logits(t.tolist()) if mlx_knows(f) else None
    for floats in (True, False):
        kind = "GGUF of floats" if floats else "GGUF in Q8_0"
        source = root / f"{kind}.gguf"
        by_other_hands(f, source, floats)
        for to in ("hf", "mlx"):
            out = root / f"{kind}-{to}"
            try:
                convert(source, {"hf": "safetensors"}.get(to, to), out, "--dtype", "f32")
            except RuntimeError as e:
                yield {"way": f"{kind} -> {to}", "refused": str(e)}
                continue
            found = {"way": f"{kind} -> {to}"}
            if floats:
                found["ours"] = apart(ours(f, out, root / "tokens"), ours(f, source, root / "tokens"))
            if judge is not None:
                found["mlx"] = apart(mlx(f, out, t), judge)
            yield found


def cells(row):
    if "refused" in row:
        return [row["refused"].split(": ", 1)[-1], "", "", ""]
    differ = row.get("differ")
    ours_apart = f"{row['ours']:.0e}" if "ours" in row else "-"
    return ["-" if differ is None else f"{differ[0]}" + (f" ({differ[1]:.0e})" if differ[0] else ""), ours_apart,
            *(row[judge] if isinstance(row.get(judge), str) else f"{row[judge]:.0e}" if judge in row else "-" for judge in ("mlx", "llama"))]


def main():
    names = [a for a in sys.argv[1:] if a != "--json"]
    if "--json" not in sys.argv:
        print("| model | way | tensors that differ | ours | mlx-lm | llama.cpp |\n|---|---|---|---|---|---|")
    for f in FAMILIES:
        if names and f.name not in names or not hybrid(f) and family_folders.module_of(f) is None:
            continue
        with tempfile.TemporaryDirectory() as root:
            for row in rows(f, Path(root)):
                if "--json" in sys.argv:
                    print(json.dumps(row), flush=True)
                else:
                    print(f"| {f.name} | {row['way']} | " + " | ".join(cells(row)) + " |", flush=True)


if __name__ == "__main__":
    main()
