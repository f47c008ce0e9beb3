"""Claude Code itself, pinned and installed by tools/e2e.sh, offline on loopback, in front of a server and a recorder of all it asks."""

import json
import os
import subprocess

import pytest

from conftest import Server
from recorder import Recorder

CLAUDE = os.environ.get("KVASIR_CLAUDE", "")
needs_claude = pytest.mark.skipif(not CLAUDE, reason="KVASIR_CLAUDE is not set; run tools/e2e.sh")
# What Qwen's template writes behind a question: the end of its turn and the opening of the answer's.
CLOSING_TOKENS = 5


def calls(*named, text=""):
    """A reply with these calls: pairs of a name and its arguments."""
    written = ['<tool_call>\n' + json.dumps({"name": name, "arguments": arguments}) + '\n</tool_call>' for name, arguments in named]
    return text + "\n".join(written)


def bash(command):
    return "Bash", {"command": command, "description": "Runs it"}


class Claude:
    """A user's machine in front of a server: a home, projects, and what the client asked."""

    def __init__(self, folder, server):
        self.folder = folder
        self.server = server
        self.recorder = Recorder(server.url)
        self.home = self.make_folder("home")
        self.work = self.make_folder("work")
        self.before = self.counters()

    def counters(self):
        return [self.server.metric(name) for name in ("vllm:prompt_tokens_total", "vllm:prefix_cache_hits")]

    def make_folder(self, name):
        (self.folder / name).mkdir(exist_ok=True)
        return self.folder / name

    def start(self, question, *arguments, work=None, env=None, **popen):
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "TERM": "xterm", "IS_SANDBOX": "1", "TZ": "UTC",
            "ANTHROPIC_BASE_URL": self.recorder.url, "ANTHROPIC_AUTH_TOKEN": "local", "ANTHROPIC_MODEL": "default",
            "ANTHROPIC_SMALL_FAST_MODEL": "default", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_TELEMETRY": "1",
            "CLAUDE_CODE_EXTRA_BODY": json.dumps({"explain_cache": True}), **(env or {}),
        }
        command = [CLAUDE, "-p", *([question] if question else []), *arguments]
        popen = {"stdin": subprocess.DEVNULL, **popen}
        return subprocess.Popen(command, cwd=work or self.work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen)

    def ask(self, question, *arguments, **keywords):
        """(what it printed, the requests it made)"""
        before = len(self.recorder.exchanges)
        process = self.start(question, *arguments, **keywords)
        out, errors = process.communicate(timeout=120)
        assert process.returncode == 0, out + errors
        return out.strip(), self.recorder.exchanges[before:]

    def count(self, body):
        """A request's tokens, as /v1/messages/count_tokens has them."""
        counted = {name: body[name] for name in ("model", "messages", "system", "tools", "thinking") if name in body}
        return self.server.post("/v1/messages/count_tokens", counted).json()["input_tokens"]

    def count_from(self, exchange, text):
        """Tokens of the request's first message from its last `text` on, with what closes a question."""
        body = json.loads(json.dumps(exchange.body))
        blocks = body["messages"][0]["content"]
        at = max(i for i, block in enumerate(blocks) if text in block["text"])
        whole = self.count(body)
        blocks[at]["text"] = blocks[at]["text"][: blocks[at]["text"].rindex(text)]
        del blocks[at + 1 :]
        return whole - self.count(body) + CLOSING_TOKENS

    def read_only_new(self, exchanges, known=0):
        """Every request but the first found all that the one before it had read or generated. `known`: what the first must find."""
        for exchange in exchanges:
            assert exchange.status == 200
            assert exchange.prompt == self.count(exchange.body) == exchange.cache["prompt_tokens"]
            new = max(exchange.prompt - known, 1)  # a prompt's last token is read in any case
            assert exchange.read <= new, f"{exchange.read} tokens read where {new} are new: {exchange.cache}"
            known = exchange.known_after

    def stop(self):
        """The counters say what usage says."""
        self.recorder.stop()
        done = [exchange for exchange in self.recorder.exchanges if exchange.usage]
        counted = [after - before for after, before in zip(self.counters(), self.before)]
        assert counted == [sum(e.prompt for e in done), sum(e.cached for e in done)]


@pytest.fixture(scope="module")
def scripted(tmp_path_factory, request):
    """Plays the module's RULES."""
    running = Server(tmp_path_factory.mktemp("claude"), rules=request.module.RULES)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture
def claude(scripted, tmp_path):
    machine = Claude(tmp_path, scripted)
    yield machine
    machine.stop()
