"""`kvasir pull`, `list`, `show` and `rm` against a hub on this machine, with Python's huggingface_hub as the judge of what
lies in the cache."""

import json
import os
import pathlib
import random
import subprocess

import pytest
from conftest import BINARY, MODELS
from hub_server import Hub, etag_of

huggingface_hub = pytest.importorskip("huggingface_hub")

BLOB = random.Random(1).randbytes(700_000)
CONFIG = b'{"model_type": "llama"}'
FOLDER = {"config.json": CONFIG, "model.safetensors": BLOB, "tokenizer.json": b"{}", "README.md": b"read me"}
NAME = "hf:org/model"


@pytest.fixture
def hub():
    running = Hub(files=dict(FOLDER))
    yield running
    running.stop()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "hub"


@pytest.fixture
def kvasir(hub, cache, tmp_path):
    def run(*arguments, code=0, start=False, **variables):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        environment |= {"HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(cache), "HOME": str(tmp_path),
                        "KVASIR_MODELS": str(tmp_path / "models"), "KVASIR_RETRY_SECONDS": "0.01", **variables}
        command = [BINARY, *map(str, arguments)]
        if start:
            return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def blob(cache, data):
    return cache / "models--org--model" / "blobs" / etag_of(data)


def snapshot(cache, hub):
    return cache / "models--org--model" / "snapshots" / hub.commit


def test_python_finds_what_was_pulled(kvasir, hub, cache):
    done = kvasir("pull", NAME)
    assert done.stdout.strip() == str(snapshot(cache, hub))
    found = huggingface_hub.snapshot_download("org/model", cache_dir=cache, local_files_only=True,
                                              allow_patterns=["*.json", "*.safetensors"])
    assert found == str(snapshot(cache, hub))
    file = huggingface_hub.try_to_load_from_cache("org/model", "model.safetensors", cache_dir=cache)
    assert pathlib.Path(file).read_bytes() == BLOB
    link = os.readlink(file)
    assert link == f"../../blobs/{etag_of(BLOB)}"
    scanned = huggingface_hub.scan_cache_dir(cache)
    assert not scanned.warnings
    (repo,) = scanned.repos
    (revision,) = repo.revisions
    assert repo.repo_id == "org/model" and revision.refs == {"main"}
    assert {f.file_name for f in revision.files} == {"config.json", "model.safetensors", "tokenizer.json"}


def test_what_python_pulled_is_found(kvasir, hub, cache):
    huggingface_hub.snapshot_download("org/model", cache_dir=cache, endpoint=hub.url)
    before = len(hub.requests("cdn"))
    done = kvasir("pull", NAME)
    assert "here already" in done.stderr
    assert len(hub.requests("cdn")) == before
    listed = json.loads(kvasir("list", "--json").stdout)
    assert [(m["name"], m["format"]) for m in listed] == [(NAME, "safetensors")]


def test_a_second_pull_gets_nothing_again(kvasir, hub):
    kvasir("pull", NAME)
    before = len(hub.requests("cdn"))
    assert "here already" in kvasir("pull", NAME).stderr
    assert len(hub.requests("cdn")) == before


def test_a_broken_line_is_gone_on_from(kvasir, hub, cache):
    hub.break_after = [100_000, 200_000]
    kvasir("pull", NAME)
    assert blob(cache, BLOB).read_bytes() == BLOB
    ranges = [headers.get("Range") for _, _, _, headers in hub.requests("cdn")]
    assert ranges == [None, "bytes=100000-", "bytes=300000-"]


def test_a_pull_that_was_given_up_is_gone_on_from(kvasir, hub, cache):
    hub.break_after = [150_000]
    hub.answers["cdn"] = []
    original = hub.contents

    def then_dead(request, data):
        original(request, data)
        hub.answers["cdn"] = [(503, {})] * 20

    hub.contents = then_dead
    done = kvasir("pull", NAME, code=1)
    assert "goes on where this ended" in done.stderr
    assert not (cache / "models--org--model" / "refs" / "main").exists()
    hub.contents, hub.answers, hub.seen = original, {}, []
    kvasir("pull", NAME)
    assert blob(cache, BLOB).read_bytes() == BLOB
    assert [headers.get("Range") for _, _, _, headers in hub.requests("cdn")] == ["bytes=150000-"]


def test_a_server_without_ranges_sends_it_all_again(kvasir, hub, cache):
    hub.ranges = False
    hub.break_after = [100_000]
    kvasir("pull", NAME)
    assert blob(cache, BLOB).read_bytes() == BLOB


def test_a_remnant_that_is_too_long_is_thrown_away(kvasir, hub, cache):
    blob(cache, BLOB).parent.mkdir(parents=True)
    pathlib.Path(str(blob(cache, BLOB)) + ".incomplete").write_bytes(b"x" * 800_000)
    kvasir("pull", NAME)
    assert blob(cache, BLOB).read_bytes() == BLOB


def test_a_416_begins_anew(kvasir, hub, cache):
    blob(cache, BLOB).parent.mkdir(parents=True)
    pathlib.Path(str(blob(cache, BLOB)) + ".incomplete").write_bytes(BLOB[:1000])
    hub.answers["cdn"] = [(416, {"Content-Range": "bytes */5"})]
    kvasir("pull", NAME)
    assert blob(cache, BLOB).read_bytes() == BLOB


def test_wrong_bytes_are_got_anew_and_never_kept(kvasir, hub, cache):
    hub.wrong = 1
    assert "its bytes are wrong" in kvasir("pull", NAME).stderr
    assert blob(cache, BLOB).read_bytes() == BLOB
    kvasir("rm", NAME, "--yes")
    hub.wrong = 5
    done = kvasir("pull", NAME, code=1)
    assert "are not those that it names" in done.stderr
    assert not blob(cache, BLOB).exists()
    assert not snapshot(cache, hub).joinpath("model.safetensors").exists()


def test_a_wrong_small_file_is_found_too(kvasir, hub):
    right = etag_of(CONFIG)
    resolve = hub.resolve

    def lie(request, name):
        if name == "config.json":
            return hub.send(request, 200, {"X-Repo-Commit": hub.commit, "ETag": f'"{right}"'}, CONFIG.replace(b"llama", b"lama!"))
        return resolve(request, name)

    hub.resolve = lie
    assert "are not those that it names" in kvasir("pull", NAME, code=1).stderr


def test_a_busy_server_is_waited_for(kvasir, hub, cache):
    hub.answers = {"api": [(503, {})], "resolve": [(429, {"Retry-After": "0"})], "cdn": [(500, {}), (429, {"Retry-After": "0"})]}
    done = kvasir("pull", NAME)
    assert "again in" in done.stderr
    assert blob(cache, BLOB).read_bytes() == BLOB


def test_the_token_stays_with_the_hub(kvasir, hub):
    hub.token = "hf_secret"
    kvasir("pull", NAME, HF_TOKEN="hf_secret")
    assert {h.get("Authorization") for _, _, _, h in hub.requests("hub")} == {"Bearer hf_secret"}
    assert hub.requests("cdn")
    assert all("Authorization" not in h for _, _, _, h in hub.requests("cdn"))


@pytest.mark.parametrize("gated, token, expected", [
    (False, "", "set HF_TOKEN"), (False, "wrong", "HF_TOKEN may not read it"),
    (True, "", "is gated"), (True, "wrong", "has none yet")])
def test_a_refusal_says_what_to_do(kvasir, hub, gated, token, expected):
    hub.token, hub.gated = "hf_secret", gated
    assert expected in kvasir("pull", NAME, code=1, HF_TOKEN=token).stderr


def test_what_is_not_there_is_named(kvasir, hub):
    assert "has no model org/modle" in kvasir("pull", "hf:org/modle", code=1).stderr
    hub.files = {"m-Q8_0.gguf": BLOB, "m-Q2_K.gguf": BLOB}
    assert "it has m-Q2_K.gguf, m-Q8_0.gguf" in kvasir("pull", "hf:org/model:Q4_0", code=1).stderr


def test_offline_asks_nobody(kvasir, hub):
    assert "HF_HUB_OFFLINE is set" in kvasir("pull", NAME, code=1, HF_HUB_OFFLINE="1").stderr
    assert not hub.seen
    kvasir("pull", NAME)
    hub.seen.clear()
    assert "here already" in kvasir("pull", NAME, HF_HUB_OFFLINE="1").stderr
    assert not hub.seen


def test_two_pulls_at_once_get_it_once(kvasir, hub, cache):
    running = [kvasir("pull", NAME, start=True) for _ in range(3)]
    for process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
    assert blob(cache, BLOB).read_bytes() == BLOB
    assert len(hub.requests("cdn")) == 1


def test_one_gguf_of_several_is_pulled_listed_and_removed(kvasir, hub, cache):
    other = random.Random(2).randbytes(20_000)
    hub.files = {"m-Q8_0.gguf": BLOB, "m-Q4_0-00001-of-00002.gguf": other, "m-Q4_0-00002-of-00002.gguf": other + b"2"}
    kvasir("pull", "hf:org/model:q8_0")
    kvasir("pull", "hf:org/model:Q4_0")
    listed = [m["name"] for m in json.loads(kvasir("list", "--json").stdout)]
    assert listed == ["hf:org/model:m-Q4_0-00001-of-00002.gguf", "hf:org/model:m-Q8_0.gguf"]
    done = kvasir("rm", "hf:org/model:Q8_0", code=1)
    assert "--yes" in done.stderr and blob(cache, BLOB).exists()
    kvasir("rm", "--yes", "hf:org/model:Q8_0")
    assert not blob(cache, BLOB).exists() and blob(cache, other).exists()
    kvasir("rm", "--yes", "hf:org/model")
    assert not (cache / "models--org--model").exists()


def test_a_blob_stays_while_another_snapshot_has_it(kvasir, hub, cache):
    kvasir("pull", NAME)
    hub.commit = "beef" * 10
    hub.files["config.json"] = CONFIG + b" "
    kvasir("pull", NAME)
    names = [m["name"] for m in json.loads(kvasir("list", "--json").stdout)]
    old = "hf:org/model@c0ffee" + "0" * 34
    assert sorted(names) == sorted([NAME, old])
    kvasir("rm", "--yes", old)
    assert blob(cache, BLOB).exists() and not blob(cache, CONFIG).exists()
    assert snapshot(cache, hub).joinpath("model.safetensors").read_bytes() == BLOB


def test_a_real_model_is_pulled_shown_and_run_by_its_name(kvasir, hub, cache, tmp_path):
    file = MODELS / "smollm2-135m-instruct-q4_1.gguf"
    hub.files = {"smollm2-135m-instruct-q4_1.gguf": file.read_bytes()}
    kvasir("pull", NAME)
    shown = json.loads(kvasir("show", NAME, "--json").stdout)
    assert shown["family"] == "llama" and shown["layers"] == 30 and shown["parameters"] == 134515008
    assert shown["memory"]["kv_bytes_per_token"] == 2 * 2 * 30 * 3 * 64
    assert shown["fits"] and shown["context_that_fits"] == 8192
    assert "is too little" in kvasir("show", NAME, "--memory", "200MB").stdout
    answer = kvasir("run", "-m", NAME, "--max-tokens", "4", "--cache-disk", "0", "Hello")
    assert answer.stdout.strip()
    # A model of this machine gets a name, and keeps its file when that goes.
    kvasir("pull", file)
    assert "smollm2-135m-instruct-q4_1" in [m["name"] for m in json.loads(kvasir("list", "--json").stdout)]
    kvasir("rm", "--yes", "smollm2-135m-instruct-q4_1")
    assert file.exists()
