"""Thoughts through the official clients: separated as they stream, counted, switched off, and ended at a budget.

No reasoning model is small enough for a test: the scripted executor plays the thoughts, with the chat templates of models
that think (tools/fetch_templates.py) over Qwen's vocabulary. Where a script's text has been left for forced text, it goes on
by length: what has been forced is skipped in it."""

import json
import os
import pathlib

import anthropic
import openai
import pytest

from conftest import ANTHROPIC_TOOLS, CALL, OPENAI_TOOLS, QWEN, Server

TEMPLATES = pathlib.Path(os.environ.get("KVASIR_PEERS", pathlib.Path.home() / ".cache/kvasir/peers")) / "templates-0.3.36"
THOUGHT = "First one thing, then <b>the other</b> naïve 漢字."
BETWEEN = "\n</think>\n\n"
WORDS = " word" * 40  # a token each
SKIPPED = "#" * len(BETWEEN)

RULES = [
    {"reply": "I am a script."},
    {"when": "why", "reply": "<think>\n" + THOUGHT + BETWEEN + "Because."},
    {"when": "long", "reply": "<think>" + WORDS[: 5 * 16] + SKIPPED + "Done."},
    {"when": "weather", "reply": "<think>" + WORDS[: 5 * 16] + SKIPPED + CALL},
    {"when": "<tool_response>", "reply": "It is 4 degrees."},
    {"when": "at once", "reply": "<think>" + SKIPPED + "#Done."},
    {"when": "as JSON", "reply": "<think>" + WORDS[: 5 * 16] + SKIPPED + '{"n": 12}'},
]


def serve(folder, template, *arguments, **keywords):
    path = TEMPLATES / f"{template}.jinja"
    assert path.exists(), "run tools/fetch_templates.py, or set KVASIR_PEERS"
    return Server(folder, "--chat-template", str(path), *arguments, **keywords)


@pytest.fixture(scope="module")
def qwen3(tmp_path_factory):
    running = serve(tmp_path_factory.mktemp("qwen3"), "Qwen-Qwen3-0.6B", rules=RULES)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="module")
def oai3(qwen3):
    return qwen3.openai()


@pytest.fixture(scope="module")
def ant3(qwen3):
    return qwen3.anthropic()


def ask(client, text, **keywords):
    messages = keywords.pop("messages", [{"role": "user", "content": text}])
    return client.chat.completions.create(model="default", messages=messages, temperature=0, **keywords)


def thinks(message):
    return getattr(message, "reasoning_content", None), getattr(message, "reasoning", None), message.content


def test_thought_is_apart_from_the_answer(oai3):
    answer = ask(oai3, "why?")
    assert thinks(answer.choices[0].message) == (THOUGHT, None, "Because.")
    assert answer.choices[0].finish_reason == "stop"


def test_thought_streams_apart(oai3):
    thoughts, texts = [], []
    for chunk in ask(oai3, "why?", stream=True):
        delta = chunk.choices[0].delta
        if getattr(delta, "reasoning_content", None):
            assert not texts, "a thought comes before the answer"
            thoughts.append(delta.reasoning_content)
        if delta.content:
            texts.append(delta.content)
    assert "".join(thoughts) == THOUGHT and "".join(texts) == "Because."
    assert len(thoughts) > 5


def test_usage_counts_the_tokens_that_hold_text_of_the_thought(oai3):
    answer = ask(oai3, "why?", logprobs=True)
    tokens = answer.choices[0].logprobs.content
    text = b"".join(bytes(token.bytes) for token in tokens)
    begin = text.index(THOUGHT.encode())
    end, at, holding = begin + len(THOUGHT.encode()), 0, 0
    for token in tokens:
        holding += at < end and at + len(token.bytes) > begin
        at += len(token.bytes)
    assert answer.usage.completion_tokens == len(tokens)
    assert answer.usage.completion_tokens_details.reasoning_tokens == holding > 10
    *_, last = ask(oai3, "why?", stream=True, stream_options={"include_usage": True})
    assert last.usage.completion_tokens_details.reasoning_tokens == holding


@pytest.mark.parametrize(
    "extra, expected",
    [
        ({"include_reasoning": False}, (None, None, "Because.")),
        ({"reasoning": {"exclude": True}}, (None, None, "Because.")),
        ({"include_reasoning": True}, (THOUGHT, THOUGHT, "Because.")),
        ({"reasoning": {"effort": "high"}}, (THOUGHT, THOUGHT, "Because.")),
        ({"reasoning_format": "deepseek"}, (THOUGHT, None, "Because.")),
        ({"reasoning_format": "none"}, (None, None, "<think>\n" + THOUGHT + BETWEEN + "Because.")),
    ],
)
def test_how_the_thought_is_shown(oai3, extra, expected):
    assert thinks(ask(oai3, "why?", extra_body=extra).choices[0].message) == expected


@pytest.mark.parametrize("name", ["reasoning", "both"])
def test_reasoning_field_flag(tmp_path, name):
    running = serve(tmp_path, "Qwen-Qwen3-0.6B", "--reasoning-field", name, rules=RULES)
    client = running.openai()
    expected = (THOUGHT if name == "both" else None, THOUGHT, "Because.")
    assert thinks(ask(client, "why?").choices[0].message) == expected
    assert running.stop() == 0


@pytest.mark.parametrize("key", ["max_reasoning_tokens", "thinking_budget", "reasoning_budget", "thinking_budget_tokens"])
def test_budget_ends_the_thought_and_the_answer_goes_on(oai3, key):
    answer = ask(oai3, "long", extra_body={key: 16})
    message = answer.choices[0].message
    assert thinks(message) == (WORDS[: 5 * 16].strip(), None, "Done.")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens_details.reasoning_tokens == 16


def test_budget_that_is_not_reached_changes_nothing(oai3):
    free, bounded = ask(oai3, "why?"), ask(oai3, "why?", extra_body={"max_reasoning_tokens": 400})
    assert thinks(free.choices[0].message) == thinks(bounded.choices[0].message)
    assert free.usage.completion_tokens == bounded.usage.completion_tokens


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_call_behind_a_thought_that_was_ended_comes_back_as_it_was(oai3, choice):
    messages = [{"role": "user", "content": "weather?"}]
    extra = {"max_reasoning_tokens": 16, "cache_salt": choice}
    first = ask(oai3, "", messages=messages, tools=OPENAI_TOOLS, tool_choice=choice, extra_body=extra)
    message = first.choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert json.loads(message.tool_calls[0].function.arguments) == {"city": "Oslo"}
    assert message.reasoning_content == WORDS[: 5 * 16].strip()
    messages += [message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "4 degrees"}]
    second = oai3.chat.completions.with_raw_response.create(
        model="default", messages=messages, tools=OPENAI_TOOLS, temperature=0, extra_body=extra)
    usage = second.parse().usage
    assert second.parse().choices[0].message.content == "It is 4 degrees."
    # Everything read or generated so far is found, the thought and what was forced behind it among it.
    assert usage.prompt_tokens_details.cached_tokens >= first.usage.total_tokens - 1, second.headers["x-kvasir-cache"]


def test_schema_is_held_to_behind_a_thought_that_was_ended(oai3):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
    answer = ask(
        oai3, "as JSON", extra_body={"max_reasoning_tokens": 16},
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}})
    assert json.loads(answer.choices[0].message.content) == {"n": 12}
    assert answer.choices[0].message.reasoning_content == WORDS[: 5 * 16].strip()


@pytest.mark.parametrize(
    "extra",
    [{"reasoning_effort": "none"}, {"enable_thinking": False}, {"reasoning": {"enabled": False}}, {"max_reasoning_tokens": 0},
     {"chat_template_kwargs": {"enable_thinking": False}}, {"chat_template_kwargs": {"thinking": False}}],
)
def test_switched_off_by_the_template(oai3, extra):
    plain, off = ask(oai3, "hello"), ask(oai3, "hello", extra_body=extra)
    assert off.choices[0].message.content == "I am a script."
    assert off.usage.prompt_tokens > plain.usage.prompt_tokens  # Qwen3's template writes the empty thought
    assert off.usage.completion_tokens_details.reasoning_tokens == 0


def test_wrong_values_are_refused(oai3):
    for extra, words in [
        ({"reasoning_effort": "hard"}, "not one of none, minimal, low"),
        ({"reasoning": {"max_tokens": "many"}}, "reasoning.max_tokens: must be a whole number"),
        ({"max_reasoning_tokens": -5}, "max_reasoning_tokens: must be between"),
        ({"enable_thinking": "yes"}, "enable_thinking: must be true or false"),
        ({"reasoning_format": "xml"}, "reasoning_format"),
        ({"reasoning_effort": "high", "enable_thinking": False}, "contradicts"),
    ]:
        with pytest.raises(openai.BadRequestError, match=words):
            ask(oai3, "why?", extra_body=extra)


def test_template_without_a_switch_has_its_thought_closed_at_once(tmp_path):
    rules = [{"reply": "Yes."}, {"when": "at once", "reply": SKIPPED + "Done."}]
    # DeepSeek R1's first template opens a thought in every prompt.
    running = serve(
        tmp_path, "llama-cpp-deepseek-r1", rules=rules, assistant_marker="<｜Assistant｜>",
        turn_markers=["<｜User｜>"], generation_prefixes=["<think>\n"])
    client = running.openai()
    answer = ask(client, "at once", extra_body={"reasoning_effort": "none"})
    log = running.log.read_text()
    assert running.stop() == 0
    assert thinks(answer.choices[0].message) == (None, None, "Done."), log
    assert answer.usage.completion_tokens_details.reasoning_tokens == 0


def test_gpt_oss(tmp_path):
    analysis, following = "<|channel|>analysis<|message|>", "<|end|><|start|>assistant"
    final = "<|channel|>final<|message|>"
    rules = [
        {"reply": analysis + THOUGHT + following + final + "Because."},
        {"when": "long", "reply": analysis + WORDS[: 5 * 16] + "#" * len(following) + final + "Done."},
    ]
    running = serve(
        tmp_path, "openai-gpt-oss-120b", rules=rules, assistant_marker="question?<|end|><|start|>assistant",
        turn_markers=["<|start|>user"], generation_prefixes=[])
    client = running.openai()
    efforts = [ask(client, "A question?", reasoning_effort=effort) for effort in ("low", "high")]
    assert [thinks(answer.choices[0].message) for answer in efforts] == [(THOUGHT, None, "Because.")] * 2
    cut = ask(client, "A long question?", extra_body={"max_reasoning_tokens": 16})
    assert running.stop() == 0
    assert thinks(cut.choices[0].message) == (WORDS[: 5 * 16].strip(), None, "Done.")


def test_anthropic_thinking_streams(ant3):
    kinds, thought, signature = [], "", ""
    with ant3.messages.stream(
        model="default", max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1024},
        messages=[{"role": "user", "content": "why?"}]) as stream:
        for event in stream:
            if event.type == "content_block_start":
                kinds.append(event.content_block.type)
            if event.type == "content_block_delta" and event.delta.type == "thinking_delta":
                thought += event.delta.thinking
            if event.type == "content_block_delta" and event.delta.type == "signature_delta":
                signature += event.delta.signature
        message = stream.get_final_message()
    assert kinds == ["thinking", "text"]
    assert thought == THOUGHT == message.content[0].thinking
    assert signature and message.content[0].signature == signature
    assert message.content[1].text == "Because."


def test_anthropic_budget_with_a_tool_and_the_thought_sent_back(ant3):
    options = {
        "model": "default", "max_tokens": 2000, "tools": ANTHROPIC_TOOLS,
        "thinking": {"type": "enabled", "budget_tokens": 16}}
    messages = [{"role": "user", "content": "weather?"}]
    first = ant3.messages.create(messages=messages, **options)
    assert [block.type for block in first.content] == ["thinking", "tool_use"]
    assert first.content[0].thinking == WORDS[: 5 * 16].strip()
    assert first.content[1].input == {"city": "Oslo"}
    assert first.stop_reason == "tool_use"
    result = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "4 degrees"}
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = ant3.messages.create(messages=messages, **options)
    assert second.content[0].text == "It is 4 degrees."
    read = first.usage.input_tokens + first.usage.cache_read_input_tokens + first.usage.output_tokens
    assert second.usage.cache_read_input_tokens >= read - 1


def test_anthropic_disabled_and_adaptive(ant3):
    def tokens(**thinking):
        answer = ant3.messages.create(
            model="default", max_tokens=100, messages=[{"role": "user", "content": "hello"}], **thinking)
        return answer.usage.input_tokens + answer.usage.cache_read_input_tokens

    plain = tokens()
    assert tokens(thinking={"type": "disabled"}) > plain
    assert tokens(thinking={"type": "adaptive"}, extra_body={"output_config": {"effort": "high"}}) == plain
    with pytest.raises(anthropic.BadRequestError, match="thinking.type"):
        tokens(thinking={"type": "sometimes"})


@pytest.mark.real
def test_real_model_thinks_within_its_budget(tmp_path):
    """A model that never learnt to think is made to by DeepSeek R1's template, which opens the thought: it would go on until
    its answer's length, and is brought to an answer instead."""
    running = serve(tmp_path, "llama-cpp-deepseek-r1", model=QWEN)
    client = running.openai()
    text = "What is the capital of France?"
    bounded = ask(client, text, max_tokens=60, extra_body={"max_reasoning_tokens": 12})
    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"],
              "additionalProperties": False}
    held = ask(client, text, max_tokens=80, extra_body={"max_reasoning_tokens": 12},
               response_format={"type": "json_schema", "json_schema": {"name": "c", "schema": schema}})
    assert running.stop() == 0
    assert 0 < bounded.usage.completion_tokens_details.reasoning_tokens <= 12
    assert bounded.choices[0].message.content
    assert set(json.loads(held.choices[0].message.content)) == {"city"}
