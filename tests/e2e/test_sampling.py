"""The parameters beside OpenAI's own, through the official client: what they do to an answer, and what is said to
values that mean nothing. The sampler's own tests are in tests/engine."""

import openai
import pytest

from conftest import MODELS, QWEN, Server

PROMPT = "<|im_start|>user\ncount<|im_end|>\n<|im_start|>assistant\n"
SMOLLM2 = MODELS / "smollm2-135m-instruct-q4_1.gguf"


def complete(client, prompt=PROMPT, **options):
    extra = {name: options.pop(name) for name in list(options) if name not in (
        "temperature", "max_tokens", "stop", "echo", "suffix", "seed", "logprobs", "n", "stream")}
    return client.completions.create(model="default", prompt=prompt, extra_body=extra,
                                     **{"temperature": 0, "max_tokens": 40, **options})


def test_min_tokens_puts_the_end_off(oai):
    plain = complete(oai)
    assert plain.choices[0].text == "one two three four five six seven eight nine ten"
    longer = complete(oai, min_tokens=plain.usage.completion_tokens + 7)
    assert longer.usage.completion_tokens == plain.usage.completion_tokens + 7
    assert longer.choices[0].finish_reason == "stop"
    assert complete(oai, stop=["two"], min_tokens=2).choices[0].text == plain.choices[0].text
    assert complete(oai, stop=["three"], min_tokens=2).choices[0].text == "one two "


def test_ignore_eos_goes_on_to_max_tokens(oai):
    answer = complete(oai, ignore_eos=True)
    assert answer.usage.completion_tokens == 40
    assert answer.choices[0].finish_reason == "length"


def test_stop_token_ids_end_an_answer(oai, server):
    token = server.post("/tokenize", {"content": " four"}).json()["tokens"]
    assert len(token) == 1
    answer = complete(oai, stop_token_ids=token)
    assert answer.choices[0].text == "one two three"
    assert answer.choices[0].finish_reason == "stop"


def test_a_guided_answer_stops_at_its_end_and_at_stop_strings(oai):
    options = {"guided_regex": "one( [a-z]+)+!", "max_tokens": 30}
    assert complete(oai, guided_regex="one two t[a-z]{4}").choices[0].text == "one two three"
    stopped = complete(oai, stop=[" four"], **options).choices[0]
    assert (stopped.text, stopped.finish_reason) == ("one two three", "stop")
    assert complete(oai, guided_choice=["one two", "one"], min_tokens=20).choices[0].text in ("one two", "one")


@pytest.mark.parametrize("options", [
    {"typical_p": 0.5}, {"xtc_probability": 0.7, "xtc_threshold": 0.05}, {"dry_multiplier": 0.8, "dry_base": 2},
    {"dry_multiplier": 1, "dry_allowed_length": 1, "dry_penalty_last_n": 64, "dry_sequence_breakers": ["\n", "#"]},
    {"top_k": 50, "min_p": 0.01, "typical_p": 0.9, "xtc_probability": 0.5},
])
def test_seeded_answers_are_the_same_again(oai, options):
    first = complete(oai, temperature=2, seed=5, ignore_eos=True, **options)
    again = complete(oai, temperature=2, seed=5, ignore_eos=True, cache_prompt=False, **options)
    assert first.choices[0].text == again.choices[0].text
    chat = oai.chat.completions.create(model="default", messages=[{"role": "user", "content": "count"}], seed=5,
                                       max_tokens=10, extra_body=options)
    assert chat.usage.completion_tokens == 10


@pytest.mark.parametrize("field, value", [
    ("typical_p", 2), ("xtc_probability", -1), ("xtc_threshold", "x"), ("dry_multiplier", -0.5), ("dry_base", 0),
    ("dry_allowed_length", 1.5), ("dry_penalty_last_n", -7), ("dry_sequence_breakers", [1]), ("min_tokens", -1),
    ("ignore_eos", "no"), ("stop_token_ids", 7),
])
def test_bad_values_are_told_by_name(oai, field, value):
    for ask in (
        lambda: oai.chat.completions.create(model="default", messages=[{"role": "user", "content": "x"}],
                                            extra_body={field: value}),
        lambda: complete(oai, **{field: value}),
        lambda: oai.responses.create(model="default", input="x", extra_body={field: value}),
    ):
        with pytest.raises(openai.BadRequestError) as bad:
            ask()
        assert bad.value.param.startswith(field)
        assert field in bad.value.message


def test_more_min_than_max_tokens(oai):
    with pytest.raises(openai.BadRequestError) as bad:
        complete(oai, max_tokens=5, min_tokens=6)
    assert bad.value.param == "min_tokens"


def test_prompt_lists(oai, server):
    tokens = server.post("/tokenize", {"content": PROMPT}).json()["tokens"]
    for prompt in ([PROMPT, PROMPT], [tokens, tokens], [PROMPT, tokens]):
        answer = complete(oai, prompt=prompt, max_tokens=2)
        assert [(c.index, c.text) for c in answer.choices] == [(0, "one two"), (1, "one two")]
        assert answer.usage.prompt_tokens == 2 * len(tokens)
    assert complete(oai, prompt=tokens, max_tokens=2).choices[0].text == "one two"
    both = complete(oai, prompt=[PROMPT, tokens], max_tokens=1, n=2)
    assert [c.index for c in both.choices] == [0, 1, 2, 3]


def test_echo_gives_the_prompt_back(oai, server):
    tokens = server.post("/tokenize", {"content": "Once upon"}).json()["tokens"]
    answer = complete(oai, prompt=["Once upon", tokens], max_tokens=1, echo=True)
    assert all(c.text.startswith("Once upon") for c in answer.choices)
    streamed = "".join(c.choices[0].text for c in complete(oai, max_tokens=1, echo=True, stream=True))
    assert streamed == PROMPT + "one"


def test_echo_with_logprobs_scores_the_prompt(oai):
    scored = complete(oai, max_tokens=0, echo=True, logprobs=2).choices[0]
    assert scored.text == PROMPT and "".join(scored.logprobs.tokens) == PROMPT
    assert scored.logprobs.token_logprobs[0] is None and scored.logprobs.top_logprobs[0] is None
    assert all(p <= 0 for p in scored.logprobs.token_logprobs[1:])
    assert all(len(top) == 2 for top in scored.logprobs.top_logprobs[1:])
    answered = complete(oai, max_tokens=2, echo=True, logprobs=2).choices[0]
    assert answered.logprobs.token_logprobs[:-2] == scored.logprobs.token_logprobs
    assert "".join(answered.logprobs.tokens) == answered.text
    chunks = [c.choices[0] for c in complete(oai, max_tokens=2, echo=True, logprobs=2, stream=True)]
    assert sum((c.logprobs.token_logprobs for c in chunks if c.logprobs), []) == answered.logprobs.token_logprobs
    assert "".join(c.text for c in chunks) == answered.text


def test_a_suffix_is_put_between_the_models_own_marks(oai, server):
    def count(text):
        return server.post("/tokenize", {"content": text, "parse_special": False}).json()["count"]
    answer = complete(oai, prompt="def f():<|im_end|>", suffix="return x", max_tokens=1)
    assert answer.usage.prompt_tokens == count("def f():<|im_end|>") + count("return x") + 3


def test_a_model_without_such_marks_says_so(tmp_path):
    server = Server(tmp_path, tokenizer=SMOLLM2)
    try:
        with pytest.raises(openai.BadRequestError, match="fill-in-the-middle") as bad:
            complete(server.openai(), suffix="x")
        assert bad.value.param == "suffix"
    finally:
        assert server.stop() == 0


@pytest.mark.real
def test_a_model_of_code_fills_the_gap(tmp_path):
    server = Server(tmp_path, "--memory", "3GB", "--ctx", "4096", model=QWEN)
    try:
        answer = complete(server.openai(timeout=300), prompt="def add(a, b):\n    return ",
                          suffix="\n\nassert add(1, 2) == 3\n", max_tokens=20, stop=["\n"]).choices[0]
        assert (answer.text, answer.finish_reason) == ("a + b", "stop")
    finally:
        assert server.stop() == 0
