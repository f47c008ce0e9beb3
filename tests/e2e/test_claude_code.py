"""Claude Code's turns: tool calls and their results, thoughts, cut answers and a person's Ctrl-C. Each request reads its new tokens only."""

import signal

import pytest

from claude_code import Claude, bash, calls, needs_claude
from claude_code import claude, scripted  # noqa: F401
from conftest import Server
from test_reasoning import TEMPLATES

pytestmark = needs_claude
COUNTING = " ".join(str(i) for i in range(300))
RULES = [
    {"reply": "I can help with that."},
    {"when": "list the files", "reply": calls(bash("ls"), text="I will look.\n")},
    {"when": "alpha.txt\nbeta.py", "reply": "The files here are alpha.txt and beta.py."},
    {"when": "two things", "reply": calls(bash("echo first"), bash("echo second"))},
    {"when": "second", "reply": "Both are done."},
    {"when": "try what fails", "reply": calls(bash("cat missing"), ("Read", {"file_path": "/nowhere/at/all"}))},
    {"when": "missing", "unless": "try what fails", "reply": "Neither is there."},
    {"when": "count slowly", "reply": COUNTING, "delay_ms_per_step": 10},
    {"when": "write much", "reply": COUNTING},
]


def test_a_tool_call_and_its_result(claude):
    for name in ("alpha.txt", "beta.py"):
        (claude.work / name).touch()
    said, asked = claude.ask("list the files here", "--allowedTools", "Bash")
    assert said == "The files here are alpha.txt and beta.py."
    assert [exchange.stop for exchange in asked] == ["tool_use", "end_turn"]
    claude.read_only_new(asked)
    assert asked[1].new_from == "messages[3]"
    assert asked[1].read < 20


def test_two_calls_at_once(claude):
    said, asked = claude.ask("do two things", "--allowedTools", "Bash")
    assert said == "Both are done."
    assert [block["type"] for block in asked[0].content] == ["tool_use", "tool_use"]
    # The client runs both at once and sends the results in the order they came.
    said_by = {result["tool_use_id"]: result["content"] for result in asked[1].body["messages"][-1]["content"]}
    assert [said_by[block["id"]] for block in asked[0].content] == ["first", "second"]
    claude.read_only_new(asked)


def test_calls_that_fail(claude):
    said, asked = claude.ask("try what fails", "--allowedTools", "Bash,Read")
    assert said == "Neither is there."
    assert all(result["is_error"] for result in asked[1].body["messages"][-1]["content"])
    claude.read_only_new(asked)


def test_an_answer_that_reaches_its_limit(claude):
    said, asked = claude.ask("write much", env={"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "50"})
    assert asked[0].stop == "max_tokens" and asked[0].usage["output_tokens"] == 50
    assert COUNTING.startswith(asked[0].content[0]["text"])
    assert len(asked) > 1, "the client asks for the rest"
    claude.read_only_new(asked)


def test_what_was_read_before_ctrl_c_is_kept(claude):
    process = claude.start("count slowly")
    claude.recorder.wait_for(lambda asked: asked and asked[0].content and "20" in asked[0].content[0].get("text", ""))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    claude.server.wait_metric("vllm:num_requests_running", lambda running: running == 0)
    (cut,) = claude.recorder.exchanges
    assert cut.stop is None, "the client went away in mid-stream"
    said, asked = claude.ask("and now", "--continue")
    assert said == "I can help with that."
    claude.read_only_new(asked, known=cut.prompt)


THOUGHTS = [
    {"reply": "<think>\nNothing to do.\n</think>\n\nI can help with that."},
    {"when": "list the files", "reply": "<think>\nI need to look.\n</think>\n\n" + calls(bash("echo seen"))},
    {"when": "seen", "reply": "<think>\nThat is all.\n</think>\n\nThere is nothing."},
]


@pytest.fixture(scope="module")
def thinking(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("thinking"), "--chat-template", str(TEMPLATES / "Qwen-Qwen3-0.6B.jinja"), rules=THOUGHTS)
    yield running
    assert running.stop() == 0


@pytest.mark.parametrize("shown", [True, False])
def test_thoughts(thinking, tmp_path, shown):
    claude = Claude(tmp_path, thinking)
    display = ["--thinking-display", "summarized"] if shown else []
    said, asked = claude.ask("list the files", "--allowedTools", "Bash", *display)
    assert said == "There is nothing."
    assert [block["type"] for block in asked[0].content] == ["thinking", "tool_use"]
    came_back = asked[1].body["messages"][2]["content"][0]
    assert came_back["type"] == "thinking" and (came_back["thinking"].strip() == "I need to look.") == shown
    if shown:
        claude.read_only_new(asked)
    # A thought that the client was not shown is gone, and so are those before a new question in this template: what stands behind
    # is read anew, here or while nothing else is done.
    assert asked[1].read < 60
    _, more = claude.ask("and now", "--continue", *display)
    assert more[0].read < 90
    claude.stop()
