"""What Claude Code's headers say of sessions and agents decides what is let go first when memory is short."""

import random

import pytest

from conftest import MODELS, Server

SMOLLM2 = MODELS / "smollm2-135m-instruct-q4_1.gguf"
WORDS = "river stone cloud lantern harbour winter copper meadow signal thunder paper garden mirror bridge".split()


@pytest.mark.real
def test_a_conversation_that_waits_for_its_agent_is_kept(tmp_path):
    server = Server(tmp_path, "--memory", "320MB", model=SMOLLM2)
    rng = random.Random(5)

    def ask(text, session=None, agent=None):
        headers = {"x-claude-code-session-id": session, "x-claude-code-agent-id": agent}
        body = {"model": "default", "max_tokens": 1, "messages": [{"role": "user", "content": text}]}
        reply = server.post("/v1/messages", body, headers={name: value for name, value in headers.items() if value})
        assert reply.status_code == 200, reply.text
        return reply.json()["usage"]

    def words():
        return " ".join(rng.choice(WORDS) for _ in range(900))

    waiting, forgotten, others = words(), words(), 0
    ask(waiting, "session")
    ask(forgotten, "another session")
    while others < 1.3 * 64 * server.metric("kvasir:kv_blocks"):
        others += ask(words())["input_tokens"]
        ask("What is next?", "session", "agent")
    assert server.metric("kvasir:evicted_blocks_total") > 0
    # A last block that is not full is cheap to read again, and is let go first.
    assert ask(waiting, "session")["input_tokens"] <= 64
    assert ask(forgotten, "another session")["input_tokens"] > 700, "or the test shows nothing"
    assert server.stop() == 0, server.log.read_text()
