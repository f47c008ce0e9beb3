"""Structured output with the official client on a real model, hot; judged by Python's re, jsonschema and pydantic."""

import concurrent.futures
import json
import re
import time

import httpx
import jsonschema
import pydantic
import pytest

from conftest import OPENAI_TOOLS, QWEN, Server

pytestmark = pytest.mark.real

ASK = [{"role": "user", "content": "Say something."}]
EXPRESSION = """# sums with brackets
root ::= term ([-+] term)*
term ::= [0-9]{1,3} | "(" root ")"
"""
LARK = """start: greeting " " NAME
greeting: "Hello" | "Dear"
NAME: /[A-Z][a-z]{1,8}/
"""
REGEXES = [r"\d{3}-\d{4}", r"^(yes|no)$", r"[A-Z]\w{2,9}( [A-Z]\w{2,9}){0,2}", r'\{"n": \d{1,4}\}', r"(?i)[a-f]{4}\s?[^\W\d_]{3}",
           r"https?://[a-z]{2,8}(\.[a-z]{2,8})+/?"]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    if not QWEN.exists():
        pytest.skip("make models")
    running = Server(tmp_path_factory.mktemp("structured"), "--ctx", "2048", model=QWEN)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="module")
def client(real):
    return real.openai()


def answer(client, extra, seed=0, **keywords):
    keywords = {"messages": ASK, "temperature": 1.0, "max_tokens": 300, **keywords}
    choice = client.chat.completions.create(model="default", seed=seed, extra_body=extra, **keywords).choices[0]
    assert choice.finish_reason == "stop", choice
    return choice.message.content


@pytest.mark.parametrize("regex", REGEXES)
def test_a_regex_is_matched_in_full(client, regex):
    for seed in range(4):
        for extra in ({"guided_regex": regex}, {"structured_outputs": {"regex": regex}}):
            text = answer(client, extra, seed)
            assert re.fullmatch(regex, text), text


def test_a_choice_is_one_of_the_choices(client):
    choices = ["positive", "negative", "neither", "neither of the two"]
    answers = {answer(client, {"guided_choice": choices}, seed) for seed in range(6)}
    assert answers <= set(choices)


def test_grammars_in_both_notations(client):
    for seed in range(4):
        text = answer(client, {"guided_grammar": EXPRESSION}, seed, max_tokens=1500)
        assert re.fullmatch(r"[-+()\d]+", text) and isinstance(eval(re.sub(r"\d+", "1", text)), int), text
        assert re.fullmatch(r"(Hello|Dear) [A-Z][a-z]{1,8}", answer(client, {"guided_grammar": LARK}, seed))
        assert re.fullmatch(r"[ab]{3}", answer(client, {"grammar": "root ::= [ab]{3}"}, seed))


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
        "size": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 9}, {"type": "null"}]},
    },
    "required": ["name", "tags", "size"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("extra", [
    {"guided_json": SCHEMA},
    {"guided_json": json.dumps(SCHEMA), "guided_decoding_backend": "any", "guided_whitespace_pattern": " ?"},
    {"structured_outputs": {"json": SCHEMA}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": SCHEMA}}},
    {"response_format": {"type": "json_object", "schema": SCHEMA}},
    {"json_schema": SCHEMA},
])
def test_a_schema_is_held_under_every_name(client, extra):
    for seed in range(2):
        jsonschema.validate(json.loads(answer(client, extra, seed)), SCHEMA)


def test_pydantic_models_are_parsed(client):
    class Pet(pydantic.BaseModel):
        name: str = pydantic.Field(max_length=20)
        legs: int = pydantic.Field(ge=0, le=8)
        sounds: list[str] = pydantic.Field(max_length=2)

    for parse in (client.chat.completions.parse, getattr(client.beta.chat.completions, "parse", None)):
        if parse is None:
            continue
        done = parse(model="default", messages=[{"role": "user", "content": "Invent a pet, briefly."}],
                     response_format=Pet, temperature=1.0, seed=3, max_tokens=400)
        assert isinstance(done.choices[0].message.parsed, Pet)


@pytest.mark.parametrize("extra", [{"guided_regex": r"(\w{1,6} ){3}end"}, {"guided_grammar": EXPRESSION},
                                   {"guided_choice": ["one", "two"]}, {"guided_json": SCHEMA}])
def test_a_stream_is_the_whole_answer_with_logprobs_too(client, extra):
    whole = answer(client, extra, 5)
    chunks = client.chat.completions.create(model="default", messages=ASK, temperature=1.0, seed=5, max_tokens=300,
                                            stream=True, extra_body=extra)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == whole
    told = client.chat.completions.create(model="default", messages=ASK, temperature=1.0, seed=5, max_tokens=300,
                                          logprobs=True, top_logprobs=2, extra_body=extra).choices[0]
    assert "".join(token.token for token in told.logprobs.content) == told.message.content


def test_completions_take_them_too(client):
    def complete(**extra):
        return client.completions.create(model="default", prompt="The answer is", max_tokens=60, temperature=1.0, seed=2,
                                         extra_body=extra).choices[0].text

    assert re.fullmatch(r" \d+\.", complete(guided_regex=r" \d{1,5}\."))
    assert complete(guided_choice=[" yes", " no"]) in (" yes", " no")
    jsonschema.validate(json.loads(complete(guided_json={"type": "array", "items": {"type": "integer"}, "maxItems": 4})),
                        {"type": "array"})


def test_stop_strings_end_a_format_early(client):
    choice = client.chat.completions.create(model="default", messages=ASK, temperature=1.0, stop=["3"], max_tokens=50,
                                            extra_body={"guided_regex": "012345"}).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("012", "stop")


def test_structural_tags_hold_inside_the_tags_only(client):
    tag = {"type": "sequence", "elements": [
        {"type": "const_string", "value": "I think"}, {"type": "any_text"}, {"type": "const_string", "value": "so: "},
        {"type": "tag", "begin": "<n>", "content": {"type": "json_schema", "json_schema": {
            "type": "integer", "minimum": 0, "maximum": 99}}, "end": "</n>"}]}
    messages = [{"role": "user", "content": "Answer with: I think so: <n>7</n>"}]
    text = answer(client, {"response_format": {"type": "structural_tag", "format": tag}}, messages=messages,
                  temperature=0)
    assert re.fullmatch(r"(?s)I think.*?so: <n>\d{1,2}</n>", text), text


def test_tools_and_a_format_are_a_call_or_the_format(client):
    seen = set()
    for seed, question in enumerate(["What is the weather in Oslo?", "Are you well?"] * 2):
        choice = client.chat.completions.create(
            model="default", messages=[{"role": "user", "content": question}], tools=OPENAI_TOOLS, temperature=1.0,
            seed=seed, max_tokens=200, extra_body={"guided_regex": "(yes|no), [a-z]{2,8}"}).choices[0]
        seen.add(choice.finish_reason)
        if choice.finish_reason == "tool_calls":
            assert "city" in json.loads(choice.message.tool_calls[0].function.arguments)
        else:
            assert re.fullmatch("(yes|no), [a-z]{2,8}", choice.message.content)
    assert seen <= {"tool_calls", "stop"}


def test_what_a_loose_schema_cannot_hold_is_warned_of_and_a_strict_one_refused(real):
    schema = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}, "required": ["a"]}

    def post(strict):
        return real.post("/v1/chat/completions", {
            "messages": ASK, "max_tokens": 60,
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": strict, "schema": schema}}})

    loose = post(False)
    assert loose.status_code == 200 and "uniqueItems" in loose.headers["x-kvasir-warning"]
    strict = post(True)
    assert strict.status_code == 400 and "uniqueItems" in strict.json()["error"]["message"]
    assert strict.json()["error"]["param"] == "response_format.json_schema.schema"


HOSTILE = {
    "a huge regex": {"guided_regex": "a" * 1_000_000},
    "counts of counts": {"guided_regex": "((((a{1000}){1000}){1000}){1000}){1000}"},
    "nested groups": {"guided_regex": "(" * 8000 + "a" + ")" * 8000},
    "an exponential regex": {"guided_regex": "(.*a){12}.{400}b"},
    "a huge grammar": {"guided_grammar": "root ::= " + "[a-z] " * 1_000_000},
    "a grammar of 1900 rules in a chain": {
        "guided_grammar": "root ::= a0\n" + "".join(f"a{i} ::= a{i + 1}\n" for i in range(1900)) + 'a1900 ::= "x" root?'},
    "a Lark chain": {"guided_grammar": "start: a0\n" + "".join(f"a{i}: a{i + 1}\n" for i in range(6000)) + 'a6000: "x"'},
    "a Lark chain of terminals": {
        "guided_grammar": "start: A0\n" + "".join(f"A{i}: A{i + 1}\n" for i in range(6000)) + 'A6000: "x"'},
    "deep brackets": {"guided_grammar": "start: " + "(" * 50_000 + '"x"' + ")" * 50_000},
    "many choices": {"guided_choice": [f"choice {i}" for i in range(20_000)]},
    "a huge schema": {"guided_json": {"enum": [f"value {i}" for i in range(200_000)]}},
    "an endless schema": {"guided_json": {"$ref": "#"}},
    "an endless grammar": {"guided_grammar": 'root ::= "a" root'},
    "large counts in a schema": {"guided_json": {"type": "string", "minLength": 10**9, "maxLength": 10**9}},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_formats_cost_little_and_nobody_else(real, name):
    """Refused in words, or answered under the format: within bounded time, and another client is served beside it."""
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        hostile = pool.submit(httpx.post, real.url + "/v1/chat/completions",
                              json={"messages": ASK, "max_tokens": 3, **HOSTILE[name]}, timeout=60)
        other = pool.submit(httpx.post, real.url + "/v1/completions", json={"prompt": "a", "max_tokens": 2}, timeout=60)
        assert other.result().status_code == 200
        response = hostile.result()
    print(name, response.status_code, f"{time.monotonic() - start:.2f} s", response.text[:200])
    assert response.status_code in (200, 400, 413), response.text
    if response.status_code == 400:
        assert response.json()["error"]["message"]
    assert time.monotonic() - start < 30
    assert real.process.poll() is None
