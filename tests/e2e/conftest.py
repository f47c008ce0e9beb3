"""Starts the real program, on the scripted executor or a real model, and gives clients for it."""

import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time

import anthropic
import httpx
import openai
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("KVASIR_BIN", str(ROOT / "build" / "kvasir"))
MODELS = pathlib.Path(os.environ.get("KVASIR_MODELS", pathlib.Path.home() / ".cache" / "kvasir" / "models"))
QWEN = MODELS / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
KEY = "secret-key"
# What servers leave for other commands is the tests' own.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="kvasir-state-")
# And what their user has configured is none of theirs.
os.environ["KVASIR_CONFIG"] = ""

CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>'
CALLS = "Two.\n" + CALL + '\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'
FENCED = 'Sure:\n```json\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n```'
RULES = [
    {"reply": "I am a script."},
    {"when": "count", "reply": "one two three four five six seven eight nine ten"},
    {"when": "emoji", "reply": "naïve 漢字 👩‍🚀 done"},
    {"when": "slowly", "reply": " ".join(str(i) for i in range(400)), "delay_ms_per_step": 20},
    {"when": "weather", "reply": CALL},
    {"when": "two cities", "reply": CALLS},
    {"when": "fenced", "reply": FENCED},
    {"when": "not a call", "reply": '<tool_call>\nnothing here\n</tool_call> {"name": "bob"}'},
    {"when": "<tool_response>", "reply": "It is 4 degrees in Oslo."},
]

TOOL_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
OPENAI_TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": TOOL_SCHEMA}}
]
ANTHROPIC_TOOLS = [{"name": "get_weather", "description": "Weather", "input_schema": TOOL_SCHEMA}]


def pytest_configure(config):
    config.addinivalue_line("markers", "real: runs a real model (minutes, not seconds)")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A running `kvasir serve`."""

    def __init__(self, folder, *arguments, rules=None, ready=True, model=None, tokenizer=QWEN, popen=None, **script):
        """Plays `rules` on the scripted executor with the tokenizer of a model's file, or serves `model` for real.
        `popen`: more arguments for Popen."""
        self.choose_port(folder)
        command = [BINARY, "serve", "-m", str(model or tokenizer)]
        if "--cache-folder" not in arguments:
            command += ["--cache-disk", "0"]
        if model is None:
            path = folder / f"script-{self.port}.json"
            path.write_text(json.dumps({"rules": rules or RULES, **script}))
            command += ["--executor", "scripted", "--script", str(path), "--memory", "450MB"]
        self.launch([*command, "-p", str(self.port), *arguments], popen)
        if ready:
            self.wait_ready()

    def choose_port(self, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"serve-{self.port}.log"

    def launch(self, command, popen=None):
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, **(popen or {}))

    def wait_ready(self):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(self.url + "/health").json()["status"] == "ok":
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError("the server did not become ready: " + self.log.read_text())

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=30)

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=30)

    def metric(self, name):
        text = httpx.get(self.url + "/metrics", headers={"x-api-key": KEY}).text
        found = re.search(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
        assert found, f"{name} is not in\n{text}"
        return float(found.group(1))

    def wait_metric(self, name, condition, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition(self.metric(name)):
                return
            time.sleep(0.02)
        raise AssertionError(f"{name} stayed {self.metric(name)}")

    def post(self, path, body, **keywords):
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        return httpx.post(self.url + path, timeout=60, **sent, **keywords)

    def openai(self, api_key="any", **keywords):
        return openai.OpenAI(base_url=self.url + "/v1", api_key=api_key, max_retries=0, **keywords)

    def anthropic(self, api_key="any", **keywords):
        return anthropic.Anthropic(base_url=self.url, api_key=api_key, max_retries=0, **keywords)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("server"))
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="session")
def keyed_server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("keyed"), "--api-key", KEY)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def oai(server):
    return server.openai()


@pytest.fixture(scope="session")
def ant(server):
    return server.anthropic()
