"""What a response tells of the cache when it is asked: the kvasir_cache object and its header."""

import json

import pytest

from conftest import ANTHROPIC_TOOLS

EXPLAIN = {"explain_cache": True}
LONG = "word " * 300


def header_of(found):
    head = " ".join(f"{name}={found[name + '_tokens']}" for name in ["prompt", "cached", "loaded", "replayed"])
    return head + (f" new_from={found['new_from']['part']}" if found["new_from"] else "")


def ask(oai, messages, **options):
    raw = oai.chat.completions.with_raw_response.create(
        model="default", messages=messages, temperature=0, max_tokens=5, extra_body=EXPLAIN, **options
    )
    completion = raw.parse()
    found = completion.kvasir_cache
    assert raw.headers["x-kvasir-cache"] == header_of(found)
    assert found["prompt_tokens"] == completion.usage.prompt_tokens
    assert found["cached_tokens"] == completion.usage.prompt_tokens_details.cached_tokens
    return found


def user(text):
    return {"role": "user", "content": text}


def tool(name):
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    return {"type": "function", "function": {"name": name, "description": LONG, "parameters": parameters}}


def test_openai_names_the_part_that_changed(oai):
    system = {"role": "system", "content": "Explained. " + LONG}
    messages = [system, user("One. " + LONG), {"role": "assistant", "content": "Yes. " + LONG}, user("Two. " + LONG)]
    assert ask(oai, messages)["cached_tokens"] < 40
    again = ask(oai, messages)
    assert (again["cached_tokens"], again["new_from"]) == (again["prompt_tokens"] - 1, None)
    whats = ["system message", "user message", "assistant message", "user message"]
    for i, what in enumerate(whats):
        changed = [dict(m) for m in messages]
        changed[i]["content"] = changed[i]["content"][:200] + "changed" + changed[i]["content"][200:]
        part = "system" if i == 0 else f"messages[{i}]"
        assert ask(oai, changed)["new_from"] == {"part": part, "what": what}


def test_openai_names_the_tool_that_changed(oai):
    names = ["read_file", "write_file", "list_files"]
    ask(oai, [user("Tools explained.")], tools=[tool(n) for n in names])
    changed = [tool(n) for n in names]
    changed[1]["function"]["description"] += "changed"
    found = ask(oai, [user("Tools explained.")], tools=changed)
    assert found["new_from"] == {"part": "tools[1]", "what": "tool write_file"}


def test_nothing_is_said_unasked(server, oai):
    body = {"model": "default", "messages": [user("unasked")], "max_tokens": 3}
    assert "kvasir_cache" not in server.post("/v1/chat/completions", body).json()


@pytest.mark.parametrize("usage", [True, False])
def test_openai_stream_says_it_once_at_its_end(oai, usage):
    options = {"stream_options": {"include_usage": True}} if usage else {}
    stream = oai.chat.completions.create(
        model="default", messages=[user("streamed")], stream=True, max_tokens=3, extra_body=EXPLAIN, **options
    )
    chunks = list(stream)
    with_it = [chunk for chunk in chunks if getattr(chunk, "kvasir_cache", None)]
    assert len(with_it) == 1
    assert with_it[0] is chunks[-1]
    assert with_it[0].kvasir_cache["prompt_tokens"] > 0


def test_completions_say_it_too(oai):
    text = "Complete this. " + LONG
    for whole in [False, True]:
        completion = oai.completions.create(model="default", prompt=text, max_tokens=3, extra_body=EXPLAIN)
        found = completion.kvasir_cache
        assert found["new_from"] == (None if whole else {"part": "prompt", "what": "prompt"})
    stream = oai.completions.create(model="default", prompt=text, max_tokens=3, stream=True, extra_body=EXPLAIN)
    assert list(stream)[-1].kvasir_cache["cached_tokens"] == found["cached_tokens"]


def test_anthropic_counts_messages_as_the_client_does(ant):
    def ask_claude(messages, **options):
        return ant.messages.create(
            model="default", max_tokens=5, messages=messages, system="Claude explained.", tools=ANTHROPIC_TOOLS,
            extra_body=EXPLAIN, **options,
        )

    use = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}}
    use_too = {**use, "id": "toolu_2"}
    results = [
        {"type": "tool_result", "tool_use_id": one["id"], "content": "Result. " + LONG} for one in [use, use_too]
    ]
    messages = [
        user("First. " + LONG), {"role": "assistant", "content": [use, use_too]}, {"role": "user", "content": results},
        {"role": "assistant", "content": "It is cold. " + LONG}, user("Last. " + LONG),
    ]
    cold = ask_claude(messages)
    assert cold.kvasir_cache["prompt_tokens"] == cold.usage.input_tokens + cold.usage.cache_read_input_tokens
    assert ask_claude(messages).kvasir_cache["new_from"] is None
    changed = json.loads(json.dumps(messages))
    changed[4]["content"] += "changed"
    assert ask_claude(changed).kvasir_cache["new_from"] == {"part": "messages[4]", "what": "user message"}
    changed[2]["content"][1]["content"] += "changed"
    assert ask_claude(changed).kvasir_cache["new_from"] == {"part": "messages[2]", "what": "tool result"}


def test_anthropic_stream_says_it_at_its_end(ant, server):
    with ant.messages.stream(
        model="default", max_tokens=5, messages=[user("Streamed, Claude.")], extra_body=EXPLAIN
    ) as stream:
        assert stream.get_final_message().stop_reason
    body = {"model": "default", "max_tokens": 5, "stream": True, "messages": [user("Streamed raw.")], **EXPLAIN}
    reply = server.post("/v1/messages", body)
    events = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: ")]
    (end,) = [event for event in events if event["type"] == "message_delta"]
    assert reply.headers["x-kvasir-cache"] == header_of(end["kvasir_cache"])
