"""`kvasir convert` there and back in every family: folders by other hands, in Hugging Face's form and MLX's, become each other, GGUF and
folders again. The same tensors, bit for bit, the same logits of ours, and of mlx-lm, which loads what is written with its own
loader."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("mlx.core")
pytest.importorskip("mlx_lm")

from conftest import ROOT  # noqa: E402

sys.path.insert(0, str(ROOT / "tools" / "oracle"))
import family_folders  # noqa: E402
import hybrid_judges  # noqa: E402
from tiny_families import FAMILIES  # noqa: E402

NAMES = [f.name for f in FAMILIES if f.name in hybrid_judges.MODULES or family_folders.module_of(f)]


def ways(name):
    """In a process of its own: its tiny families have a vocabulary that a tokenizer can have."""
    done = subprocess.run([sys.executable, ROOT / "tools/oracle/export_table.py", "--json", name], capture_output=True, text=True,
                          timeout=600)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", [n for n in NAMES if n != "gpt-oss"])
def test_what_is_written_is_what_was_read(name):
    rows = ways(name)
    assert len(rows) == 11
    for row in rows:
        if "refused" in row:
            assert name == "llama3-rope" and "not those of Llama 3.1's formula" in row["refused"], row  # random factors
            continue
        wrong, most = row.get("differ", (0, 0))
        # A_log is a logarithm of an exponential, right to its last bits.
        assert wrong == 0 or name.startswith(("granitehybrid", "qwen3next", "qwen35")) and most < 1e-6, row
        # GGUF has rotary pairs as neighbours, whose products are added up in another order.
        assert row.get("ours", 0) < 1e-5 and row.get("mlx", 0) < 1e-5, row


def test_experts_in_mxfp4_are_written_plain_for_mlx_and_refused_for_hugging_face():
    rows = {row["way"]: row for row in ways("gpt-oss")}
    for way, row in rows.items():
        if way.endswith("-> hf"):
            assert "--to mlx is" in row["refused"] and "\n" not in row["refused"], row
    assert rows["hf -> mlx"]["mlx"] < 1e-5, rows
    assert rows["mlx -> GGUF"]["ours"] < 1e-5, rows
