"""What any client may do to the server, and what it may not."""

import concurrent.futures
import json
import socket
import subprocess
import threading
import time

import httpx
import pytest

from conftest import BINARY, KEY, QWEN, Server

CHAT = "/v1/chat/completions"


def body(text="Hello", **more):
    return {"messages": [{"role": "user", "content": text}], "temperature": 0, **more}


def test_keys(keyed_server):
    for headers, status in [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer " + KEY + "x"}, 401),
        ({"x-api-key": KEY[:-1]}, 401),
        ({"Authorization": "Bearer " + KEY}, 200),
        ({"authorization": "bearer " + KEY}, 200),
        ({"x-api-key": KEY}, 200),
        # Both, as some clients have it: one right key is enough.
        ({"Authorization": "Bearer " + KEY, "x-api-key": "other"}, 200),
    ]:
        reply = keyed_server.post(CHAT, body(), headers=headers)
        assert reply.status_code == status, headers
        if status == 401:
            assert reply.json()["error"]["code"] == "invalid_api_key"
    assert keyed_server.post("/v1/messages", {}).json()["error"]["type"] == "authentication_error"
    assert httpx.get(keyed_server.url + "/health").status_code == 200
    assert httpx.get(keyed_server.url + "/v1/models").status_code == 401


def test_routes(server):
    assert httpx.head(server.url + "/").status_code == 200
    assert httpx.get(server.url + "/").status_code == 200
    assert server.post("/v1/nothing", {}).status_code == 404
    assert server.post("/v1/nothing", {}).json()["error"]["message"]
    wrong = httpx.get(server.url + CHAT)
    assert wrong.status_code == 405
    assert "POST" in wrong.headers["allow"]
    assert httpx.get(server.url + "/v1/messages").json()["type"] == "error"
    shape = httpx.get(server.url + "/v1/models", headers={"anthropic-version": "2023-06-01"}).json()
    assert "has_more" in shape
    assert httpx.get(server.url + "/v1/models").json()["object"] == "list"


def test_aliases(server):
    model = httpx.get(server.url + "/v1/models").json()["data"][0]["id"]
    for name in [model, "default", "current-model", str(QWEN), QWEN.name]:
        assert server.post(CHAT, body(model=name)).status_code == 200, name
    assert server.post(CHAT, body(model="gpt-4o")).status_code == 404


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b'{"messages": "\xff"}', "UTF-8"),
        (b"[" * 100000, "JSON"),
        (b"null", "object"),
        (json.dumps({"messages": [{"role": "user", "content": "x"}], "n": "three"}).encode(), "n: "),
        (json.dumps({"messages": [{"role": "user", "content": "x"}], "logit_bias": {"999999": 1}}).encode(), "logit_bias"),
    ],
)
def test_bad_bodies(server, content, words):
    reply = server.post(CHAT, content)
    assert reply.status_code == 400
    assert words in reply.json()["error"]["message"]


def test_large_body_is_refused_and_the_server_goes_on(server):
    reply = server.post(CHAT, b"x" * (100 << 20))
    assert reply.status_code == 413
    assert reply.json()["error"]["message"]
    assert server.post(CHAT, body()).status_code == 200


def raw(server, text, timeout=15):
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as s:
        s.sendall(text)
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
        return answer


def test_not_http(server):
    assert raw(server, b"\x16\x03\x01\x02\x00garbage\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert raw(server, b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * 200000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431")


def test_keep_alive_serves_many_requests(server):
    with httpx.Client(base_url=server.url) as client:
        for _ in range(5):
            assert client.post(CHAT, json=body()).status_code == 200
            assert client.post(CHAT, json={}).status_code == 400
            assert client.get("/nothing").status_code == 404


def test_http_1_0(server):
    content = json.dumps(body(stream=True)).encode()
    head = f"POST {CHAT} HTTP/1.0\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    answer = raw(server, head + content)
    assert b"[DONE]" in answer
    assert b"chunked" not in answer.lower()


def test_expect_continue(server):
    content = json.dumps(body()).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
        s.sendall(
            f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        )
        assert s.recv(1000).startswith(b"HTTP/1.1 100")
        s.sendall(content)
        assert s.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("stream", [False, True])
def test_client_that_goes_away_cancels_its_request(server, stream):
    before = server.metric("kvasir:requests_cancelled_total")
    content = json.dumps(body("slowly", stream=stream)).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
        server.wait_metric("vllm:num_requests_running", lambda v: v >= 1)
    server.wait_metric("kvasir:requests_cancelled_total", lambda v: v == before + 1, seconds=2)
    server.wait_metric("vllm:num_requests_running", lambda v: v == 0, seconds=2)


def test_many_at_once(server):
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda i: server.post(CHAT, body(f"{i} count")).json(), range(48)))
    texts = {a["choices"][0]["message"]["content"] for a in answers}
    assert texts == {"one two three four five six seven eight nine ten"}


def test_full_queue_is_503_and_the_rest_goes_on(tmp_path):
    busy = Server(tmp_path, rules=[{"reply": "one two three four five six", "delay_ms_per_step": 100}])
    try:
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            replies = list(pool.map(lambda i: busy.post(CHAT, body(f"{i}", n=100)), range(6)))
        refused = [r for r in replies if r.status_code == 503]
        answered = [r for r in replies if r.status_code == 200]
        assert refused and answered and len(refused) + len(answered) == 6
        assert all(int(r.headers["retry-after"]) > 0 and r.json()["error"]["message"] for r in refused)
        assert all(len(r.json()["choices"]) == 100 for r in answered)
        busy.wait_metric("vllm:num_requests_running", lambda v: v == 0)
        # Nothing is lost: every KV block is free or cached.
        held = busy.metric("kvasir:kv_blocks_free") + busy.metric("kvasir:kv_blocks_cached")
        assert held == busy.metric("kvasir:kv_blocks")
    finally:
        busy.stop()


def test_metrics(server):
    server.post(CHAT, body())
    for name in [
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
        "vllm:prompt_tokens_total",
        "vllm:generation_tokens_total",
        "vllm:time_to_first_token_seconds_count",
    ]:
        server.metric(name)


def test_health_while_loading_and_a_clean_stop(tmp_path):
    starting = Server(tmp_path, ready=False)
    first = None
    end = time.monotonic() + 30
    while first is None and time.monotonic() < end:
        try:
            first = httpx.get(starting.url + "/health").json()
        except httpx.TransportError:
            time.sleep(0.005)
    assert first["status"] in ("loading", "ok")
    starting.wait_ready()
    assert starting.stop() == 0


def test_stop_lets_answers_end(tmp_path):
    running = Server(tmp_path, rules=[{"reply": "one two three four five", "delay_ms_per_step": 150}])
    answers = []
    asking = threading.Thread(target=lambda: answers.append(running.post(CHAT, body())))
    asking.start()
    running.wait_metric("vllm:num_requests_running", lambda v: v == 1)
    assert running.stop() == 0
    asking.join()
    assert answers[0].json()["choices"][0]["message"]["content"] == "one two three four five"


def test_taken_port_is_one_clear_line(server):
    second = subprocess.run(
        [BINARY, "serve", "-m", str(QWEN), "-p", str(server.port)], capture_output=True, text=True, timeout=30
    )
    assert second.returncode != 0
    said = [line for line in second.stderr.splitlines() if "cannot listen" in line]
    assert len(said) == 1 and str(server.port) in said[0]


def test_missing_model_is_one_clear_line():
    missing = subprocess.run([BINARY, "serve", "-m", "/no/such.gguf"], capture_output=True, text=True, timeout=30)
    assert missing.returncode != 0
    assert "/no/such.gguf" in missing.stderr
