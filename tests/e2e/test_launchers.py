"""`kvasir claude` and its like: the agents themselves, offline, in one command on a server that it starts or finds."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from conftest import BINARY, KEY, QWEN, Server, free_port

CLIENTS = {name: os.environ.get("KVASIR_" + name.upper(), "") for name in ("claude", "codex", "opencode", "qwen")}
RULES = [
    {"reply": "I can help with that."},
    {"when": "say the word", "reply": "The word is heron."},
    {
        "when": "list the files here",
        "unless": "<tool_response>",
        "reply": 'I will look.\n<tool_call>\n{"name": "Bash", "arguments": {"command": "ls", "description": "List"}}\n</tool_call>',
    },
    {
        "when": "show the folder",
        "unless": "<tool_response>",
        "reply": 'I will look.\n<tool_call>\n{"name": "exec_command", "arguments": {"cmd": "ls"}}\n</tool_call>',
    },
    {"when": "alpha.txt\nbeta.py", "reply": "The files here are alpha.txt and beta.py."},
]


def real(name):
    return pytest.mark.skipif(not CLIENTS[name], reason=f"KVASIR_{name.upper()} is not set; run tools/e2e.sh")


class Desk:
    """A user's folders, and a port where a server may come to run."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.work = folder / "work"
        self.state = folder / "state" / "kvasir"
        for path in (self.work, folder / "home"):
            path.mkdir()
        for name in ("alpha.txt", "beta.py"):
            (self.work / name).touch()
        self.script = folder / "script.json"
        self.script.write_text(json.dumps({"rules": RULES}))
        programs = [str(Path(path).parent) for path in CLIENTS.values() if path]
        self.environment = {
            "PATH": os.pathsep.join([*programs, os.environ["PATH"]]), "HOME": str(folder / "home"), "TERM": "xterm",
            "XDG_STATE_HOME": str(folder / "state"), "IS_SANDBOX": "1",
        }

    def model(self):
        return ["-m", str(QWEN), "--executor", "scripted", "--script", str(self.script), "--memory", "450MB",
                "--cache-disk", "0", "--port", str(self.port)]

    def run(self, *words, environment=None, program=BINARY):
        return subprocess.run([program, *words], cwd=self.work, env={**self.environment, **(environment or {})},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180)

    def record(self):
        return json.loads((self.state / f"server-{self.port}.json").read_text())

    def log(self):
        return (self.state / f"server-{self.port}.log").read_text()

    def runs(self):
        try:
            return httpx.get(self.url + "/health").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    yield desk
    if desk.runs():
        done = desk.run("service", "stop", "--port", str(desk.port))
        assert done.returncode == 0, done.stderr


def said(done):
    return f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"


@real("claude")
def test_one_command_starts_a_server_and_runs_claude_code_on_it(desk):
    done = desk.run("claude", *desk.model(), "-p", "list the files here", "--allowedTools", "Bash")
    assert done.stdout.strip() == "The files here are alpha.txt and beta.py.", said(done)
    assert done.returncode == 0
    assert "starting a server" in done.stderr
    record = desk.record()
    assert stat.S_IMODE((desk.state / f"server-{desk.port}.json").stat().st_mode) == 0o600

    # It stays, and the next command finds it: no model has to be named.
    again = desk.run("claude", "--port", str(desk.port), "-p", "say the word")
    assert again.stdout.strip() == "The word is heron.", said(again)
    assert "kvasir:" not in again.stderr
    assert desk.record() == record

    status = desk.run("service", "status")
    assert f"127.0.0.1:{desk.port}  {record['model']}  ready  process {record['process']}" in status.stdout
    logs = desk.run("service", "logs", "--port", str(desk.port))
    assert logs.returncode == 0 and "client=claude-cli/2.1.328" in logs.stdout
    for line in re.findall(r"req_.*", desk.log()):
        assert "files" not in line and "heron" not in line, "the log tells nothing of what was said"

    stopped = desk.run("service", "stop", "--port", str(desk.port))
    assert stopped.returncode == 0, said(stopped)
    assert not desk.runs()
    assert not (desk.state / f"server-{desk.port}.json").exists()
    assert "none runs" in desk.run("service", "status").stdout


@real("claude")
def test_claude_code_knows_the_models_window(desk):
    done = desk.run("claude", *desk.model(), "--ctx", "30000", "-p", "say the word", "--output-format", "json")
    usage = next(iter(json.loads(done.stdout)["modelUsage"].values()))
    assert usage["contextWindow"] == 30000, said(done)


@real("claude")
def test_a_key_is_taken_from_the_running_servers_record(desk):
    started = desk.run("claude", *desk.model(), "--api-key", KEY, "-p", "say the word")
    assert started.stdout.strip() == "The word is heron.", said(started)
    found = desk.run("claude", "--port", str(desk.port), "-p", "say the word")
    assert found.stdout.strip() == "The word is heron.", said(found)
    wrong = desk.run("claude", "--port", str(desk.port), "--api-key", "other", "-p", "say the word")
    assert wrong.returncode == 1 and "asks for another API key" in wrong.stderr


@real("claude")
def test_printed_variables_are_all_that_claude_code_needs(desk):
    server = Server(desk.folder, rules=RULES, popen={"env": desk.environment})
    try:
        line = f'eval "$({BINARY} env claude --port {server.port})" && claude -p "say the word"'
        done = desk.run("-c", line, program="/bin/sh")
        assert done.stdout.strip() == "The word is heron.", said(done)
        as_json = json.loads(desk.run("env", "claude", "--json", "--port", str(server.port)).stdout)
        assert as_json["env"]["ANTHROPIC_BASE_URL"] == server.url
    finally:
        server.stop()


@real("claude")
def test_anyclaude_modes_choose_the_server_or_the_hosted_api(desk):
    server = Server(desk.folder, rules=RULES, popen={"env": desk.environment})
    try:
        mode = {"ANYCLAUDE_MODE": "lmstudio", "LMSTUDIO_URL": f"http://localhost:{server.port}/v1",
                "LMSTUDIO_MODEL": "current-model"}
        done = desk.run("claude", "-p", "say the word", environment=mode)
        assert done.stdout.strip() == "The word is heron.", said(done)
        # Hosted: the client's own variables reach it unchanged; here they lead to a server that plays the hosted one.
        hosted = {"ANYCLAUDE_MODE": "claude", "ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "sk-own",
                  "ANTHROPIC_MODEL": "default", "ANTHROPIC_SMALL_FAST_MODEL": "default",
                  "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
        done = desk.run("claude", "-p", "say the word", environment=hosted)
        assert done.stdout.strip() == "The word is heron.", said(done)
        assert "hosted API" in done.stderr
        unknown = desk.run("claude", environment={"ANYCLAUDE_MODE": "openrouter"})
        assert unknown.returncode == 1 and "ANYCLAUDE_MODE=openrouter" in unknown.stderr
    finally:
        server.stop()


@real("opencode")
def test_opencode_runs_on_it(desk):
    done = desk.run("opencode", *desk.model(), "run", "say the word")
    assert "The word is heron." in done.stdout, said(done)


@real("qwen")
def test_qwen_code_runs_on_it(desk):
    done = desk.run("qwen", *desk.model(), "say the word")
    assert done.stdout.strip().endswith("The word is heron."), said(done)


@real("codex")
def test_codex_runs_a_tool_on_it(desk):
    done = desk.run("codex", *desk.model(), "exec", "--strict-config", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "show the folder")
    assert "The files here are alpha.txt and beta.py." in done.stdout, said(done)
    # The call's result is all that the second request reads anew.
    first, second = re.findall(r"POST /v1/responses 200 .*?prompt=(\d+) cached=(\d+) new=(\d+)", desk.log())
    assert int(second[1]) >= int(first[0]), said(done)


def test_a_missing_client_is_told_with_how_to_get_it(desk):
    for name, package in (("claude", "@anthropic-ai/claude-code"), ("codex", "@openai/codex")):
        done = desk.run(name, environment={"PATH": "/usr/bin:/bin"})
        assert done.returncode == 1
        assert f"npm install -g {package}" in done.stderr


@real("claude")
def test_a_server_that_cannot_start_is_told_with_its_own_words(desk):
    done = desk.run("claude", "-m", "no-such-model.gguf", "--port", str(desk.port), "-p", "say the word")
    assert done.returncode == 1
    assert "no-such-model.gguf" in done.stderr and "its log" in done.stderr
    wrong = desk.run("claude", "-m", str(QWEN), "--ctx", "many", "-p", "x")
    assert wrong.returncode == 2 and "--ctx" in wrong.stderr
    assert not desk.runs()


@real("claude")
def test_another_program_on_the_port_is_not_taken_for_the_server(desk):
    other = subprocess.Popen([sys.executable, "-m", "http.server", str(desk.port), "--bind", "127.0.0.1"],
                             cwd=desk.work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                httpx.get(desk.url)
                break
            except httpx.TransportError:
                pass
        done = desk.run("claude", "--port", str(desk.port), "-p", "say the word")
        assert done.returncode == 1 and "is not Kvasir" in done.stderr, said(done)
    finally:
        other.terminate()
        other.wait()


@real("claude")
def test_a_server_with_another_model_is_not_used(desk):
    server = Server(desk.folder, "--model-name", "mine", rules=RULES, popen={"env": desk.environment})
    try:
        done = desk.run("claude", "-m", "other-model", "--port", str(server.port), "-p", "say the word")
        assert done.returncode == 1 and "serves mine, not other-model" in done.stderr, said(done)
        named = desk.run("claude", "-m", str(QWEN), "--port", str(server.port), "-p", "say the word")
        assert named.stdout.strip() == "The word is heron.", said(named)
    finally:
        server.stop()


def test_help_tells_whose_words_are_whose(desk):
    done = desk.run("claude", "--help")
    assert done.returncode == 0 and "kvasir claude -m model.gguf" in done.stdout
    assert "Run Claude Code" in desk.run("--help").stdout
