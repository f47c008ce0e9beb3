"""What a browser asks before and with a page's requests (the Fetch standard's CORS protocol)."""

import httpx
import pytest

from conftest import BINARY, KEY, QWEN, Server
import subprocess

CHAT = "/v1/chat/completions"
BODY = {"messages": [{"role": "user", "content": "count"}], "temperature": 0}
PAGE = "http://localhost:5173"
SITE = "https://example.org"


def preflight(server, origin, headers="authorization,content-type,x-stainless-os"):
    return httpx.options(server.url + CHAT, headers={
        "Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": headers})


def test_a_page_of_this_machine_may_with_a_key(keyed_server):
    asked = preflight(keyed_server, PAGE)
    assert asked.status_code == 204
    assert "content-length" not in asked.headers
    assert asked.headers["access-control-allow-origin"] == PAGE
    assert asked.headers["access-control-allow-headers"] == "authorization,content-type,x-stainless-os"
    assert "POST" in asked.headers["access-control-allow-methods"]
    headers = {"Origin": PAGE, "Authorization": "Bearer " + KEY}
    answer = keyed_server.post(CHAT, BODY, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "x-kvasir-cache" in answer.headers["access-control-expose-headers"]
    assert answer.headers["vary"] == "Origin"
    refused = keyed_server.post(CHAT, BODY, headers={"Origin": PAGE})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == PAGE, "else the page cannot read why"


def test_streams_and_errors_carry_the_headers(server):
    with httpx.stream("POST", server.url + CHAT, json={**BODY, "stream": True}, headers={"Origin": PAGE}) as stream:
        assert stream.headers["access-control-allow-origin"] == PAGE
        assert stream.read().endswith(b"data: [DONE]\n\n")
    for path, sent in ((CHAT, b"{"), ("/nowhere", b"{}")):
        assert server.post(path, sent, headers={"Origin": PAGE}).headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize("origin", [SITE, "null"])
def test_another_page_may_not(server, origin):
    asked = preflight(server, origin)
    assert asked.status_code == 403
    assert "access-control-allow-origin" not in asked.headers
    # What a page may send without asking first.
    done = server.metric("kvasir:requests_finished_total")
    reply = httpx.post(server.url + CHAT, content=str(BODY), headers={"Origin": origin, "Content-Type": "text/plain"})
    assert reply.status_code == 403
    assert "--cors-origin" in reply.json()["error"]["message"]
    assert server.metric("kvasir:requests_finished_total") == done
    seen = httpx.get(server.url + "/v1/models", headers={"Origin": origin})
    assert seen.status_code == 200
    assert "access-control-allow-origin" not in seen.headers


def test_named_origins_and_every_origin(tmp_path):
    named = Server(tmp_path, "--cors-origin", SITE, "--cors-origin", "https://*.lab.example")
    try:
        for origin in (SITE, "https://a.lab.example", PAGE):
            assert preflight(named, origin).headers["access-control-allow-origin"] == origin
        assert preflight(named, "https://example.net").status_code == 403
    finally:
        assert named.stop() == 0
    every = Server(tmp_path, "--cors-origin", "*")
    try:
        assert preflight(every, "https://example.net").headers["access-control-allow-origin"] == "*"
    finally:
        assert every.stop() == 0


def test_what_is_no_origin_is_told_at_start():
    run = subprocess.run([BINARY, "serve", "-m", QWEN, "-p", "0", "--cors-origin", "example.org"], capture_output=True,
                         text=True, timeout=60)
    assert run.returncode == 1
    assert "--cors-origin example.org is no origin" in run.stderr
