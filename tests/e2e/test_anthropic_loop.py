"""A loop of tools over several turns through Anthropic's own clients, in Python and in TypeScript: only what is new is read."""

import json
import os
import pathlib
import subprocess

import pytest

from conftest import CALLS, Server

SDK = os.environ.get("KVASIR_ANTHROPIC_SDK", "")
SCRIPT = pathlib.Path(__file__).with_name("anthropic_loop.mjs")
DEGREES = {"Oslo": 4, "Rome": 21}
RULES = [
    {"reply": "It is 4 degrees in Oslo and 21 in Rome."},
    {"when": "two cities?", "unless": "<tool_response>", "reply": CALLS},
    {"when": "And again", "reply": CALLS},
]
TOOLS = [{
    "name": "get_weather", "description": "Weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}]


@pytest.fixture(scope="module")
def loop_server(tmp_path_factory):
    # `when` looks at the last turn of the client alone, so that each has its answer.
    running = Server(tmp_path_factory.mktemp("loop"), rules=RULES)
    yield running
    assert running.stop() == 0, running.log.read_text()


def check(turns):
    assert [turn["reason"] for turn in turns] == ["tool_use", "end_turn"] * 2
    assert turns[0]["inputs"] == turns[2]["inputs"] == [{"city": "Oslo"}, {"city": "Rome"}]
    assert turns[1]["texts"] == turns[3]["texts"] == ["It is 4 degrees in Oslo and 21 in Rome."]
    for turn in turns:
        assert turn["counted"] == turn["total"]
    for before, after in zip(turns, turns[1:]):
        # The end of the turn itself is not sampled, so it may have to be read.
        assert after["read"] >= before["total"] + before["output"] - 1


def python_loop(client, streamed):
    messages, turns = [], []
    for question in ["The weather in two cities?", "And again, two cities?"]:
        messages.append({"role": "user", "content": question})
        for _ in range(5):
            counted = client.messages.count_tokens(model="default", messages=messages, tools=TOOLS)
            request = {"model": "default", "max_tokens": 32000, "messages": messages, "tools": TOOLS}
            if streamed:
                with client.messages.stream(**request) as stream:
                    answer = stream.get_final_message()
            else:
                answer = client.messages.create(**request, timeout=60)
            usage = answer.usage
            uses = [block for block in answer.content if block.type == "tool_use"]
            turns.append({
                "reason": answer.stop_reason, "texts": [block.text for block in answer.content if block.type == "text"],
                "inputs": [use.input for use in uses], "counted": counted.input_tokens,
                "total": usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens,
                "read": usage.cache_read_input_tokens, "output": usage.output_tokens})
            messages.append({"role": "assistant", "content": answer.content})
            if not uses:
                break
            messages.append({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": use.id, "content": f"{DEGREES[use.input['city']]} degrees"} for use in uses]})
    return turns


@pytest.mark.parametrize("streamed", [False, True])
def test_python(loop_server, streamed):
    check(python_loop(loop_server.anthropic(), streamed))


@pytest.mark.skipif(not SDK, reason="KVASIR_ANTHROPIC_SDK is not set; run tools/e2e.sh")
@pytest.mark.parametrize("mode", ["whole", "stream"])
def test_typescript(loop_server, mode):
    done = subprocess.run(["node", str(SCRIPT), SDK, loop_server.url, mode], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout))
