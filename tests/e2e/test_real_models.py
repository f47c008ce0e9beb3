"""The two real models behind the official clients. Greedy answers are the same bits on every machine that the kernels
run on, so what a model says here is a fact about this build, not chance. `pytest -m 'not real'` leaves them out."""

import concurrent.futures
import json
import re

import jsonschema
import pytest

from conftest import ANTHROPIC_TOOLS, MODELS, OPENAI_TOOLS, QWEN, TOOL_SCHEMA, Server

pytestmark = pytest.mark.real
SMOLLM2 = MODELS / "smollm2-135m-instruct-q4_1.gguf"
WEATHER = "What is the weather in Oslo? Use the tool."


def ask(text):
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module", params=[QWEN, SMOLLM2], ids=["qwen", "smollm2"])
def real(request, tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("real"), "--memory", "3GB", "--ctx", "8192", model=request.param)
    running.is_qwen = request.param == QWEN
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture
def qwen(real):
    if not real.is_qwen:
        pytest.skip("beyond what 135 million parameters can do")
    return real


def oai(server):
    return server.openai(timeout=300)


def ant(server):
    return server.anthropic(timeout=300)


def chat(server, messages, **options):
    return oai(server).chat.completions.create(
        model="default", messages=messages, **{"temperature": 0, "max_tokens": 400, **options}
    )


def weather_call(message):
    """The one call of a message, its arguments checked against the tool's schema."""
    (call,) = message.tool_calls
    assert call.function.name == "get_weather"
    arguments = json.loads(call.function.arguments)
    jsonschema.validate(arguments, TOOL_SCHEMA)
    return call, arguments


def test_a_known_fact_through_both_clients(real):
    question = "What is the capital of France?"
    first = chat(real, ask(question))
    assert "Paris" in first.choices[0].message.content
    second = ant(real).messages.create(
        model="default", max_tokens=400, messages=ask(question), extra_body={"temperature": 0}
    )
    assert second.content[0].text == first.choices[0].message.content
    # All of the prompt but its last token, whose logits are wanted.
    assert second.usage.cache_read_input_tokens == first.usage.prompt_tokens - 1


def test_an_answer_that_is_begun_goes_on(real):
    """Anthropic's last message of the assistant, and vLLM's continue_final_message: the same prompt, the same answer."""
    begun = [*ask("What is the capital of France?"), {"role": "assistant", "content": "The capital of France is "}]
    counted = ant(real).messages.count_tokens(model="default", messages=begun).input_tokens
    answer = ant(real).messages.create(model="default", max_tokens=20, messages=begun, extra_body={"temperature": 0})
    assert answer.content[0].text.startswith(" Paris"), "only what comes behind it"
    usage = answer.usage
    assert usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens == counted
    same = chat(real, begun, max_tokens=20, extra_body={"continue_final_message": True, "add_generation_prompt": False})
    assert same.choices[0].message.content == answer.content[0].text
    assert same.usage.prompt_tokens == counted


def test_a_stream_is_the_same_answer(real):
    messages = ask("Name three colours, one a line.")
    whole = chat(real, messages).choices[0].message.content
    streamed = "".join(
        choice.delta.content or "" for chunk in chat(real, messages, stream=True) for choice in chunk.choices
    )
    assert whole and streamed == whole
    with ant(real).messages.stream(
        model="default", max_tokens=400, messages=messages, extra_body={"temperature": 0}
    ) as stream:
        assert "".join(stream.text_stream) == whole


def test_the_next_turn_reads_only_what_is_new(real):
    messages = ask("Tell me in two sentences what a compiler does.")
    first = chat(real, messages)
    messages += [{"role": "assistant", "content": first.choices[0].message.content}, *ask("And an interpreter?")]
    second = chat(real, messages)
    known = first.usage.prompt_tokens + first.usage.completion_tokens
    assert second.usage.prompt_tokens_details.cached_tokens >= known - 1
    assert second.choices[0].message.content


def test_seeded_answers_do_not_depend_on_company(real):
    def sampled(seed):
        answer = chat(real, ask("Write one line about the sea."), temperature=1.0, seed=seed, max_tokens=40, logprobs=True)
        return [(t.token, t.logprob) for t in answer.choices[0].logprobs.content]

    alone = [sampled(seed) for seed in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(sampled, range(4))) == alone
    assert len({json.dumps(answer) for answer in alone}) > 1


@pytest.mark.parametrize("seed", range(3))
def test_structured_output_holds_its_schema_when_hot(real, seed):
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 40},
            "age": {"type": "integer", "minimum": 0, "maximum": 130},
            "kind": {"enum": ["cat", "dog"]},
        },
        "required": ["name", "age", "kind"],
        "additionalProperties": False,
    }
    answer = chat(
        real, ask("Invent a pet."), temperature=1.3, seed=seed,
        response_format={"type": "json_schema", "json_schema": {"name": "pet", "schema": schema, "strict": True}},
    )
    assert answer.choices[0].finish_reason == "stop"
    jsonschema.validate(json.loads(answer.choices[0].message.content), schema)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
@pytest.mark.parametrize("temperature", [0, 1.3])
def test_a_forced_call_is_a_valid_call(real, choice, temperature):
    answer = chat(real, ask(WEATHER), tools=OPENAI_TOOLS, tool_choice=choice, temperature=temperature, seed=5,
                  parallel_tool_calls=False)
    assert answer.choices[0].finish_reason == "tool_calls"
    weather_call(answer.choices[0].message)


def test_no_call_where_none_is_allowed(real):
    answer = chat(real, ask(WEATHER), tools=OPENAI_TOOLS, tool_choice="none")
    assert not answer.choices[0].message.tool_calls
    assert answer.choices[0].message.content


def test_a_forced_call_through_the_anthropic_client(real):
    answer = ant(real).messages.create(
        model="default", max_tokens=400, messages=ask(WEATHER), tools=ANTHROPIC_TOOLS,
        tool_choice={"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True},
        extra_body={"temperature": 0},
    )
    assert answer.stop_reason == "tool_use"
    (call,) = [block for block in answer.content if block.type == "tool_use"]
    jsonschema.validate(call.input, TOOL_SCHEMA)


def test_the_coder_writes_a_working_function(qwen):
    answer = chat(qwen, ask("Write a Python function is_prime(n). Answer with the code only."))
    code = re.search(r"```(?:python)?\n(.*?)```", answer.choices[0].message.content, re.DOTALL).group(1)
    scope = {}
    exec(code, scope)  # the model's own words, in the test's own process: it is asked for a pure function
    assert [n for n in range(2, 60) if scope["is_prime"](n)] == [
        2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59]


def test_the_coder_calls_a_tool_of_its_own_accord_and_the_result_is_all_that_is_read(qwen):
    messages = ask(WEATHER)
    first = chat(qwen, messages, tools=OPENAI_TOOLS)
    call, arguments = weather_call(first.choices[0].message)
    assert "Oslo" in arguments["city"]
    messages += [first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "17 degrees, sunny"}]
    second = chat(qwen, messages, tools=OPENAI_TOOLS)
    known = first.usage.prompt_tokens + first.usage.completion_tokens
    assert second.usage.prompt_tokens_details.cached_tokens >= known - 1
    # What it makes of the result is beyond it: it calls again, whatever the result's form.
    assert second.choices[0].finish_reason in ("stop", "tool_calls")


def test_stop_length_and_logprobs(real):
    counting = ask("Count from 1 to 20 in digits, separated by commas.")
    stopped = chat(real, counting, stop=["3"])
    assert stopped.choices[0].finish_reason == "stop"
    assert "3" not in stopped.choices[0].message.content
    short = chat(real, counting, max_tokens=5, logprobs=True, top_logprobs=3)
    assert short.choices[0].finish_reason == "length"
    for token in short.choices[0].logprobs.content:
        assert token.logprob <= 0
        # Greedy: the sampled token is the likeliest.
        assert token.top_logprobs[0].token == token.token
