"""/admin/cache: what `kvasir cache` does, on a running server."""

import threading

import httpx
import pytest

from conftest import KEY, Server
from test_disk_cache import SETTLED_SECONDS, ask, cache, chat, folder, listed, prompt, serve, stopped  # noqa: F401

OTHER = "other-key"
KEYS = ["--api-key", KEY, "--api-key", OTHER]


class Admin:
    def __init__(self, server, key=None):
        self.server = server
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def get(self, path=""):
        return self.check(httpx.get(self.server.url + "/admin/cache" + path, headers=self.headers, timeout=60))

    def post(self, what, body=None, status=200):
        url = f"{self.server.url}/admin/cache/{what}"
        return self.check(httpx.post(url, json=body or {}, headers=self.headers, timeout=60), status)

    @staticmethod
    def check(reply, status=200):
        assert reply.status_code == status, reply.text
        return reply.json()


def settle(server, records):
    server.wait_metric("kvasir:disk_records", lambda count: count >= records)


def test_stats_and_conversations_tell_what_is_in_memory_and_on_disk(serve):
    server = serve()
    answers = [chat(server, ask(prompt(f"stats {i}", 200 * (i + 1)))) for i in range(3)]
    settle(server, sum(-(-a.prompt // 64) for a in answers))
    admin = Admin(server)
    stats = admin.get()
    assert stats["object"] == "cache"
    assert stats["memory"]["conversations"] == 3
    assert stats["memory"]["blocks"] == stats["memory"]["blocks_free"] + stats["memory"]["blocks_cached"]
    assert stats["disk"]["conversations"] == 3
    assert stats["disk"]["records"] == server.metric("kvasir:disk_records")
    assert stats["disk"]["bytes"] <= stats["disk"]["folder_bytes"] <= stats["disk"]["capacity_bytes"]
    listing = admin.get("/conversations")
    newest = answers[::-1]
    for tier in ["memory", "disk"]:
        assert listing[tier]["total"] == 3
        tokens = [c["tokens"] for c in listing[tier]["data"]]
        assert all(a.prompt <= t <= a.computed for a, t in zip(newest, tokens)), (tokens, [a.prompt for a in newest])
    one = admin.get("/conversations?limit=1")
    assert (one["disk"]["total"], len(one["disk"]["data"]), len(one["memory"]["data"])) == (3, 1, 1)
    assert [c["tokens"] for c in one["disk"]["data"]] == [listing["disk"]["data"][0]["tokens"]]


def test_the_session_of_a_conversation_is_shown(serve):
    server = serve()
    chat(server, ask(prompt("keyed")), extra_body={"prompt_cache_key": "session-1"})
    body = {"model": "default", "max_tokens": 3, "messages": ask(prompt("claude"))}
    assert server.post("/v1/messages", body, headers={"x-claude-code-session-id": "session-2"}).status_code == 200
    chat(server, ask(prompt("keyless")))
    shown = [c["prompt_cache_key"] for c in Admin(server).get("/conversations")["memory"]["data"]]
    assert shown == [None, "session-2", "session-1"]


def test_clear_empties_both_tiers_and_new_work_is_kept(serve, folder):
    server = serve()
    messages = ask(prompt("cleared"))
    cold = chat(server, messages)
    settle(server, cold.prompt // 64)
    cleared = Admin(server).post("clear")
    assert cleared["memory_blocks"] >= cold.prompt // 64
    assert cleared["disk_bytes"] > 0
    assert cleared["replayed_turns"] == 1
    stats = Admin(server).get()
    assert stats["memory"]["conversations"] == stats["disk"]["conversations"] == 0
    assert stats["memory"]["blocks_free"] == stats["memory"]["blocks"]
    again = chat(server, messages)
    assert (again.cached, again.text) == (0, cold.text)
    assert chat(server, messages).cached == cold.prompt - 1
    stopped(server)
    assert cache("verify", folder).returncode == 0
    assert chat(serve(), messages).cached == cold.prompt - 1


def test_clear_does_no_harm_to_what_runs(serve):
    server = serve()
    messages = ask(prompt("running") + " slowly")
    body = {"model": "default", "messages": messages, "temperature": 0, "stream": True, "max_tokens": 60}
    with httpx.stream("POST", server.url + "/v1/chat/completions", json=body, timeout=60) as reply:
        lines = reply.iter_lines()
        next(lines)
        Admin(server).post("clear")
        text = "".join(lines)
    assert "[DONE]" in text and "error" not in text
    warm = chat(server, messages, max_tokens=3)
    assert warm.cached == warm.prompt - 1


def test_memory_alone_can_be_looked_at_and_cleared(tmp_path):
    server = Server(tmp_path)
    try:
        admin = Admin(server)
        chat(server, ask(prompt("memory")))
        stats = admin.get()
        assert stats["disk"] is None
        assert stats["memory"]["conversations"] >= 1
        assert admin.get("/conversations")["disk"] == {"total": 0, "data": []}
        assert admin.post("clear")["disk_bytes"] == 0
        assert admin.get()["memory"]["conversations"] == 0
        for what, body in [("verify", {}), ("prune", {"keep_bytes": 0}), ("export", {"file": "a"})]:
            refused = admin.post(what, body, status=400)
            assert "no cache on disk" in refused["error"]["message"]
    finally:
        assert server.stop() == 0


def test_verify_finds_what_is_damaged_and_it_is_not_served(serve, folder):
    server = serve()
    messages = ask(prompt("verified", 600))
    cold = chat(server, messages)
    settle(server, cold.prompt // 64)
    admin = Admin(server)
    sound = admin.post("verify")
    assert (sound["unsound"], sound["problems"]) == (0, [])
    assert sound["records"] >= cold.prompt // 64
    (segment,) = folder.glob("seg-*.kvs")
    with segment.open("r+b") as file:
        file.seek(3 * 4096)  # inside the first records: a payload, or padding behind one
        for at in range(2 * 4096, 2 * 4096 + 64):
            file.seek(at)
            file.write(b"\xff")
    damaged = admin.post("verify")
    assert damaged["unsound"] == 1 and len(damaged["problems"]) == 1
    assert segment.name in damaged["problems"][0]
    assert admin.post("verify")["unsound"] == 0
    assert chat(server, messages).text == cold.text


def test_prune_keeps_what_may_stay(serve):
    server = serve()
    for i in range(4):
        settle(server, chat(server, ask(prompt(f"pruned {i}", 300))).prompt // 64)
    admin = Admin(server)
    before = admin.get()["disk"]["bytes"]
    given = admin.post("prune", {"keep_bytes": before // 2})["given_back_bytes"]
    after = admin.get()["disk"]["bytes"]
    assert after <= before // 2
    assert before - after == given
    assert admin.post("prune", {"keep_bytes": before})["given_back_bytes"] == 0


def test_an_export_is_imported_by_another_server(serve, tmp_path, folder):
    first = serve()
    messages = ask(prompt("moved"))
    cold = chat(first, messages)
    settle(first, cold.prompt // 64)
    exported = Admin(first).post("export", {"file": "moved.kvs"})
    assert exported["records"] >= cold.prompt // 64
    assert exported["path"] == str(folder / "exports" / "moved.kvs")
    assert "already" in Admin(first).post("export", {"file": "moved.kvs"}, status=400)["error"]["message"]
    place = tmp_path / "other"
    (place / "exports").mkdir(parents=True)
    (folder / "exports" / "moved.kvs").rename(place / "exports" / "moved.kvs")
    second = serve(place=place)
    assert Admin(second).post("import", {"file": "moved.kvs"}) == {
        "object": "cache.import", "records": exported["records"], "left_out": 0
    }
    assert Admin(second).post("import", {"file": "moved.kvs"})["records"] == 0
    assert chat(second, messages).cached >= cold.prompt // 64 * 64
    missing = Admin(second).post("import", {"file": "missing"}, status=404)
    assert missing["error"]["param"] == "file"
    (place / "exports" / "junk").write_bytes(b"x" * 10000)
    assert "no export" in Admin(second).post("import", {"file": "junk"}, status=400)["error"]["message"]


@pytest.mark.parametrize("name", ["../escape", "/etc/passwd", "", ".hidden", "a/b", "a b", "x" * 101, 5, None])
def test_a_file_is_named_plainly(serve, name):
    for what in ["export", "import"]:
        error = Admin(serve()).post(what, {"file": name}, status=400)["error"]
        assert "file" in error["message"] and error["type"] == "invalid_request_error"


def test_wrong_requests_are_told_in_openais_shape(serve):
    server = serve()
    admin = Admin(server)
    for body in [{}, {"keep_bytes": -1}, {"keep_bytes": "all"}]:
        assert "keep_bytes" in admin.post("prune", body, status=400)["error"]["message"]
    assert httpx.get(server.url + "/admin/cache/conversations?limit=x").json()["error"]["param"] == "limit"
    assert httpx.get(server.url + "/admin/cache/clear").status_code == 405
    assert httpx.delete(server.url + "/admin/cache").status_code == 405
    assert httpx.get(server.url + "/admin/other").status_code == 404


def test_a_key_sees_and_clears_its_own_only(serve, folder):
    server = serve(*KEYS)
    for path in ["", "/conversations"]:
        assert httpx.get(server.url + "/admin/cache" + path).status_code == 401
    assert httpx.post(server.url + "/admin/cache/clear", headers={"x-api-key": "wrong"}).status_code == 401
    mine, others = Admin(server, KEY), Admin(server, OTHER)
    messages = ask(prompt("whose"))
    cold = chat(server, messages, key=KEY)
    chat(server, messages, key=KEY, extra_body={"cache_salt": "pepper"})
    settle(server, 2 * (cold.prompt // 64))
    assert others.get()["memory"]["conversations"] == others.get()["disk"]["conversations"] == 0
    assert others.get("/conversations") == {
        "object": "cache.conversations", "memory": {"total": 0, "data": []}, "disk": {"total": 0, "data": []}
    }
    assert others.post("verify")["records"] == 0
    assert others.post("export", {"file": "others"})["records"] == 0
    assert others.post("prune", {"keep_bytes": 0})["given_back_bytes"] == 0
    nothing = others.post("clear")
    assert (nothing["memory_blocks"], nothing["disk_bytes"], nothing["replayed_turns"]) == (0, 0, 0)
    assert chat(server, messages, key=KEY).cached == cold.prompt - 1
    shown = mine.get("/conversations")["disk"]["data"]
    assert sorted(c["salted"] for c in shown) == [False, True]
    assert "key" not in str(shown) and "salt:" not in str(shown)
    # What one key has exported another cannot take in.
    records = mine.post("export", {"file": "mine"})["records"]
    assert others.post("import", {"file": "mine"}) == {"object": "cache.import", "records": 0, "left_out": records}
    assert mine.post("clear")["memory_blocks"] > 0
    assert mine.get()["disk"]["conversations"] == 0
    assert mine.post("import", {"file": "mine"})["records"] == records


def test_a_second_process_looks_and_changes_nothing(serve):
    first = serve()
    cold = chat(first, ask(prompt("second")))
    settle(first, cold.prompt // 64)
    second = Admin(serve())
    assert second.get()["disk"]["read_only"] is True
    assert second.post("verify")["unsound"] == 0
    assert "another process" in second.post("prune", {"keep_bytes": 0}, status=503)["error"]["message"]
    assert second.post("clear")["disk_bytes"] == 0
    assert Admin(first).get()["disk"]["records"] >= cold.prompt // 64


def test_clearing_again_and_again_under_load_does_no_harm(serve):
    server = serve()
    stop = threading.Event()
    faults = []

    def clear():
        while not stop.is_set():
            for what in ["clear", "verify"]:
                reply = Admin(server).post(what)
                if reply.get("unsound"):
                    faults.append(reply)

    cleaner = threading.Thread(target=clear)
    cleaner.start()
    try:
        for i in range(30):
            assert chat(server, ask(prompt(f"load {i % 5}", 400))).text == "I am a script."
    finally:
        stop.set()
        cleaner.join()
    assert not faults
    stopped(server)
