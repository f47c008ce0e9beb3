"""`kvasir quantize`, `convert` and `compare`, with the `gguf` package, mlx-lm and transformers' tokenizer as judges of what is
written."""

import json
import subprocess
import sys

import numpy as np
import pytest

gguf = pytest.importorskip("gguf")
mx = pytest.importorskip("mlx.core")
mlx_lm = pytest.importorskip("mlx_lm")

from conftest import BINARY, MODELS, ROOT  # noqa: E402

sys.path.insert(0, str(ROOT / "tools" / "oracle"))
import gguf_to_folder  # noqa: E402

pytestmark = pytest.mark.real
SMOLLM2 = MODELS / "smollm2-135m-instruct-q4_1.gguf"
TEXT = ROOT / "tests" / "executor" / "kv_quality_text.txt"
PROMPT = "The quick brown fox jumps over the lazy dog. The capital of France is"
LAYERS = 4  # enough for every tensor's name and shape; mlx's CPU path is slow


def kvasir(*arguments, code=0):
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=600)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def compare(first, second):
    return json.loads(kvasir("compare", first, second, "--text", TEXT, "--tokens", 256, "--json").stdout)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("convert")


@pytest.fixture(scope="module")
def plain(place):
    """A bf16 folder of SmolLM2's first layers, made by other hands."""
    gguf_to_folder.convert(str(SMOLLM2), place / "plain", dtype="bfloat16", layers=LAYERS)
    return place / "plain"


def tensors(path):
    """Every tensor's values, read by the `gguf` package."""
    return {t.name: (t.tensor_type.name, gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32))
            for t in gguf.GGUFReader(path).tensors}


def mlx_logits(folder):
    model, tokenizer = mlx_lm.load(str(folder))
    model.set_dtype(mx.float32)
    ids = tokenizer.encode(PROMPT, add_special_tokens=False)
    return ids, np.array(model(mx.array([ids]))[0].astype(mx.float32))


@pytest.mark.parametrize("bits, most", [("4", 0.12), ("5", 0.06), ("6", 0.03), ("8", 0.01), ("Q4_0", 0.13), ("Q5_0", 0.07)])
def test_the_gguf_package_reads_what_is_quantised(place, plain, bits, most):
    out = place / f"q{bits}.gguf"
    kvasir("quantize", plain, out, "--bits", bits, "--quiet")
    exact = place / "exact.gguf"
    if not exact.exists():
        kvasir("convert", plain, exact, "--to", "gguf", "--quiet")
    original, made = tensors(exact), tensors(out)
    assert original.keys() == made.keys()
    for name, (kind, values) in made.items():
        before = original[name][1]
        error = np.linalg.norm(values - before) / np.linalg.norm(before)
        assert error <= (0 if kind == "F32" and before.ndim == 1 else most), (name, kind, error)


def test_a_folder_becomes_the_gguf_that_it_was_made_of(place, plain):
    exact = place / "exact2.gguf"
    kvasir("convert", plain, exact, "--to", "gguf")
    made, source = tensors(exact), tensors(SMOLLM2)
    for name, (_, values) in made.items():
        # The folder holds bf16, in transformers' order of q and k rows.
        assert np.allclose(values, source[name][1], rtol=2 ** -8, atol=1e-6), name
    ours, theirs = gguf.GGUFReader(exact), gguf.GGUFReader(SMOLLM2)
    # token_type differs where a converter calls a special token user-defined; texts and merges do not.
    for key in ("tokenizer.ggml.tokens", "tokenizer.ggml.merges"):
        assert ours.fields[key].contents() == theirs.fields[key].contents(), key
    assert compare(plain, exact)["kl_max"] < 1e-5


def test_mixes_are_followed_in_both_formats(place, plain):
    rules = ["--keep", "ffn_down=8", "--keep", "blk.1.attn_v.weight=F16"]
    kvasir("quantize", plain, place / "mix.gguf", "--bits", "4", *rules)
    kinds = {name: kind for name, (kind, _) in tensors(place / "mix.gguf").items()}
    assert kinds["blk.0.ffn_down.weight"] == "Q8_0" and kinds["blk.1.attn_v.weight"] == "F16"
    assert kinds["blk.0.attn_v.weight"] == "Q4_1" and kinds["token_embd.weight"] == "Q8_0"
    kvasir("quantize", plain, place / "mix.mlx", "--bits", "4", *rules)
    config = json.loads((place / "mix.mlx" / "config.json").read_text())["quantization"]
    assert (config["bits"], config["group_size"]) == (4, 64)
    assert config["model.layers.0.mlp.down_proj"]["bits"] == 8
    assert config["model.embed_tokens"]["bits"] == 6
    done = kvasir("quantize", plain, place / "none.gguf", "--bits", "4", "--keep", "fnn_down=8", code=1)
    assert "no tensor is called so" in done.stderr


@pytest.mark.parametrize("arguments", [["--bits", "4"], ["--bits", "5", "--group", "32"], ["--bits", "6", "--group", "128"],
                                       ["--bits", "8"], ["--bits", "4", "--keep", "ffn_down=6"]])
def test_mlx_lm_computes_the_same_with_what_is_written_for_it(place, plain, arguments):
    out = place / ("mlx" + "-".join(arguments).replace("--", "").replace("=", ""))
    kvasir("quantize", plain, out, *arguments)
    ids, theirs = mlx_logits(out)
    # Through our reader, whose equality with mlx on such folders other tests show: the same weights as a plain folder.
    kvasir("convert", out, str(out) + "-plain", "--to", "safetensors", "--dtype", "f32")
    same, plain_logits = mlx_logits(str(out) + "-plain")
    assert ids == same
    assert np.abs(theirs - plain_logits).max() < 2e-3 * np.abs(plain_logits).max()
    quality = compare(plain, out)
    assert quality["kl_mean"] < 0.3 and quality["same_top"] > 0.6


def test_a_gguf_file_becomes_folders_that_mlx_lm_loads(place):
    kvasir("convert", SMOLLM2, place / "whole.mlx", "--to", "mlx")
    kvasir("convert", SMOLLM2, place / "whole.hf", "--to", "safetensors", "--dtype", "f32")
    gguf_to_folder.convert(str(SMOLLM2), place / "judge", dtype="float32")
    ids, judged = mlx_logits(place / "judge")
    for made in ("whole.mlx", "whole.hf"):
        own, logits = mlx_logits(place / made)
        assert own == ids
        assert np.abs(logits - judged).max() < 2e-3 * np.abs(judged).max(), made
    assert compare(SMOLLM2, place / "whole.mlx")["kl_max"] < 1e-4
    # And back: nothing is lost on the way.
    kvasir("convert", place / "whole.mlx", place / "back.gguf", "--to", "gguf")
    for name, (_, values) in tensors(place / "back.gguf").items():
        before = tensors_of_smollm2()[name]
        assert np.allclose(values, before, rtol=1e-3, atol=1e-5), name


_smollm2 = {}


def tensors_of_smollm2():
    if not _smollm2:
        _smollm2.update({name: values for name, (_, values) in tensors(SMOLLM2).items()})
    return _smollm2


def test_a_report_lies_beside_the_result(place, plain):
    out = place / "reported.gguf"
    done = kvasir("quantize", plain, out, "--bits", "4", "--report", TEXT)
    assert "KL divergence" in done.stdout and "perplexity" in done.stdout
    report = json.loads((place / "reported.gguf.quality.json").read_text())
    assert 0 < report["kl_mean"] < 0.5 and report["bytes_second"] < report["bytes_first"] / 2
    assert kvasir("quantize", plain, out, "--bits", "4", code=1).stderr.count("is there already") == 1
    same = compare(out, out)
    assert same["kl_mean"] == 0 and same["same_top"] == 1 and same["perplexity_first"] == same["perplexity_second"]


def test_compare_is_right_about_perplexity(place, plain):
    model, tokenizer = mlx_lm.load(str(plain))
    model.set_dtype(mx.float32)
    ids = tokenizer.encode(TEXT.read_text(), add_special_tokens=False)[:200]
    logits = np.array(model(mx.array([ids]))[0].astype(mx.float32)).astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    losses = np.log(np.exp(logits).sum(axis=-1))[:-1] - logits[np.arange(len(ids) - 1), ids[1:]]
    ours = json.loads(kvasir("compare", plain, plain, "--text", TEXT, "--tokens", 200, "--json").stdout)
    assert ours["tokens"] == len(ids) - 1
    assert abs(ours["perplexity_first"] / np.exp(losses.mean()) - 1) < 5e-3
