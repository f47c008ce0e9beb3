"""Every response and event in Anthropic's dialect against the official SDK's types."""

import concurrent.futures

import httpx
import pytest
from anthropic.types import MessageTokensCount, ModelInfo
from anthropic.types.beta import BetaMessageTokensCount, BetaModelInfo

from anthropic_types import BETA, STABLE, ask_both, stream_events, valid, valid_error
from conftest import ANTHROPIC_TOOLS, KEY, Server
from test_reasoning import RULES, THOUGHT, serve

HEADERS = {"anthropic-version": "2023-06-01", "x-api-key": KEY}


def body(text, **more):
    return {"model": "default", "max_tokens": 200, "temperature": 0, "messages": [{"role": "user", "content": text}], **more}


@pytest.fixture(scope="module")
def thinking_server(tmp_path_factory):
    running = serve(tmp_path_factory.mktemp("thinking"), "Qwen-Qwen3-0.6B", rules=RULES)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.mark.parametrize("kinds", [STABLE, BETA], ids=["stable", "beta"])
@pytest.mark.parametrize(
    ("request_body", "blocks", "reason"),
    [
        (body("Hello"), ["text"], "end_turn"),
        (body("emoji"), ["text"], "end_turn"),
        (body("count", max_tokens=3), ["text"], "max_tokens"),
        (body("count", stop_sequences=["four"]), ["text"], "stop_sequence"),
        (body("weather", tools=ANTHROPIC_TOOLS), ["tool_use"], "tool_use"),
        (body("two cities", tools=ANTHROPIC_TOOLS), ["text", "tool_use", "tool_use"], "tool_use"),
        (body("Hello", explain_cache=True), ["text"], "end_turn"),
    ],
)
def test_answers(server, request_body, blocks, reason, kinds):
    message, _ = ask_both(server, request_body, kinds)
    assert [block.type for block in message.content] == blocks
    assert message.stop_reason == reason
    assert message.usage.service_tier == "standard"


@pytest.mark.parametrize("display", ["summarized", "omitted"])
def test_thoughts(thinking_server, display):
    request = body("why?", thinking={"type": "enabled", "budget_tokens": 100, "display": display})
    message, end = ask_both(thinking_server, request)
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].thinking == (THOUGHT if display == "summarized" else "")
    assert 0 < message.usage.output_tokens_details.thinking_tokens < message.usage.output_tokens
    assert end.usage.output_tokens_details == message.usage.output_tokens_details


def test_an_answer_that_fills_the_context(tmp_path):
    running = Server(tmp_path, "--ctx", "512", rules=[{"reply": "word " * 2000}])
    message, _ = ask_both(running, body("fill it", max_tokens=32000))
    assert running.stop() == 0
    assert message.stop_reason == "model_context_window_exceeded"
    assert message.usage.input_tokens + message.usage.cache_read_input_tokens + message.usage.output_tokens <= 512


def test_pings_of_a_slow_stream_are_between_valid_events(tmp_path):
    running = Server(tmp_path, rules=[{"reply": "one two", "delay_ms_per_step": 6000}])
    reply = running.post("/v1/messages", body("slowly", stream=True))
    assert running.stop() == 0
    assert "event: ping\n" in reply.text
    assert stream_events(reply.text)[-1].type == "message_stop"


def test_counts(server):
    text = server.post("/v1/messages/count_tokens", body("Hello", tools=ANTHROPIC_TOOLS)).text
    assert valid(MessageTokensCount, text) and valid(BetaMessageTokensCount, text)
    edited = server.post("/v1/messages/count_tokens", body("Hello", context_management={"edits": []})).text
    count = valid(BetaMessageTokensCount, edited)
    assert count.context_management.original_input_tokens == count.input_tokens


def test_models(server, ant):
    page = httpx.get(server.url + "/v1/models?limit=1000", headers=HEADERS)
    assert page.headers["request-id"].startswith("req_")
    found = page.json()
    assert set(found) == {"data", "has_more", "first_id", "last_id"}
    ids = [entry["id"] for entry in found["data"]]
    assert (found["first_id"], found["last_id"], found["has_more"]) == (ids[0], ids[-1], False)
    # Claude Code lists names that begin so, and no others.
    named = [name for name in ids if name.startswith(("claude", "anthropic"))]
    assert named
    for name in ids:
        one = httpx.get(f"{server.url}/v1/models/{name}", headers=HEADERS).text
        assert valid(ModelInfo, one).max_input_tokens > 0 and valid(BetaModelInfo, one)
    answer = ant.messages.create(model=named[0], max_tokens=9, messages=[{"role": "user", "content": "Hello"}])
    assert answer.model == named[0]


def test_models_page_by_page(ant):
    ids = [entry.id for entry in ant.models.list(limit=1000)]
    assert len(ids) >= 2
    # One a page: the SDK follows has_more and last_id.
    assert [entry.id for entry in ant.models.list(limit=1)] == ids
    assert [entry.id for entry in ant.models.list(after_id=ids[0])] == ids[1:]
    assert [entry.id for entry in ant.models.list(before_id=ids[-1], limit=1)] == list(reversed(ids[:-1]))


def test_head_of_the_root(server):
    reply = httpx.head(server.url + "/", headers=HEADERS)
    assert (reply.status_code, reply.content) == (200, b"")


def post(server, path, sent, headers=HEADERS):
    content = sent if isinstance(sent, bytes) else None
    return httpx.post(server.url + path, json=None if content else sent, content=content, headers=headers, timeout=60)


def test_errors(server, keyed_server):
    cases = [
        (post(server, "/v1/messages", body("x", temperature=7)), 400, "invalid_request_error"),
        (post(server, "/v1/messages", b"{"), 400, "invalid_request_error"),
        (post(server, "/v1/messages", body("word " * 40000)), 400, "invalid_request_error"),
        (post(server, "/v1/messages/count_tokens", {"messages": []}), 400, "invalid_request_error"),
        (httpx.get(server.url + "/v1/models?limit=0", headers=HEADERS), 400, "invalid_request_error"),
        (post(keyed_server, "/v1/messages", body("x"), {}), 401, "authentication_error"),
        (post(server, "/v1/messages", body("x", model="claude-9")), 404, "not_found_error"),
        (httpx.get(server.url + "/v1/models/claude-9", headers=HEADERS), 404, "not_found_error"),
        (httpx.get(server.url + "/v1/nothing", headers=HEADERS), 404, "not_found_error"),
        (httpx.get(server.url + "/v1/messages", headers=HEADERS), 405, "not_found_error"),
    ]
    for reply, status, kind in cases:
        assert (reply.status_code, valid_error(reply).type) == (status, kind), reply.text


def test_a_full_queue_is_overloaded(tmp_path):
    busy = Server(tmp_path, rules=[{"reply": "one two three four five six", "delay_ms_per_step": 10000}])
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        # This dialect asks for one answer at a time: the other one's requests fill the queue, 64 running and 256 waiting.
        for i in range(24):
            pool.submit(busy.post, "/v1/chat/completions", body(f"{i}", n=16))
        busy.wait_metric("vllm:num_requests_waiting", lambda waiting: waiting == 256)
        reply = busy.post("/v1/messages", body("x"), headers=HEADERS)
        busy.kill()  # nobody waits for these answers
    assert reply.status_code == 529
    assert valid_error(reply).type == "overloaded_error" and int(reply.headers["retry-after"]) > 0
