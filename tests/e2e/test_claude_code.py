"""Claude Code itself, offline on loopback, through a real tool call and its result. tools/e2e.sh installs it, pinned."""

import os
import subprocess
from pathlib import Path

import pytest

from conftest import Server

CLAUDE = os.environ.get("KVASIR_CLAUDE", "")
RULES = [
    {"reply": "I can help with that."},
    {
        "when": "list the files here",
        "unless": "<tool_response>",
        "reply": 'I will look.\n<tool_call>\n{"name": "Bash", "arguments": {"command": "ls", "description": "List"}}\n</tool_call>',
    },
    {"when": "alpha.txt\nbeta.py", "reply": "The files here are alpha.txt and beta.py."},
]


def ask(server, tmp_path, question):
    work = tmp_path / "work"
    home = tmp_path / "home"
    for folder in (work, home):
        folder.mkdir(exist_ok=True)
    (work / "alpha.txt").touch()
    (work / "beta.py").touch()
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm", "IS_SANDBOX": "1",
        "ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_AUTH_TOKEN": "local", "ANTHROPIC_MODEL": "default",
        "ANTHROPIC_SMALL_FAST_MODEL": "default", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
    }
    return subprocess.run([CLAUDE, "-p", question, "--allowedTools", "Bash"], cwd=work, env=environment,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180)


@pytest.mark.skipif(not CLAUDE, reason="KVASIR_CLAUDE is not set; run tools/e2e.sh")
def test_claude_code_lists_files_through_a_tool_call(tmp_path):
    assert Path(CLAUDE).exists()
    server = Server(tmp_path, rules=RULES)
    try:
        done = ask(server, tmp_path, "list the files here")
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "The files here are alpha.txt and beta.py."
        # Question -> tool_use, tool_result -> answer: two requests, of which the second reads only what is new.
        assert server.metric("kvasir:requests_finished_total") == 2
        prompt = server.metric("vllm:prompt_tokens_total")
        cached = server.metric("vllm:prefix_cache_hits")
        first = (prompt - 100) / 2  # a turn adds far less than 100 tokens
        assert cached > first, "the second request found the first one's prompt and answer"
        assert prompt - cached < first + 200
    finally:
        server.stop()
