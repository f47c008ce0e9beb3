"""docs/benchmarks/formats.md of what formats_table.py has computed."""

from formats_refusals import refusals
from tiny_families import FAMILIES
from tiny_formats import GGUF, HUGGING_FACE, MLX

HEAD = """# Every format of weights with every family

    make formats-table

makes this page: models of the families of `tools/oracle/tiny_families.py` with random weights, written in every format of
`docs/formats/weights.md` and read by us at high precision (docs/decisions/0005) with KV in f32. A cell is KL(oracle || ours), the mean
over 100 random tokens and the whole vocabulary of 64, and how often the likeliest token is the oracle's. Rows are 64, 128 or 256
weights wide, as a format's blocks ask. GGUF's blocks are llama.cpp's quantiser's, MLX's are mlx-lm's, FP8 is mlx's e4m3 in blocks of
128 x 128.

- **mlx-lm** (0.32.2, float32) has the weights as the `gguf` package dequantises them: what it says of a cell is said of our
  reading of the blocks and of our graph at once.
- **llama.cpp** (llama-cpp-python 0.3.36) reads the same file. With a quantised type it multiplies with activations of 8 bits, with F16
  and BF16 in these; ours are of 16 bits. The distance is its own rounding where the same weights, given to us as F32, are as far from it:
  the section on cells above 1e-4 counts them.
- In folders, mlx-lm reads the same MLX folder; of Hugging Face's, the floats that their tensors stand for. Embeddings in MLX's mxfp8,
  mxfp4 and nvfp4 are handed on in float32 (below: what it is without).

Where a matrix's rows are no whole blocks, it is Q8_0 (GGUF) or not quantised (MLX), as the programs that write such files do.
"""

NOTES = """
`-`: the oracle has no such model. mlx-lm: granitemoe-shared (in folders, its granitemoehybrid without recurrent layers is
the same graph), phi4-mini-short (it always takes the long factors). llama.cpp: deepseek-v2-lite, which it knows by its number of layers
alone. Hugging Face's FP8 with gpt-oss: its folders have MXFP4.

gemma2 beside mlx-lm: the first 24 tokens, since mlx-lm leaves the window out. deepseek-v2 beside llama.cpp: V2's groups of
experts count by their best expert, as in mlx-lm and transformers; llama.cpp has V3's rule for both. granitehybrid with rows of 256:
llama.cpp takes an inner size of twice the width only.
"""

WORSE = """
## Cells above 1e-4

Beside mlx-lm, and in folders. If the weights were read otherwise, every token would be off. The columns tell: the median over the
tokens, how many tokens are above 1e-4, and, of GGUF's cells, the distance when the same dequantised weights come as F32, where no
activation is rounded. A mixture whose router is nearly undecided takes another expert for a rounding in the sixth digit, and the
tokens behind read the keys and values of what that made: those in front stay near. Groups of experts (deepseek), where a rounding
may turn a whole group, show it most.

| format | family | KL | median | tokens above 1e-4 | the same weights as F32 |
|---|---|---|---|---|---|
"""

ROUNDED = """
## mlx-lm's bfloat16 behind an embedding

MLX gives the rows of an embedding in mxfp8, mxfp4 or nvfp4 as bfloat16, whatever the type of the model: `mlx.nn.QuantizedEmbedding`
asks `mx.dequantize` for no type. The rows are the same numbers, but what is computed of them stays in bfloat16 until something in
float32 comes in. In most families that is the first norm, at once. OLMo 2 and 3 norm what their blocks make, not what they take: the
first layer's q, k and v are rounded to bfloat16. Ministral 3's factor of the queries has the type of the embedding, in every layer.

Everywhere else on this page the rows are handed on in float32, as mlx-lm does by itself in every other format. Below, KL(mlx-lm ||
ours): as mlx-lm is, with rows in float32 (the cell above), and mlx-lm on the float32 that `mx.dequantize` makes of the whole folder, which
has nothing of its quantised products in it. The last two agree: neither our reading nor mlx-lm's products make the distance. For families
and modes that are not here, the first is less than ten times the second.

| family | format | as it is | rows in float32 | weights in float32 |
|---|---|---|---|---|
"""


def cell(value):
    return "-" if value is None else f"{value[0]:.0e} {value[1]:.2f}"


def table(cells, columns):
    columns = [c for c in columns if any(c in row for row in cells.values())]
    if not columns:
        return ""
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for f in FAMILIES:
        if f.name in cells:
            shown = ["" if c not in cells[f.name] else cell(cells[f.name][c]) for c in columns]
            lines.append(f"| {f.name} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def of_llama(rows):
    """Whether llama.cpp's distance is its own."""
    own = [(kl, floats, family, name) for oracle, family, name, kl, _, _, _, floats in rows if oracle == "llama.cpp"]
    as_far = [row for row in own if row[1] and abs(row[0] - row[1]) <= 0.1 * row[1]]
    others = ", ".join(f"{family} {name} ({kl:.0e}, as F32 {floats:.0e})" for kl, floats, family, name in own
                       if (kl, floats, family, name) not in as_far)
    text = f"Beside llama.cpp, {len(own)} cells are above 1e-4. In {len(as_far)} of them the same weights as F32 are as far from it, to a tenth"
    return "\n" + text + (f". The others: {others}.\n" if others else ".\n")


def worse(rows):
    lines = []
    for oracle, family, name, kl, median, above, tokens, floats in rows:
        if oracle != "llama.cpp":
            again = "" if floats is None else f"{max(0.0, floats):.0e}"
            lines.append(f"| {name} | {family} | {kl:.0e} | {max(0.0, median):.0e} | {above} of {tokens} | {again} |")
    return WORSE + "\n".join(lines) + "\n" + of_llama(rows)


def rounded(rows):
    lines = [f"| {family} | {name} | " + " | ".join(f"{max(0.0, kl):.0e}" for kl in row) + " |" for family, name, *row in rows]
    return ROUNDED + "\n".join(lines) + "\n" if lines else ""


def summary(cells):
    """The worst and the median cell of each table."""
    lines = ["| | cells | median KL | largest KL | lowest top-1 |", "|---|---|---|---|---|"]
    for name, families in cells.items():
        found = sorted(c for row in families.values() for c in row.values() if c is not None)
        if found:
            lines.append(f"| {name} | {len(found)} | {found[len(found) // 2][0]:.0e} | {found[-1][0]:.0e} | "
                         f"{min(c[1] for c in found):.2f} |")
    return "\n".join(lines) + "\n"


def missing(cells):
    """Of a run that was cut off."""
    per_family = 2 * sum(map(len, GGUF.values())) + sum(map(len, MLX.values())) + sum(map(len, HUGGING_FACE.values()))
    there = sum(len(row) for families in cells.values() for row in families.values())
    lacks = per_family * len(FAMILIES) - there
    return f"\n**{lacks} of {per_family * len(FAMILIES)} cells are not measured yet**; `make formats-table` fills them.\n" if lacks else ""


def refused():
    def narrow(line):  # lists of what is supported are named once, in docs/formats/weights.md
        head, mark, _ = line.partition(" is not supported; ")
        if mark and "model family" in head:
            return head + " is not supported; ... are"
        head, mark, _ = line.partition(" (F32, F16, ")
        return head + " (... are supported)" if mark else line

    lines = "\n".join(f"| {what} | `{narrow(line)}` |" for what, line in refusals())
    return "\n## What is refused, and how\n\n| | |\n|---|---|\n" + lines + "\n"


def document(results):
    cells = results["cells"]
    kinds = [k.name for width in GGUF.values() for k in width]
    groups = [kinds[:11], [k for k in kinds[11:] if not k.startswith("IQ")], [k for k in kinds[11:] if k.startswith("IQ")]]
    out = [HEAD, missing(cells), summary(cells)]
    for oracle in ("mlx-lm", "llama.cpp"):
        out.append(f"\n## GGUF beside {oracle}\n")
        out += [table(cells.get(oracle, {}), group) for group in groups]
    names = [n for width in MLX.values() for n in width]
    out.append("\n## MLX's folders beside mlx-lm\n")
    out += [table(cells.get("MLX", {}), [n for n in names if n.endswith(end)]) for end in (" 32", " 64", " 128")]
    out.append(table(cells.get("MLX", {}), [n for n in names if "bits" not in n]))
    out += ["\n## Hugging Face's folders beside mlx-lm\n", table(cells.get("Hugging Face", {}), HUGGING_FACE[64])]
    out += [NOTES, worse(results["worse"]), rounded(results["rounded"]), refused()]
    return "\n".join(part for part in out if part)
