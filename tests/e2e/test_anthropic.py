"""The official Anthropic client against the real program."""

import anthropic
import httpx
import pytest

from conftest import ANTHROPIC_TOOLS


# The client's newest version has no argument for it; the API has.
GREEDY = {"temperature": 0}


def ask(text):
    return [{"role": "user", "content": text}]


def test_plain(ant):
    answer = ant.messages.create(model="default", max_tokens=50, messages=ask("Hello"), extra_body=GREEDY)
    assert [b.text for b in answer.content] == ["I am a script."]
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens > 0


def test_stream(ant):
    with ant.messages.stream(model="default", max_tokens=50, messages=ask("emoji"), extra_body=GREEDY) as stream:
        assert "".join(stream.text_stream) == "naïve 漢字 👩‍🚀 done"
        assert stream.get_final_message().stop_reason == "end_turn"


def test_stop_reasons(ant):
    cut = ant.messages.create(model="default", max_tokens=3, messages=ask("count"), extra_body=GREEDY)
    assert cut.stop_reason == "max_tokens"
    stopped = ant.messages.create(
        model="default", max_tokens=50, messages=ask("count"), extra_body=GREEDY, stop_sequences=["four"]
    )
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "four")


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_loop(ant, streamed):
    def send(messages):
        arguments = dict(model="default", max_tokens=32000, messages=messages, tools=ANTHROPIC_TOOLS, extra_body=GREEDY)
        if not streamed:
            return ant.messages.create(**arguments, timeout=30)
        with ant.messages.stream(**arguments) as stream:
            return stream.get_final_message()

    messages = ask("What is the weather?")
    first = send(messages)
    assert first.stop_reason == "tool_use"
    (call,) = first.content
    assert (call.name, call.input) == ("get_weather", {"city": "Oslo"})
    messages += [
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "4 degrees"}]},
    ]
    second = send(messages)
    assert second.content[0].text == "It is 4 degrees in Oslo."
    usage = second.usage
    assert usage.cache_read_input_tokens > usage.input_tokens
    # Exact: what was read from the cache and what was not is the whole prompt.
    counted = ant.messages.count_tokens(model="default", messages=messages, tools=ANTHROPIC_TOOLS)
    assert counted.input_tokens == usage.input_tokens + usage.cache_read_input_tokens


def test_text_before_calls_and_parallel_calls(ant):
    answer = ant.messages.create(
        model="default", max_tokens=200, messages=ask("two cities"), tools=ANTHROPIC_TOOLS, extra_body=GREEDY
    )
    assert [b.type for b in answer.content] == ["text", "tool_use", "tool_use"]
    one = ant.messages.create(
        model="default", max_tokens=200, messages=ask("two cities"), tools=ANTHROPIC_TOOLS, extra_body=GREEDY,
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
    )
    assert [b.type for b in one.content] == ["text", "tool_use"]


def test_markup_that_opens_no_call_is_held_to_one(ant):
    # Once the delimiter is out the grammar admits a call only, whatever the model meant to write.
    answer = ant.messages.create(
        model="default", max_tokens=60, messages=ask("not a call"), tools=ANTHROPIC_TOOLS, extra_body=GREEDY
    )
    assert answer.content[-1].type in ("tool_use", "text")


def test_what_agents_send_is_tolerated(ant, server):
    body = {
        "model": "default",
        "max_tokens": 32000,
        "temperature": 0,
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": []},
        "output_config": {"effort": "high"},
        "metadata": {"user_id": "x"},
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=1; cc_entrypoint=cli;"},
            {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
        ],
        "tools": ANTHROPIC_TOOLS + [{"type": "web_search_20250305", "name": "web_search"}],
        "messages": [
            {"role": "user", "content": "One"},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "text", "text": "Two"}]},
            {"role": "system", "content": "A reminder."},
            {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
        ],
    }
    answer = server.post("/v1/messages?beta=true", body, headers={"anthropic-beta": "a,b", "anthropic-version": "x"})
    assert answer.status_code == 200, answer.text
    body["system"][0]["text"] = "x-anthropic-billing-header: cc_version=2; cc_entrypoint=sdk;"
    again = server.post("/v1/messages?beta=true", body).json()
    assert again["usage"]["input_tokens"] == 1  # the whole prompt but its last token


def test_event_order(server):
    body = {"model": "default", "max_tokens": 20, "messages": ask("Hello"), "stream": True, "temperature": 0}
    with httpx.stream("POST", server.url + "/v1/messages", json=body) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        events = [line.removeprefix("event: ") for line in reply.iter_lines() if line.startswith("event: ")]
    assert events[:2] == ["message_start", "content_block_start"]
    assert events[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(events[2:-3]) == {"content_block_delta"}


def test_errors(ant):
    with pytest.raises(anthropic.BadRequestError) as long:
        ant.messages.create(model="default", max_tokens=5, messages=ask("word " * 40000))
    assert "prompt is too long: " in long.value.message and " maximum" in long.value.message
    with pytest.raises(anthropic.NotFoundError) as unknown:
        ant.messages.create(model="claude-9", max_tokens=5, messages=ask("x"))
    assert unknown.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.BadRequestError, match="temperature"):
        ant.messages.create(model="default", max_tokens=5, messages=ask("x"), extra_body={"temperature": 7})


def test_models(ant):
    assert [m.display_name for m in ant.models.list(limit=1000)]
