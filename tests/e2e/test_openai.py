"""The official OpenAI client against the real program."""

import json
import uuid

import openai
import pytest

from conftest import OPENAI_TOOLS, Server


def ask(text):
    return [{"role": "user", "content": text}]


def deltas(stream):
    """Text, calls (assembled as clients do it), finish reason, usage."""
    text, calls, finish, usage = "", {}, None, None
    for chunk in stream:
        if chunk.usage:
            usage = chunk.usage
            assert chunk.choices == []
        for choice in chunk.choices:
            text += choice.delta.content or ""
            for call in choice.delta.tool_calls or []:
                entry = calls.setdefault(call.index, {"id": call.id, "name": call.function.name, "arguments": ""})
                entry["arguments"] += call.function.arguments or ""
            finish = choice.finish_reason or finish
    return text, calls, finish, usage


def test_plain(oai):
    answer = oai.chat.completions.create(model="default", messages=ask("Hello"), temperature=0)
    assert answer.choices[0].message.content == "I am a script."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.system_fingerprint


def test_stream(oai):
    stream = oai.chat.completions.create(
        model="default", messages=ask("emoji"), temperature=0, stream=True, stream_options={"include_usage": True}
    )
    text, _, finish, usage = deltas(stream)
    assert text == "naïve 漢字 👩‍🚀 done"
    assert finish == "stop"
    assert usage.completion_tokens > 0


def test_message_forms(oai):
    answer = oai.chat.completions.create(
        model="default",
        temperature=0,
        messages=[
            {"role": "system", "content": "A"},
            {"role": "developer", "content": [{"type": "text", "text": "B"}]},
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": None},
            {"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": "there"}]},
        ],
    )
    assert answer.choices[0].message.content == "I am a script."


@pytest.mark.parametrize("choice", ["auto", "required", {"type": "function", "function": {"name": "get_weather"}}])
def test_tools_loop(oai, choice):
    messages = ask("What is the weather in Oslo?")
    first = oai.chat.completions.create(
        model="default", messages=messages, tools=OPENAI_TOOLS, tool_choice=choice, temperature=0
    ).choices[0]
    assert first.finish_reason == "tool_calls"
    assert first.message.content is None
    (call,) = first.message.tool_calls
    assert (call.type, call.function.name) == ("function", "get_weather")
    assert json.loads(call.function.arguments) == {"city": "Oslo"}
    messages += [first.message, {"role": "tool", "tool_call_id": call.id, "content": "4 degrees"}]
    second = oai.chat.completions.create(model="default", messages=messages, tools=OPENAI_TOOLS, temperature=0)
    assert second.choices[0].message.content == "It is 4 degrees in Oslo."
    # The second prompt is the first, the answer as it was generated, and the new turn.
    assert second.usage.prompt_tokens_details.cached_tokens > 100


def test_tools_stream(oai):
    stream = oai.chat.completions.create(
        model="default", messages=ask("two cities"), tools=OPENAI_TOOLS, temperature=0, stream=True
    )
    text, calls, finish, _ = deltas(stream)
    assert text == "Two."
    assert [json.loads(calls[i]["arguments"])["city"] for i in (0, 1)] == ["Oslo", "Rome"]
    assert calls[0]["id"] != calls[1]["id"]
    assert finish == "tool_calls"


def test_parallel_off_is_one_call(oai):
    answer = oai.chat.completions.create(
        model="default", messages=ask("two cities"), tools=OPENAI_TOOLS, temperature=0, parallel_tool_calls=False
    )
    assert len(answer.choices[0].message.tool_calls) == 1


def test_bare_call(oai):
    answer = oai.chat.completions.create(model="default", messages=ask("fenced"), tools=OPENAI_TOOLS, temperature=0)
    assert answer.choices[0].message.content == "Sure:"
    assert json.loads(answer.choices[0].message.tool_calls[0].function.arguments) == {"city": "Oslo"}


def test_required_forces_a_call_on_a_model_that_would_not(oai):
    answer = oai.chat.completions.create(
        model="default", messages=ask("Hello"), tools=OPENAI_TOOLS, tool_choice="required", temperature=0,
        parallel_tool_calls=False, max_tokens=400, seed=1,
    ).choices[0]
    if answer.finish_reason == "tool_calls":
        assert "city" in json.loads(answer.message.tool_calls[0].function.arguments)
    else:  # the script's random letters ran into max_tokens inside the string
        assert answer.finish_reason == "length"
        assert answer.message.tool_calls[0].function.name == "get_weather"


def test_tool_choice_none_gives_text(oai):
    answer = oai.chat.completions.create(
        model="default", messages=ask("weather"), tools=OPENAI_TOOLS, tool_choice="none", temperature=0
    )
    assert answer.choices[0].message.tool_calls is None
    assert answer.choices[0].message.content.startswith("<tool_call>")


def test_usage_counts_cached_tokens_to_the_token(oai):
    messages = ask(f"{uuid.uuid4()} " + "count " * 300)
    first = oai.chat.completions.create(model="default", messages=messages, temperature=0).usage
    again = oai.chat.completions.create(model="default", messages=messages, temperature=0).usage
    assert again.prompt_tokens == first.prompt_tokens
    # All but the last token, whose logits must be computed.
    assert again.prompt_tokens_details.cached_tokens == first.prompt_tokens - 1
    unread = oai.chat.completions.create(
        model="default", messages=messages, temperature=0, extra_body={"cache_prompt": False}
    ).usage
    assert unread.prompt_tokens_details.cached_tokens == 0


def test_n_and_seed(oai):
    def answers():
        made = oai.chat.completions.create(
            model="default", messages=ask("Hello"), n=3, seed=5, temperature=2, max_tokens=8,
            logit_bias={str(t): 0 for t in range(3)},
        )
        assert [c.index for c in made.choices] == [0, 1, 2]
        return [c.message.content for c in made.choices]

    assert answers() == answers()


def test_n_stream(oai):
    stream = oai.chat.completions.create(model="default", messages=ask("count"), n=2, temperature=0, stream=True)
    texts = {0: "", 1: ""}
    for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts[0] == texts[1] == "one two three four five six seven eight nine ten"


def test_logprobs(oai):
    answer = oai.chat.completions.create(
        model="default", messages=ask("count"), temperature=0, logprobs=True, top_logprobs=3
    ).choices[0]
    entries = answer.logprobs.content
    text = b"".join(bytes(e.bytes) for e in entries if not e.token.startswith("<|")).decode()
    assert text == answer.message.content
    assert all(len(e.top_logprobs) == 3 for e in entries)
    assert all(e.top_logprobs[0].token == e.token and -0.01 < e.logprob <= 0 for e in entries)


def test_stop_and_length(oai):
    stopped = oai.chat.completions.create(model="default", messages=ask("count"), temperature=0, stop=["four", "zzz"])
    assert stopped.choices[0].message.content == "one two three "
    assert stopped.choices[0].finish_reason == "stop"
    cut = oai.chat.completions.create(model="default", messages=ask("count"), temperature=0, max_tokens=3)
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage.completion_tokens == 3


def test_json_schema(oai):
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False}
    answer = oai.chat.completions.create(
        model="default", messages=ask("Hello"), temperature=0, max_tokens=64,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    ).choices[0]
    assert answer.finish_reason == "stop"
    assert list(json.loads(answer.message.content)) == ["ok"]


def test_completions(oai):
    prompt = "<|im_start|>user\ncount<|im_end|>\n<|im_start|>assistant\n"
    answer = oai.completions.create(model="default", prompt=[prompt, prompt], temperature=0, max_tokens=3, logprobs=1)
    assert [c.text for c in answer.choices] == ["one two three"] * 2
    assert answer.choices[0].logprobs.tokens == ["one", " two", " three"]
    echoed = oai.completions.create(model="default", prompt=prompt, temperature=0, max_tokens=1, echo=True)
    assert echoed.choices[0].text == prompt + "one"
    text = "".join(
        chunk.choices[0].text
        for chunk in oai.completions.create(model="default", prompt=prompt, temperature=0, max_tokens=5, stream=True)
    )
    assert text == "one two three four five"


def test_errors(oai):
    with pytest.raises(openai.NotFoundError, match="does not exist; this server has"):
        oai.chat.completions.create(model="gpt-5", messages=ask("x"))
    with pytest.raises(openai.BadRequestError) as bad:
        oai.chat.completions.create(model="default", messages=ask("x"), temperature=-1)
    assert bad.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as long:
        oai.chat.completions.create(model="default", messages=ask("word " * 40000))
    assert long.value.code == "context_length_exceeded"
    assert "maximum context length" in long.value.message
    with pytest.raises(openai.BadRequestError) as schema:
        oai.chat.completions.create(
            model="default", messages=ask("x"),
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}},
        )
    assert schema.value.param == "response_format.json_schema.schema"


def test_max_tokens_is_cut_to_the_context(oai):
    answer = oai.chat.completions.create(model="default", messages=ask("count"), temperature=0, max_tokens=1000000)
    assert answer.choices[0].finish_reason == "stop"


def test_models(oai):
    (model,) = list(oai.models.list())[:1]
    assert oai.models.retrieve(model.id).id == model.id
    with pytest.raises(openai.NotFoundError):
        oai.models.retrieve("nothing")


def test_idle_time_reads_what_the_next_turn_begins_with(tmp_path):
    server = Server(tmp_path)
    try:
        client = server.openai()
        messages = ask("Hello")
        first = client.chat.completions.create(model="default", messages=messages, temperature=0)
        server.wait_metric("kvasir:idle_prefill_tokens_total", lambda n: n > 0)
        computed = server.metric("kvasir:prefill_tokens_total")
        messages += [{"role": "assistant", "content": first.choices[0].message.content}, *ask("count")]
        second = client.chat.completions.create(model="default", messages=messages, temperature=0)
        # The turn's end and the next one's beginning were read before anybody asked.
        known = first.usage.prompt_tokens + first.usage.completion_tokens
        assert second.usage.prompt_tokens_details.cached_tokens > known
        assert server.metric("kvasir:prefill_tokens_total") - computed == (
            second.usage.prompt_tokens - second.usage.prompt_tokens_details.cached_tokens)
    finally:
        assert server.stop() == 0


def test_warm_prompts_are_read_before_anybody_asks(tmp_path):
    messages = ask("What is on the menu today, and what was on it yesterday?")
    file = tmp_path / "warm.jsonl"
    file.write_text("# prompts\n\n" + json.dumps({"model": "default", "messages": messages}) + "\n"
                    + json.dumps({"system": "Be brief.", "messages": ask("x")}) + "\n" + json.dumps({"prompt": "Once"}))
    server = Server(tmp_path, "--warm", str(file))
    try:
        server.wait_metric("kvasir:requests_finished_total", lambda n: n == 3)
        client = server.openai()
        usage = client.chat.completions.create(model="default", messages=messages, temperature=0).usage
        assert usage.prompt_tokens_details.cached_tokens == usage.prompt_tokens - 1
    finally:
        assert server.stop() == 0
