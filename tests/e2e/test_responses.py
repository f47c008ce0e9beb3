"""OpenAI's Responses API by the official client; every object and event must be of the client's own types, with nothing unknown in it."""

import json
import os
import pathlib

import openai
import openai.types.responses as types
import pydantic
import pytest

from conftest import CALL, RULES, TOOL_SCHEMA, Server

TOOLS = [{"type": "function", "name": "get_weather", "description": "Weather", "parameters": TOOL_SCHEMA, "strict": False}]
CUSTOM = {"type": "custom", "name": "run", "description": "Runs code", "format": {"type": "text"}}
CODE = 'print("ü\\n")\nx = {"a": 1}'
PATCH = f'<tool_call>\n{{"name": "run", "arguments": {{"input": {json.dumps(CODE, ensure_ascii=False)}}}}}\n</tool_call>'
QWEN3 = pathlib.Path(os.environ.get("KVASIR_PEERS", pathlib.Path.home() / ".cache/kvasir/peers")) / "templates-0.3.36" / "Qwen-Qwen3-0.6B.jinja"
MORE_RULES = [
    *RULES,
    {"when": "run it", "unless": "<tool_response>", "reply": PATCH},
    {"when": "look up", "reply": '<tool_call>\n{"name": "mcp__docs__find", "arguments": {"q": "x"}}\n</tool_call>'},
    {"when": "think first", "reply": "<think>\nHm, well.\n</think>\n\nFour."},
    {"when": "as json", "reply": '{"city": "Oslo"}'},
]
EVENT = pydantic.TypeAdapter(types.ResponseStreamEvent)


@pytest.fixture(scope="module")
def responses_server(tmp_path_factory):
    assert QWEN3.exists(), "run tools/fetch_templates.py, or set KVASIR_PEERS"
    running = Server(tmp_path_factory.mktemp("responses"), "--chat-template", str(QWEN3), rules=MORE_RULES)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="module")
def client(responses_server):
    return responses_server.openai()


def unknown_fields(value, path="response"):
    """Fields that the client's types do not have; what a client sent is echoed as it came."""
    found = []
    if isinstance(value, pydantic.BaseModel):
        found += [f"{path}.{name}" for name in value.model_extra or {} if not name.startswith("kvasir_")]
        for name in type(value).model_fields:
            found += unknown_fields(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for at, one in enumerate(value):
            found += unknown_fields(one, f"{path}[{at}]")
    return found


def create(client, text, **more):
    return client.responses.create(model="default", input=text, temperature=0, **more)


def events_of(server, body):
    """The raw events of a stream, checked one by one."""
    reply = server.post("/v1/responses", {"model": "default", "temperature": 0, "stream": True, **body})
    assert reply.status_code == 200, reply.text
    events = []
    for block in reply.text.strip().split("\n\n"):
        if block.startswith(":"):
            continue
        name, data = block.split("\n")
        raw = json.loads(data.removeprefix("data: "))
        assert name == f"event: {raw['type']}"
        event = EVENT.validate_python(raw, strict=False)
        assert unknown_fields(event) == []
        events.append(event)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    return events


def whole_of(events, like):
    """The response that the events add up to, which a client that did not stream gets (`like`)."""
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    items = [event.item for event in events if event.type == "response.output_item.done"]
    last = events[-1].response
    assert items == last.output
    assert [type(item) for item in items] == [type(item) for item in like.output]
    for item, other in zip(items, like.output, strict=True):
        assert item.model_dump(exclude={"id", "call_id"}) == other.model_dump(exclude={"id", "call_id"})
    return last


@pytest.mark.parametrize("text", ["Hello", "emoji", "What is the weather?", "two cities", "run it", "think first", "look up"])
def test_streamed_as_whole(client, responses_server, text):
    tools = [*TOOLS, CUSTOM, {"type": "namespace", "name": "mcp__docs", "description": "Docs", "tools": [
        {"type": "function", "name": "find", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}]}]
    like = create(client, text, tools=tools)
    assert unknown_fields(like) == []
    assert like.status == "completed"
    events = events_of(responses_server, {"input": text, "tools": tools})
    last = whole_of(events, like)
    assert last.usage.input_tokens == like.usage.input_tokens
    # Deltas add up to what is done.
    for event in events:
        for kind, field in (("output_text", "text"), ("reasoning_text", "text"), ("function_call_arguments", "arguments"), ("custom_tool_call_input", "input")):
            if event.type == f"response.{kind}.done":
                pieces = [one.delta for one in events if one.type == f"response.{kind}.delta" and one.item_id == event.item_id]
                assert "".join(pieces) == getattr(event, field)
                assert event.output_index == [item.id for item in last.output].index(event.item_id)


def test_text_and_usage(client):
    answer = create(client, "emoji")
    assert [item.type for item in answer.output] == ["message"]
    assert answer.output_text == "naïve 漢字 👩‍🚀 done"
    usage = answer.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    again = create(client, "emoji").usage
    assert again.input_tokens_details.cached_tokens == usage.input_tokens - 1
    assert again.input_tokens_details.cache_write_tokens == 1


def test_the_official_client_streams(client):
    with client.responses.stream(model="default", input="What is the weather?", tools=TOOLS, temperature=0) as stream:
        for _ in stream:
            pass
        (call,) = stream.get_final_response().output
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "get_weather", {"city": "Oslo"})


@pytest.mark.parametrize("stored", [False, True])
def test_tool_loop(client, stored):
    question = [{"role": "user", "content": "What is the weather?"}]
    first = client.responses.create(model="default", instructions="Be brief.", input=question, tools=TOOLS, temperature=0, store=stored)
    (call,) = first.output
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "4 degrees"}
    if stored:
        arguments = {"input": [result], "previous_response_id": first.id}
    else:
        arguments = {"input": [*question, *(item.model_dump() for item in first.output), result]}
    second = client.responses.create(model="default", instructions="Be brief.", tools=TOOLS, temperature=0, **arguments)
    assert second.output_text == "It is 4 degrees in Oslo."
    # All but the new turn was there: the call comes back as the very tokens that it was sampled as.
    usage = second.usage
    assert usage.input_tokens_details.cached_tokens >= first.usage.input_tokens + first.usage.output_tokens - 2


def test_custom_tools_take_text_as_it_is(client):
    first = create(client, "run it", tools=[CUSTOM])
    (call,) = first.output
    assert (call.type, call.name, call.input) == ("custom_tool_call", "run", CODE)
    second = client.responses.create(model="default", temperature=0, tools=[CUSTOM], input=[
        {"role": "user", "content": "run it"}, call.model_dump(), {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"}])
    assert second.output_text == "It is 4 degrees in Oslo."
    assert second.usage.input_tokens_details.cached_tokens >= first.usage.input_tokens + first.usage.output_tokens - 2


def test_custom_tools_of_chat_completions(responses_server, client):
    tools = [{"type": "custom", "custom": {"name": "run", "description": "Runs code"}}]
    body = {"model": "default", "temperature": 0, "tools": tools, "messages": [{"role": "user", "content": "run it"}]}
    (call,) = client.chat.completions.create(**body).choices[0].message.tool_calls
    assert (call.type, call.custom.name, call.custom.input) == ("custom", "run", CODE)
    pieces = [piece for chunk in client.chat.completions.create(**body, stream=True) for piece in chunk.choices[0].delta.tool_calls or []]
    assert "".join(piece.model_extra["custom"]["input"] for piece in pieces) == CODE
    messages = [*body["messages"], {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]}, {"role": "tool", "tool_call_id": call.id, "content": "done"}]
    answer = client.chat.completions.create(**{**body, "messages": messages})
    assert answer.choices[0].message.content == "It is 4 degrees in Oslo."


def test_namespaces_name_the_call(client):
    tools = [{"type": "namespace", "name": "mcp__docs", "description": "Docs", "tools": [{"type": "function", "name": "find", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}]}]
    (call,) = create(client, "look up", tools=tools).output
    assert (call.namespace, call.name) == ("mcp__docs", "find")


def test_tool_choice(client):
    for choice in ("required", {"type": "function", "name": "get_weather"}, {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get_weather"}]}):
        (call,) = create(client, "What is the weather?", tools=TOOLS, tool_choice=choice).output
        assert call.name == "get_weather"
    assert create(client, "What is the weather?", tools=TOOLS, tool_choice="none").output[0].type == "message"


def test_thoughts_come_back_sealed(client, responses_server):
    answer = create(client, "think first", store=False, include=["reasoning.encrypted_content"])
    thought, message = answer.output
    assert (thought.type, thought.content[0].text) == ("reasoning", "Hm, well.")
    assert message.content[0].text == "Four."
    assert answer.usage.output_tokens_details.reasoning_tokens > 0
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": thought.encrypted_content}
    for back in (thought.model_dump(exclude_none=True), sealed, {"type": "reasoning", "summary": [], "encrypted_content": "gAAAAA=="}):
        body = [{"role": "user", "content": "think first"}, back, message.model_dump(), {"role": "user", "content": "Hello"}]
        assert client.responses.create(model="default", temperature=0, input=body).output_text


def test_length_stop_is_incomplete(client, responses_server):
    answer = create(client, "count", max_output_tokens=3)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert answer.output_text == "one two three"
    assert events_of(responses_server, {"input": "count", "max_output_tokens": 3})[-1].type == "response.incomplete"


def test_structured_output(client):
    class Place(pydantic.BaseModel):
        city: str

    answer = client.responses.parse(model="default", input="as json", text_format=Place, temperature=0)
    assert answer.output_parsed == Place(city="Oslo")


def test_logprobs(client):
    answer = create(client, "Hello", include=["message.output_text.logprobs"], top_logprobs=2)
    logprobs = answer.output[0].content[0].logprobs
    assert "".join(one.token for one in logprobs).startswith("I am a script.")
    assert all(len(one.top_logprobs) == 2 for one in logprobs)


def test_stored_responses(client, responses_server):
    answer = create(client, "Hello")
    assert client.responses.retrieve(answer.id) == answer
    client.responses.delete(answer.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(answer.id)
    with pytest.raises(openai.NotFoundError, match="previous_response_id"):
        create(client, "Hello", previous_response_id=answer.id)
    kept_out = create(client, "Hello", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(kept_out.id)


def test_nobody_goes_on_from_a_response_of_another_key(tmp_path):
    running = Server(tmp_path, "--api-key", "one", "--api-key", "two")
    try:
        answer = create(running.openai("one"), "Hello")
        assert create(running.openai("one"), "Hello", previous_response_id=answer.id).output_text
        with pytest.raises(openai.NotFoundError):
            create(running.openai("two"), "Hello", previous_response_id=answer.id)
    finally:
        running.stop()


@pytest.mark.parametrize(
    "body, field",
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"type": "message", "role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input[0].content[0].type"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": "x", "background": True}, "background"),
        ({"input": "x", "conversation": "c"}, "conversation"),
        ({"input": "x", "max_output_tokens": 0}, "max_output_tokens"),
        ({"input": "x", "tool_choice": {"type": "function", "name": "f"}}, "tool_choice"),
        ({"input": "x", "tools": [{"type": "function"}]}, "tools[0]"),
    ],
)
def test_bad_requests_name_the_field(responses_server, body, field):
    reply = responses_server.post("/v1/responses", body)
    assert reply.status_code == 400, reply.text
    assert field in reply.json()["error"]["message"]


def test_what_agents_send_is_tolerated(client):
    tools = [*TOOLS, {"type": "web_search"}, {"type": "image_generation"}, {"type": "local_shell"}]
    body = [
        {"role": "developer", "content": [{"type": "input_text", "text": "A"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "B"}, {"type": "input_text", "text": "Hello"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
    ]
    answer = client.responses.create(
        model="default", input=body, tools=tools, temperature=0, store=False, parallel_tool_calls=False, prompt_cache_key="session",
        reasoning={"effort": "medium", "summary": "auto"}, include=["reasoning.encrypted_content"], extra_body={"client_metadata": {"x": "y"}},
    )
    assert answer.output_text == "I am a script."
