"""Folders of safetensors, Hugging Face's and MLX's in every mode, made here from SmolLM2 by the `gguf` package and mlx-lm, and
served: greedy answers and log-probabilities beside mlx-lm's own on the same folder, computed in 32 bits."""

import json
import subprocess
import sys

import pytest

mx = pytest.importorskip("mlx.core")
mlx_lm = pytest.importorskip("mlx_lm")

from conftest import BINARY, MODELS, ROOT, Server  # noqa: E402

sys.path.insert(0, str(ROOT / "tools" / "oracle"))
import gguf_to_folder  # noqa: E402

pytestmark = pytest.mark.real
SMOLLM2 = MODELS / "smollm2-135m-instruct-q4_1.gguf"
PROMPT = "The quick brown fox jumps over the lazy dog. The capital of France is"
TOKENS = 8
LAYERS = 4  # enough for every tensor's name and shape; mlx's CPU path is slow


def mixed(path, module):
    """A width of its own for some layers, as mlx-lm's recipes have it; the norms and one matrix stay as they are."""
    if not hasattr(module, "to_quantized") or path.endswith("layers.1.mlp.up_proj"):
        return False
    wide = "down_proj" in path or "embed_tokens" in path
    return {"group_size": 64, "bits": 6 if wide else 3, "mode": "affine"}


QUANTISED = {
    "affine4": {},
    "affine2-g32": {"q_bits": 2, "q_group_size": 32},
    "affine8-g64": {"q_bits": 8, "q_group_size": 64},
    "affine5-g64": {"q_bits": 5, "q_group_size": 64},
    "mixed": {"quant_predicate": mixed},
    "mxfp4": {"q_mode": "mxfp4", "q_bits": 4, "q_group_size": 32},
    "nvfp4": {"q_mode": "nvfp4", "q_bits": 4, "q_group_size": 16},
    "mxfp8": {"q_mode": "mxfp8", "q_bits": 8, "q_group_size": 32},
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folders") / "smollm2.bf16"
    gguf_to_folder.convert(str(SMOLLM2), folder, dtype="bfloat16", shards=3, layers=LAYERS)
    return folder


@pytest.fixture(scope="module", params=["bf16", *QUANTISED])
def folder(request, plain):
    if request.param == "bf16":
        return plain
    made = plain.parent / f"smollm2.{request.param}"
    mlx_lm.convert(str(plain), str(made), quantize=True, **QUANTISED[request.param])
    return made


def of_mlx(folder):
    """Greedy tokens as text, and for each the log-probability of every token."""
    model, tokenizer = mlx_lm.load(str(folder))
    model.set_dtype(mx.float32)
    tokens, texts, rows = tokenizer.encode(PROMPT), [], []
    for _ in range(TOKENS):
        logits = model(mx.array([tokens]))[0, -1].astype(mx.float32)
        rows.append(logits - mx.logsumexp(logits))
        tokens.append(int(mx.argmax(logits)))
        texts.append(tokenizer.decode([tokens[-1]]))
    return texts, rows, tokenizer


def test_answers_and_log_probabilities_are_mlx_lms(folder, tmp_path):
    server = Server(tmp_path, "--memory", "2GB", "--precision", "high", model=folder)
    try:
        body = {"prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0, "logprobs": 5, "ignore_eos": True}
        choice = server.post("/v1/completions", body).json()["choices"][0]
    finally:
        assert server.stop() == 0, server.log.read_text()
    texts, rows, tokenizer = of_mlx(folder)
    assert choice["text"] == "".join(texts)
    for step, row in enumerate(rows):
        best = mx.argsort(-row)[:5].tolist()
        own = choice["logprobs"]["top_logprobs"][step]
        for token in best[:3]:
            text = tokenizer.decode([token])
            assert own[text] == pytest.approx(float(row[token]), abs=0.02), (step, text)


def test_a_folder_goes_by_its_name_and_its_own_files(plain, tmp_path):
    (plain / "generation_config.json").write_text(json.dumps({"do_sample": True, "temperature": 0.0001}))
    server = Server(tmp_path, "--memory", "2GB", model=str(plain) + "/")
    try:
        body = {"prompt": PROMPT, "max_tokens": 6, "seed": 1}
        first = server.post("/v1/completions", body).json()
        second = server.post("/v1/completions", {**body, "seed": 2}).json()
    finally:
        assert server.stop() == 0, server.log.read_text()
        (plain / "generation_config.json").unlink()
    assert first["model"] == "smollm2.bf16"
    assert first["choices"][0]["text"] == second["choices"][0]["text"]  # the folder's temperature, not the server's


def test_what_is_wrong_is_one_line_before_anything_is_read(plain, tmp_path):
    config = json.loads((plain / "config.json").read_text())
    for change, words in (({"model_type": "rwkv"}, "model family 'rwkv' is not supported"),
                          ({"quantization_config": {"quant_method": "awq"}}, "quantised by 'awq'")):
        (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
        (tmp_path / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
        done = subprocess.run([BINARY, "serve", "-m", str(tmp_path), "-p", "0"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert words in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
