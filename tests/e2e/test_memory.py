"""--memory bounds what the process takes, and is what it gets. bench/memory.py does the same at length."""

import pathlib
import random
import re

import pytest

from conftest import MODELS, Server

SMOLLM2 = MODELS / "smollm2-135m-instruct-q4_1.gguf"
BUDGET = 320 << 20
WORDS = "river stone cloud lantern harbour winter copper meadow signal thunder paper garden mirror bridge".split()


def most_resident(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE).group(1)) << 10


@pytest.mark.real
def test_more_conversations_than_fit_keep_the_budget_and_use_it(tmp_path):
    server = Server(tmp_path, "--memory", "320MB", "--cache-folder", str(tmp_path / "cache"), "--cache-disk", "1GB", model=SMOLLM2)
    capacity = server.metric("kvasir:kv_blocks") * 64
    read, rng = 0, random.Random(3)
    while read < 1.3 * capacity:
        text = " ".join(rng.choice(WORDS) for _ in range(900))
        reply = server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": text}], "max_tokens": 2, "temperature": 0})
        assert reply.status_code == 200, reply.text
        read += reply.json()["usage"]["prompt_tokens"]
    most = most_resident(server)
    assert server.metric("kvasir:evicted_blocks_total") > 0
    assert server.stop() == 0, server.log.read_text()
    assert 0.8 * BUDGET <= most <= 1.05 * BUDGET, f"{most >> 20} MB"


@pytest.mark.real
def test_a_budget_that_holds_no_conversation_is_refused_in_one_line(tmp_path):
    server = Server(tmp_path, "--memory", "120MB", model=SMOLLM2, ready=False)
    assert server.process.wait(timeout=60) == 1
    told = [line for line in server.log.read_text().splitlines() if line.startswith("kvasir:")]
    assert len(told) == 1
    assert "--memory 120 MB is too little" in told[0]
