"""The life of `kvasir service` under a live `systemd --user`: installed, asked, killed, stopped, forgotten."""

import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

import httpx
import pytest

SESSION = pathlib.Path(__file__).with_name("systemd_session.sh")


def test_the_service_lives_and_dies_as_systemd_wants(tmp_path):
    from conftest import BINARY

    done = subprocess.run([SESSION, tmp_path, sys.executable, __file__, BINARY, tmp_path], capture_output=True, text=True, timeout=300)
    if done.returncode == 77:
        pytest.skip("no systemd --user can be started here " + done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    return done.returncode, done.stdout + done.stderr


def until(condition):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if condition():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(run("systemctl", "--user", "status", "kvasir.service", "--no-pager"))


def live(binary, folder):
    from conftest import QWEN, free_port

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    script = pathlib.Path(folder) / "script $HOME 50%.json"  # words that a unit has to quote
    script.write_text(json.dumps({"rules": [{"reply": "hello"}, {"when": "slowly", "reply": "1 " * 60, "delay_ms_per_step": 50}]}))

    def service(*words):
        return run(binary, "service", *words)

    def shown(name):
        return run("systemctl", "--user", "show", "-p", name, "--value", "kvasir.service")[1].strip()

    def healthy():
        return httpx.get(url + "/health").json()["status"] == "ok"

    def ask(text, **more):
        body = {"messages": [{"role": "user", "content": text}], "max_tokens": 60, **more}
        return httpx.post(url + "/v1/chat/completions", json=body, timeout=60)

    code, said = service("install", "--", "-m", str(QWEN), "--executor", "scripted", "--script", str(script), "--memory", "450MB",
                         "--cache-disk", "0", "-p", str(port))
    assert code == 0 and "installed" in said, said
    until(healthy)
    assert ask("x").json()["choices"][0]["message"]["content"] == "hello"
    code, said = service("status")
    assert code == 0 and ", active" in said and "ready" in said, said
    assert run("systemctl", "--user", "is-enabled", "kvasir.service")[1].strip() == "enabled"
    until(lambda: "/v1/chat/completions" in service("logs", "-n", "20")[1])

    first = shown("MainPID")
    os.kill(int(first), 9)
    until(lambda: shown("MainPID") not in (first, "0") and healthy())
    assert shown("NRestarts") == "1"

    answers = []
    asked = threading.Thread(target=lambda: answers.append(ask("slowly").json()))
    asked.start()
    until(lambda: re.search(r"num_requests_running(\{.*\})? 1", httpx.get(url + "/metrics").text))
    assert run("systemctl", "--user", "stop", "kvasir.service")[0] == 0
    asked.join()
    assert answers[0]["choices"][0]["finish_reason"] == "length"
    until(lambda: shown("ActiveState") == "inactive")
    assert (shown("Result"), shown("ExecMainStatus")) == ("success", "0")
    code, said = service("status")
    assert code == 3 and ", inactive" in said, said
    assert "stopped" in service("logs")[1]

    # It comes back with the session, and goes for good when it is uninstalled.
    assert run("systemctl", "--user", "start", "default.target")[0] == 0
    assert run("systemctl", "--user", "restart", "kvasir.service")[0] == 0
    until(healthy)
    assert service("uninstall")[0] == 0
    with pytest.raises(httpx.TransportError):
        healthy()
    assert "0 unit files" in run("systemctl", "--user", "list-unit-files", "kvasir.service", "--no-pager")[1]
    assert service("status")[1].startswith("service    not installed")


if __name__ == "__main__":
    live(*sys.argv[1:])
