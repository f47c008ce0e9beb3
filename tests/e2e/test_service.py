"""`kvasir service` and what a server does when it is stopped. The units are judged by those who will read them."""

import json
import plistlib
import shutil
import signal
import subprocess
import threading
import time

import httpx
import pytest

from conftest import BINARY, QWEN, Server

ODD = ["-m", str(QWEN), "--api-key", 'a "b" $HOME 50% <&>', "-p", "9000"]


def install(*words, **keywords):
    return subprocess.run([BINARY, "service", "install", *words], capture_output=True, text=True, timeout=60, **keywords)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_systemd_accepts_the_unit(tmp_path):
    unit = tmp_path / "kvasir.service"
    unit.write_text(install("--print", "systemd", "--", *ODD, cwd=tmp_path).stdout)
    done = subprocess.run(["systemd-analyze", "verify", "--user", "--man=no", str(unit)], capture_output=True, text=True,
                          env={"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
    complaints = [line for line in done.stderr.splitlines() if "kvasir.service" in line]
    assert not complaints, done.stderr
    assert f"WorkingDirectory={tmp_path}" in unit.read_text()


def test_launchd_reads_the_words_as_they_were_given(tmp_path):
    plist = plistlib.loads(install("--print", "launchd", "--", *ODD, cwd=tmp_path).stdout.encode())
    assert plist["ProgramArguments"][1:] == ["serve", *ODD]
    assert plist["WorkingDirectory"] == str(tmp_path)
    # launchd.plist(5): keys that it does not know it ignores without a word.
    documented = {"Label": str, "ProgramArguments": list, "WorkingDirectory": str, "EnvironmentVariables": dict, "RunAtLoad": bool,
                  "KeepAlive": dict, "ProcessType": str, "ExitTimeOut": int, "StandardOutPath": str, "StandardErrorPath": str}
    assert {key: type(value) for key, value in plist.items()}.items() <= documented.items()
    assert plist["KeepAlive"] == {"SuccessfulExit": False} and plist["RunAtLoad"] is True
    assert plist["ProcessType"] == "Interactive"


def test_wrong_options_are_told_before_anything_is_installed(tmp_path):
    done = install("--", "-m", str(QWEN), "--ctx", "many", env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
    assert done.returncode == 2 and "--ctx" in done.stdout + done.stderr
    assert not (tmp_path / ".config").exists()


def test_without_a_service_manager_the_message_says_what_to_do(tmp_path):
    bare = {"HOME": str(tmp_path), "PATH": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    done = install("--", "-m", str(QWEN), env=bare)
    assert done.returncode == 1
    assert "no service manager" in done.stderr and "kvasir claude" in done.stderr
    for words, told in ((["uninstall"], "no service is installed"), (["logs"], "there is no log"),
                        (["stop", "--port", "1"], "no server of yours")):
        done = subprocess.run([BINARY, "service", *words], capture_output=True, text=True, env=bare)
        assert done.returncode == 1 and told in done.stderr, words
    done = subprocess.run([BINARY, "service", "status"], capture_output=True, text=True, env=bare)
    assert done.returncode == 3 and "not installed" in done.stdout and "none runs" in done.stdout


class Stream(threading.Thread):
    """A long answer being read: 400 numbers, over seconds."""

    def __init__(self, server):
        super().__init__()
        self.server, self.text, self.ended = server, "", False
        self.begun = threading.Event()
        self.start()
        assert self.begun.wait(30)

    def run(self):
        body = {"messages": [{"role": "user", "content": "slowly"}], "stream": True, "max_tokens": 60}
        try:
            with httpx.stream("POST", self.server.url + "/v1/chat/completions", json=body, timeout=60) as response:
                for piece in response.iter_text():
                    self.text += piece
                    if '"content":"' in self.text:
                        self.begun.set()
            self.ended = "data: [DONE]" in self.text
        except httpx.TransportError:
            self.begun.set()


def test_a_stopped_server_finishes_the_answers_in_flight(tmp_path):
    server = Server(tmp_path)
    stream = Stream(server)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    with pytest.raises(httpx.TransportError):  # nothing new is taken
        httpx.get(server.url + "/health")
    assert server.process.wait(timeout=30) == 0
    stream.join(timeout=30)
    assert stream.ended and '"finish_reason":"length"' in stream.text
    assert "stopped" in server.log.read_text() and "cut short" not in server.log.read_text()


def test_a_second_signal_ends_it_at_once(tmp_path):
    server = Server(tmp_path, rules=[{"reply": "x"}, {"when": "slowly", "reply": "1 " * 400, "delay_ms_per_step": 500}])
    stream = Stream(server)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=5) == 130
    stream.join(timeout=30)
    assert not stream.ended


def test_json_request_lines_have_the_figures_and_nothing_of_the_prompt(tmp_path):
    server = Server(tmp_path, "--log-format", "json")
    try:
        client = server.openai()
        for _ in range(2):
            answer = client.chat.completions.create(model="default", messages=[{"role": "user", "content": "count please"}])
        assert httpx.get(server.url + "/nowhere").status_code == 404
        request_id = server.post("/v1/chat/completions", {"messages": []}).headers["x-request-id"]
    finally:
        server.stop()
    log = server.log.read_text()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    first, second, missing, bad = lines
    assert first["path"] == "/v1/chat/completions" and first["status"] == 200
    assert second["prompt_tokens"] == answer.usage.prompt_tokens
    assert second["cached_tokens"] == answer.usage.prompt_tokens_details.cached_tokens > 0
    assert second["new_tokens"] == second["prompt_tokens"] - second["cached_tokens"]
    assert second["output_tokens"] == answer.usage.completion_tokens
    assert 0 < second["first_token_seconds"] <= second["total_seconds"]
    assert second["client"].startswith("OpenAI/Python")
    assert missing["status"] == 404 and "prompt_tokens" not in missing
    assert bad["status"] == 400 and bad["id"] == request_id
    assert "please" not in log and "seven" not in log


def test_request_lines_can_be_turned_off(tmp_path):
    server = Server(tmp_path, "--no-log-requests")
    try:
        server.openai().chat.completions.create(model="default", messages=[{"role": "user", "content": "count"}])
    finally:
        server.stop()
    assert "req_" not in server.log.read_text()
