"""Ten turns with tools, sent back as real clients do it: every request reads its own new tokens only.

What is read again, and why:
- one token: the engine keeps the KV of what it has computed, and the last token of an answer was sampled but never
  computed (as its successor ended the answer);
- where prompt + answer is sent again unchanged, its last token, since logits are wanted for it.
"""

import json

import httpx
import pytest

from conftest import ANTHROPIC_TOOLS, OPENAI_TOOLS, Server

TURNS = 10
# The model spells with other white space than the template would, and with a number that JavaScript knows no other
# way than 2; the text around the call ends in white space that clients trim.
REPLY = 'I look at naïve 漢字, turn %d. \n<tool_call>\n{"name": "get_weather", "arguments": {"city":"Oslo", "days": 2}}\n</tool_call>'
RULES = [{"reply": "It is cold."}]
RULES += [{"when": f"question {i} ", "reply": REPLY % i} for i in range(TURNS)]
RULES += [{"when": "slowly", "reply": "one two three four five six seven eight", "delay_ms_per_step": 700}]
RULES += [{"when": "degrees", "reply": "\nIt is 4 degrees.\n"}]


@pytest.fixture(scope="module")
def stable(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("stable"), rules=RULES)
    yield running
    assert running.stop() == 0, running.log.read_text()


def rewritten(arguments):
    """As clients that parse calls and write them anew: other white space, other order of keys."""
    value = json.loads(arguments)
    return json.dumps(dict(reversed(value.items())), indent=1)


class Reads:
    """What each request read of the one before it."""

    def __init__(self):
        self.previous = None

    def check(self, prompt, completion, cached):
        if self.previous is not None:
            before_prompt, before_completion = self.previous
            # All of the last prompt and of its answer, but for the answer's last token.
            assert cached >= before_prompt + before_completion - 1, (prompt, cached, self.previous)
        self.previous = prompt, completion


def question(salt, i):
    return f"{salt} question {i} of mine: how is the weather?"


def openai_messages(message, way):
    dumped = message.model_dump(exclude_none=way != "whole")
    if way == "rewritten":
        for call in dumped.get("tool_calls") or []:
            call["function"]["arguments"] = rewritten(call["function"]["arguments"])
        if dumped.get("content"):
            dumped["content"] = dumped["content"].strip()
    return dumped


@pytest.mark.parametrize("way", ["whole", "without nulls", "rewritten"])
def test_openai(stable, way):
    import openai

    client = stable.openai()
    messages = [{"role": "system", "content": "Be brief."}]
    reads = Reads()

    def send():
        answer = client.chat.completions.create(model="default", messages=messages, tools=OPENAI_TOOLS, temperature=0)
        usage = answer.usage
        reads.check(usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens)
        messages.append(openai_messages(answer.choices[0].message, way))
        return answer.choices[0].message

    for i in range(TURNS):
        messages.append({"role": "user", "content": question(way, i)})
        (call,) = send().tool_calls
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "4 degrees"})
        assert send().content.strip() == "It is 4 degrees."


def streamed(client, **arguments):
    with client.messages.stream(**arguments) as stream:
        return stream.get_final_message()


def whole(client, **arguments):
    return client.messages.create(**arguments, timeout=30)


def anthropic_blocks(answer, way):
    if way == "as they are":
        return answer.content
    blocks = []
    for block in answer.content:
        if block.type == "text":
            blocks.append({"type": "text", "text": block.text.strip()})
        else:
            blocks.append({"type": "tool_use", "id": block.id, "name": block.name, "input": dict(reversed(block.input.items()))})
    return blocks


@pytest.mark.parametrize("way", ["as they are", "rewritten"])
@pytest.mark.parametrize("ask", [whole, streamed])
def test_anthropic(stable, ask, way):
    import anthropic

    client = stable.anthropic()
    messages = []
    reads = Reads()
    salt = f"{ask.__name__} {way}"

    def send():
        arguments = dict(model="default", max_tokens=32000, system="Be brief.", messages=messages, tools=ANTHROPIC_TOOLS)
        counted = client.messages.count_tokens(**{k: v for k, v in arguments.items() if k != "max_tokens"})
        answer = ask(client, **arguments, extra_body={"temperature": 0})
        usage = answer.usage
        prompt = usage.input_tokens + usage.cache_read_input_tokens
        assert counted.input_tokens == prompt
        reads.check(prompt, usage.output_tokens, usage.cache_read_input_tokens)
        messages.append({"role": "assistant", "content": anthropic_blocks(answer, way)})
        return answer

    for i in range(TURNS):
        messages.append({"role": "user", "content": question(salt, i)})
        call = send().content[-1]
        assert call.type == "tool_use"
        messages.append(
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "4 degrees"}]}
        )
        assert send().content[0].text.strip() == "It is 4 degrees."


def test_answer_cut_by_max_tokens(stable):
    messages = [{"role": "user", "content": "cut question 3 of mine"}]
    cut = stable.post("/v1/chat/completions", {"messages": messages, "temperature": 0, "max_tokens": 5}).json()
    assert cut["choices"][0]["finish_reason"] == "length"
    messages += [cut["choices"][0]["message"], {"role": "user", "content": "go on"}]
    after = stable.post("/v1/chat/completions", {"messages": messages, "temperature": 0}).json()
    usage = after["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] >= cut["usage"]["prompt_tokens"] + 5 - 1


def test_answer_that_the_client_stopped(stable):
    messages = [{"role": "user", "content": "count slowly"}]
    body = {"model": "default", "messages": messages, "temperature": 0, "stream": True}
    text = ""
    with httpx.stream("POST", stable.url + "/v1/chat/completions", json=body, timeout=60) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: {"):
                text += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
            if "two" in text:
                break
    stable.wait_metric("kvasir:requests_cancelled_total", lambda count: count >= 1)
    before = stable.metric("kvasir:replayed_tokens_total")
    messages += [{"role": "assistant", "content": text.strip()}, {"role": "user", "content": "go on"}]
    stable.post("/v1/chat/completions", {"messages": messages, "temperature": 0})
    assert stable.metric("kvasir:replayed_tokens_total") > before


def test_reported(stable):
    before = stable.metric("kvasir:replayed_tokens_total")
    messages = [{"role": "user", "content": "reported"}]
    first = stable.post("/v1/chat/completions", {"messages": messages, "temperature": 0}).json()
    messages += [first["choices"][0]["message"], {"role": "user", "content": "again"}]
    stable.post("/v1/chat/completions", {"messages": messages, "temperature": 0})
    replayed = first["usage"]["completion_tokens"]
    assert stable.metric("kvasir:replayed_tokens_total") == before + replayed
    assert f" replayed={replayed} " in stable.log.read_text()


def test_attribution_and_cosmetic_changes_are_not_seen(stable):
    def read_anew(version, tools):
        body = {
            "model": "default",
            "max_tokens": 5,
            "system": [
                {"type": "text", "text": f"x-anthropic-billing-header: cc_version={version};"},
                {"type": "text", "text": "Be cosmetic."},
            ],
            "tools": "TOOLS",
            "messages": [{"role": "user", "content": "Hello"}],
        }
        text = json.dumps(body).replace('"TOOLS"', tools)
        reply = httpx.post(stable.url + "/v1/messages", content=text.encode(), timeout=60)
        assert reply.status_code == 200, reply.text
        return reply.json()["usage"]["input_tokens"]

    schema = '{"type":"object","properties":{"é":{"type":"number","maximum":14.0}}}'
    assert read_anew(1, '[{"name":"f","description":"d","input_schema":%s}]' % schema) > 1
    spelled = '{ "type": "object",\n "properties": {"\\u00e9": {"type": "number", "maximum": 14}}}'
    # The last token is read for its logits.
    assert read_anew(2, '[ {"name": "f",  "description":"d", "input_schema": %s} ]' % spelled) == 1
