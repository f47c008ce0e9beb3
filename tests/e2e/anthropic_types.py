"""The judge of everything that is answered in Anthropic's dialect: the types of the official SDK, held to strictly."""

import json

import httpx
import pydantic
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.beta import BetaMessage, BetaRawMessageStreamEvent
from anthropic.types.shared import ErrorResponse

OURS = "kvasir_"  # fields of our own begin so
STABLE = (Message, RawMessageStreamEvent)
BETA = (BetaMessage, BetaRawMessageStreamEvent)


def unknown_fields(value, path=""):
    """Fields that the SDK's types do not have, of any depth."""
    if isinstance(value, list):
        return [found for i, item in enumerate(value) for found in unknown_fields(item, f"{path}[{i}]")]
    if not isinstance(value, pydantic.BaseModel):
        return []
    found = [f"{path}.{name}" for name in value.model_extra or {} if not name.startswith(OURS)]
    for name in type(value).model_fields:
        found += unknown_fields(getattr(value, name), f"{path}.{name}")
    return found


def valid(kind, text):
    """`text` (JSON) as the SDK's type, strictly: no coercion, no field missing, none that is not known."""
    value = pydantic.TypeAdapter(kind).validate_json(text, strict=True)
    assert unknown_fields(value) == []
    return value


def valid_error(reply):
    error = valid(ErrorResponse, reply.text)
    assert error.request_id == reply.headers["request-id"]
    return error.error


def stream_events(reply_text, kinds=STABLE):
    """The events of a stream, each valid; pings, which are not among the types, are checked by hand."""
    events = []
    for frame in reply_text.strip().split("\n\n"):
        name, data = frame.split("\n")
        kind = json.loads(data.removeprefix("data: "))["type"]
        assert name == f"event: {kind}"
        if kind == "ping":
            assert data == 'data: {"type":"ping"}'
        else:
            events.append(valid(kinds[1], data.removeprefix("data: ")))
    return events


def joined(events):
    """The message that a stream's events make, as the SDK's own accumulator has it, checked against their order."""
    message = events[0].message
    assert events[0].type == "message_start" and message.content == [] and message.stop_reason is None
    blocks, open_block = [], None
    for event in events[1:-2]:
        if event.type == "content_block_start":
            assert open_block is None and event.index == len(blocks)
            open_block = event.content_block.model_dump()
            open_block["json"] = ""
        elif event.type == "content_block_delta":
            assert open_block is not None and event.index == len(blocks)
            delta = event.delta
            if delta.type == "text_delta":
                open_block["text"] += delta.text
            elif delta.type == "thinking_delta":
                open_block["thinking"] += delta.thinking
            elif delta.type == "signature_delta":
                open_block["signature"] += delta.signature
            else:
                open_block["json"] += delta.partial_json
        else:
            assert event.type == "content_block_stop" and event.index == len(blocks)
            if open_block["type"] == "tool_use":
                open_block["input"] = json.loads(open_block["json"] or "{}")
            del open_block["json"]
            blocks.append(open_block)
            open_block = None
    assert open_block is None
    assert [event.type for event in events[-2:]] == ["message_delta", "message_stop"]
    return blocks, events[-2]


def ask_both(server, body, kinds=STABLE, headers=None):
    """The same request whole and streamed: both valid, and the same answer. Returns the whole one and the stream's end."""
    whole = httpx.post(server.url + "/v1/messages", json=body, headers=headers, timeout=60)
    assert whole.status_code == 200, whole.text
    assert whole.headers["request-id"].startswith("req_")
    message = valid(kinds[0], whole.text)
    streamed = httpx.post(server.url + "/v1/messages", json={**body, "stream": True}, headers=headers, timeout=60)
    assert streamed.headers["request-id"].startswith("req_")
    blocks, end = joined(stream_events(streamed.text, kinds))
    plain = [block.model_dump() for block in message.content]
    for block in blocks + plain:
        block.pop("id", None)
    assert blocks == plain
    assert end.delta.stop_reason == message.stop_reason
    assert end.delta.stop_sequence == message.stop_sequence
    assert end.usage.output_tokens == message.usage.output_tokens
    return message, end
