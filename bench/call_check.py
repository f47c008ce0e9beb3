"""One request of generated calls, sent whole and streamed, and everything that can be wrong with what comes back."""

import dataclasses
import json

import jsonschema

from serving import StreamedMessage

# What begins a call in each format, once a call; formats whose calls have no such mark are left out.
CALL_MARKS = {
    **dict.fromkeys(["hermes", "reka", "glm-4.5", "glm-4.7", "ling-3"], "<tool_call>"),
    **dict.fromkeys(["granite", "phi4", "nemotron", "minimax-m1", "apriel", "mistral-list", "llama3", "gigachat", "gigachat3"], '{"name": "'),
    **dict.fromkeys(["command-r7b", "command-r-plus"], '"tool_name": "'),
    **dict.fromkeys(["mistral", "mistral-call-id"], "[TOOL_CALLS]"),
    **dict.fromkeys(["deepseek-v3.1", "deepseek-r1"], "<｜tool▁call▁begin｜>"),
    **dict.fromkeys(["qwen3-coder", "step3.5", "seed-oss", "functionary-v3.1"], "<function="),
    **dict.fromkeys(["deepseek-v3.2", "deepseek-v4"], "<｜DSML｜invoke name="),
    "kimi-k2": "<|tool_call_begin|>", "functionary-v3.2": ">>>", "harmony": " to=functions.", "minimax-m2": "<invoke name=", "minicpm5": "<function name=",
    "hunyuan": "<tool_call:opensource>", "gemma4": "<|tool_call>call:", "function-gemma": "<start_function_call>call:",
}
NINE_IDS = ("mistral", "mistral-list", "mistral-call-id")


@dataclasses.dataclass
class Answer:
    message: dict
    finish: str
    logprobs: list
    warning: str

    @property
    def calls(self):
        return [(call["function"]["name"], call["function"]["arguments"]) for call in self.message.get("tool_calls") or []]


class Refused(Exception):
    pass


async def ask(client, body):
    reply = await client.post("/v1/chat/completions", json=body)
    if reply.status_code != 200:
        raise Refused(f"{reply.status_code} {reply.text[:300]}")
    choice = reply.json()["choices"][0]
    return Answer(choice["message"], choice["finish_reason"], (choice.get("logprobs") or {}).get("content") or [], reply.headers.get("x-kvasir-warning", ""))


async def ask_streamed(client, body):
    message, logprobs, ended = StreamedMessage(), [], False
    async with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as reply:
        if reply.status_code != 200:
            raise Refused(f"{reply.status_code} {(await reply.aread()).decode()[:300]}")
        async for line in reply.aiter_lines():
            if line == "data: [DONE]":
                ended = True
            elif line.startswith("data: "):
                event = json.loads(line[6:])
                if "error" in event:
                    raise Refused(str(event["error"])[:300])
                for choice in event.get("choices") or []:
                    message.add(choice, 0.0)
                    logprobs += (choice.get("logprobs") or {}).get("content") or []
    if not ended:
        raise Refused("the stream ended without [DONE]")
    return Answer(message.message(), message.finish, logprobs, "")


def not_finite(word):
    raise ValueError(f"{word} is no JSON")


def call_problem(name, arguments, tools):
    """What is wrong with one call; None where nothing is."""
    schema = next((tool["function"]["parameters"] for tool in tools if tool["function"]["name"] == name), None)
    if schema is None:
        return f"undeclared name {name!r}"
    try:
        value = json.loads(arguments, parse_constant=not_finite)
    except ValueError as error:
        return f"not JSON ({error}): {arguments!r}"
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    try:
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
    except ArithmeticError as overflow:  # a number that is infinite to who reads it
        return f"not to be judged ({overflow}): {arguments!r}"
    return f"invalid ({error.message}) by {json.dumps(error.schema, ensure_ascii=False)}: {arguments!r}" if error else None


def problems(request, whole, streamed, tool_format):
    """All that is wrong with a request's two answers."""
    found = []
    if (whole.message.get("content") or "", whole.calls, whole.finish) != (streamed.message.get("content") or "", streamed.calls, streamed.finish):
        found.append(f"streamed differs: {whole.message} {whole.finish} / {streamed.message} {streamed.finish}")
    cut = whole.finish == "length"
    if request.forced:
        # Where the length cut a delimiter, its beginning is all the text there is.
        if whole.message.get("content") and not cut:
            found.append(f"text beside forced calls: {whole.message['content']!r}")
        if not whole.calls and not cut:
            found.append(f"no call: {whole.message}")
    if whole.calls and not cut and whole.finish != "tool_calls":
        found.append(f"finish_reason {whole.finish} with calls")
    if not request.parallel and len(whole.calls) > 1:
        found.append(f"{len(whole.calls)} calls, not parallel")
    if whole.warning:
        found.append("warning: " + whole.warning)
    ids = [call["id"] for call in whole.message.get("tool_calls") or []]
    if len(set(ids)) != len(ids) or not all(ids) or (tool_format in NINE_IDS and any(len(one) != 9 for one in ids)):
        found.append(f"ids {ids}")
    for name, arguments in whole.calls[: -1 if cut else None]:
        if problem := call_problem(name, arguments, request.tools):
            found.append(problem)
    if whole.logprobs and request.forced and not cut and tool_format in CALL_MARKS:
        raw = b"".join(bytes(token["bytes"] or b"") for token in whole.logprobs).decode(errors="replace")
        mark = CALL_MARKS[tool_format]
        # A key may be called "name" in arguments too; its value is no tool's.
        generated = sum(raw.count(mark + tool["function"]["name"] + '"') for tool in request.tools) if mark.endswith('"') else raw.count(mark)
        if generated != len(whole.calls):
            found.append(f"{generated} calls were generated, {len(whole.calls)} came: {raw!r}")
    return found


async def check(client, request, tool_format):
    """(finished calls, whether the length ended it, problems, names called)"""
    try:
        whole = await ask(client, request.body)
        streamed = await ask_streamed(client, request.body)
    except Refused as refusal:
        return 0, False, [str(refusal)], []
    cut = whole.finish == "length" and (request.forced or bool(whole.calls))
    names = [name for name, _ in (whole.calls[:-1] if whole.finish == "length" else whole.calls)]
    return len(names), cut, problems(request, whole, streamed, tool_format), names
