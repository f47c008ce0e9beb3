"""Tool formats other than the template's own, by --tool-format, through the official OpenAI client."""

import json

import openai
import pytest

from conftest import OPENAI_TOOLS, Server

CALLS = {
    "qwen3-coder": "<tool_call>\n<function=get_weather>\n<parameter=days>\n3\n</parameter>\n<parameter=city>\nOslo \"c\"\n"
    "</parameter>\n</function>\n</tool_call>",
    "glm-4.5": "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Oslo \"c\"</arg_value>\n<arg_key>days</arg_key>\n"
    "<arg_value>3</arg_value>\n</tool_call>",
    "deepseek-v3.2": '<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n<｜DSML｜parameter name="city" string="true">'
    'Oslo "c"</｜DSML｜parameter>\n<｜DSML｜parameter name="days" string="false">3</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
    "</｜DSML｜function_calls>",
    "lfm2": "<|tool_call_start|>[get_weather(city='Oslo \"c\"', days=3)]<|tool_call_end|>",
    "gemma4": '<|tool_call>call:get_weather{city:<|"|>Oslo "c"<|"|>,days:3}<tool_call|>',
    "mistral": '[TOOL_CALLS]get_weather[ARGS]{"city": "Oslo \\"c\\"", "days": 3}',
    "llama3": '{"name": "get_weather", "parameters": {"city": "Oslo \\"c\\"", "days": 3}}',
}


@pytest.fixture(scope="module", params=CALLS)
def client(request, tmp_path_factory):
    rules = [
        {"reply": "I am a script."},
        {"when": "weather", "reply": "Let me look.\n" + CALLS[request.param]},
        {"when": "at once", "reply": CALLS[request.param]},
        {"when": "<tool_response>", "reply": "It is 4 degrees in Oslo."},
    ]
    running = Server(tmp_path_factory.mktemp("formats"), "--tool-format", request.param, rules=rules)
    yield running.openai()
    assert running.stop() == 0, running.log.read_text()


def ask(client, text, **keywords):
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(
        model="default", messages=messages, tools=OPENAI_TOOLS, temperature=0, max_tokens=300, **keywords
    )


def test_loop(client):
    first = ask(client, "What is the weather?").choices[0]
    assert first.finish_reason == "tool_calls"
    assert first.message.content == "Let me look."
    (call,) = first.message.tool_calls
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": 'Oslo "c"', "days": 3}
    messages = [
        {"role": "user", "content": "What is the weather?"},
        first.message,
        {"role": "tool", "tool_call_id": call.id, "content": "4 degrees"},
    ]
    second = client.chat.completions.create(model="default", messages=messages, tools=OPENAI_TOOLS, temperature=0)
    assert second.choices[0].message.content == "It is 4 degrees in Oslo."
    assert second.usage.prompt_tokens_details.cached_tokens > 100


def test_stream(client):
    name, arguments, ids, text, finish = None, [], set(), "", None
    for chunk in ask(client, "What is the weather?", stream=True):
        choice = chunk.choices[0]
        text += choice.delta.content or ""
        finish = choice.finish_reason or finish
        for delta in choice.delta.tool_calls or []:
            if name is None:  # the first delta carries index, id and name
                assert (delta.index, delta.type) == (0, "function")
                name = delta.function.name
                ids.add(delta.id)
            arguments.append(delta.function.arguments or "")
    assert (name, text, finish) == ("get_weather", "Let me look.", "tool_calls")
    assert len(ids) == 1 and None not in ids
    assert json.loads("".join(arguments)) == {"city": 'Oslo "c"', "days": 3}
    assert len([fragment for fragment in arguments if fragment]) > 1


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_forced(client, choice):
    message = ask(client, "Do it at once", tool_choice=choice).choices[0].message
    assert message.content is None
    assert json.loads(message.tool_calls[0].function.arguments) == {"city": 'Oslo "c"', "days": 3}


def test_allowed_tools(client):
    only = {"mode": "required", "tools": [{"type": "function", "function": {"name": "get_weather"}}]}
    message = ask(client, "Do it at once", tool_choice={"type": "allowed_tools", "allowed_tools": only}).choices[0].message
    assert message.tool_calls[0].function.name == "get_weather"


def test_schema_that_cannot_be_enforced(client):
    odd = [{"type": "function", "function": {"name": "odd", "parameters": {
        "type": "object", "properties": {"x": {"type": "array", "items": {"type": "integer"}, "contains": {"const": 1}}}}}}]
    messages = [{"role": "user", "content": "Hello"}]
    answer = client.chat.completions.with_raw_response.create(model="default", messages=messages, tools=odd, temperature=0)
    assert "contains" in answer.headers["x-kvasir-warning"] and "odd" in answer.headers["x-kvasir-warning"]
    with pytest.raises(openai.BadRequestError, match="contains"):
        client.chat.completions.create(model="default", messages=messages, tools=odd, tool_choice="required")
