"""What a conversation's tokens are told to be in Anthropic's dialect: usage, context_management, diagnostics, signatures."""

import copy

import httpx
import pytest
from anthropic.types.beta import BetaMessageTokensCount

from anthropic_types import BETA, ask_both, valid
from conftest import ANTHROPIC_TOOLS, KEY, Server
from test_reasoning import RULES, THOUGHT, serve

LONG = "word " * 300
MARK = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def text(words, **more):
    return {"type": "text", "text": words, **more}


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


def ask(server, messages, **more):
    reply = server.post("/v1/messages", {"model": "default", "max_tokens": 5, "messages": messages, **more})
    assert reply.status_code == 200, reply.text
    return valid(BETA[0], reply.text)


def count(server, messages, **more):
    reply = server.post("/v1/messages/count_tokens", {"model": "default", "messages": messages, **more})
    return valid(BetaMessageTokensCount, reply.text).input_tokens


def parts(message):
    usage = message.usage
    created = usage.cache_creation
    assert usage.cache_creation_input_tokens == created.ephemeral_5m_input_tokens + created.ephemeral_1h_input_tokens
    return usage.input_tokens, usage.cache_read_input_tokens, created.ephemeral_5m_input_tokens, created.ephemeral_1h_input_tokens


# ---- Usage ----


def test_usage_without_breakpoints(server):
    messages = [user(text("Plain usage. " + LONG))]
    total = count(server, messages)
    first, again = ask(server, messages), ask(server, messages)
    assert parts(first)[2:] == (0, 0) and sum(parts(first)) == total
    assert parts(again) == (1, total - 1, 0, 0)


def test_a_breakpoint_at_the_end_counts_the_prompt_as_created_once(server):
    messages = [user(text("Marked usage. " + LONG, **MARK))]
    total = count(server, messages)
    first = parts(ask(server, messages))
    assert first[0] == 1 and first[2] > 290 and sum(first) == total
    assert parts(ask(server, messages)) == (1, total - 1, 0, 0)
    # What is added behind is created, what was there is read.
    longer = [*messages, {"role": "assistant", "content": "A."}, user(text("More. " + LONG, **MARK))]
    next_parts = parts(ask(server, longer))
    assert sum(next_parts) == count(server, longer)
    assert next_parts[0] == 1 and next_parts[1] >= first[1] + first[2] - 10


def test_lifetimes_of_breakpoints(server):
    system = [text("Lifetimes. " + LONG, **HOUR)]
    messages = [user(text("First. " + LONG, **MARK)), {"role": "assistant", "content": "A."}, user(text("Last. " + LONG))]
    told = parts(ask(server, messages, system=system))
    assert sum(told) == count(server, messages, system=system)
    # The system prompt for an hour, the first message for five minutes, the rest is input; a few tokens are the template's.
    assert 280 < told[3] < 340 and 300 < told[2] < 330 and 300 < told[0] < 330


def test_breakpoint_of_the_whole_request_and_of_tools(server):
    messages = [user(text("Whole. " + LONG))]
    told = parts(ask(server, messages, **MARK))
    assert told[0] == 1 and told[2] > 290
    tools = [{**ANTHROPIC_TOOLS[0], "description": "Of tools. " + LONG, **MARK}]
    told = parts(ask(server, messages, tools=tools))
    assert told[2] > 290 and told[0] > 290


def test_streams_tell_the_same_usage(server):
    request = {"model": "default", "max_tokens": 5, "messages": [user(text("Streamed usage. " + LONG, **MARK))]}
    message, end = ask_both(server, request)
    assert end.usage.cache_read_input_tokens + end.usage.input_tokens == sum(parts(message))


def test_a_wrong_lifetime_is_named(server):
    block = text("x", cache_control={"type": "ephemeral", "ttl": "2h"})
    reply = server.post("/v1/messages", {"model": "default", "max_tokens": 5, "messages": [user(block)]})
    assert reply.status_code == 400 and "messages[0].content[0].cache_control.ttl" in reply.json()["error"]["message"]


# ---- Context management ----


def tool_talk(uses):
    messages = [user(text("Read them."))]
    for i in range(uses):
        use = {"type": "tool_use", "id": f"toolu_{i}", "name": "get_weather", "input": {"city": "Oslo"}}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{i}", "content": f"Result {i}. " + LONG}
        messages += [{"role": "assistant", "content": [use]}, user(result)]
    return messages


def clear(**options):
    return {"context_management": {"edits": [{"type": "clear_tool_uses_20250919", **options}]}, "tools": ANTHROPIC_TOOLS}


def amount(kind, value):
    return {"type": kind, "value": value}


def test_tool_uses_are_cleared_once_triggered(server):
    messages = tool_talk(5)
    before = count(server, messages, tools=ANTHROPIC_TOOLS)
    untouched = ask(server, messages, **clear())
    assert untouched.context_management.applied_edits == []
    assert sum(parts(untouched)) == before
    edits = clear(trigger=amount("input_tokens", 1000))
    message, end = ask_both(server, {"model": "default", "max_tokens": 5, "messages": messages, **edits}, BETA)
    (edit,) = message.context_management.applied_edits
    assert end.context_management == message.context_management
    assert (edit.type, edit.cleared_tool_uses) == ("clear_tool_uses_20250919", 2)
    assert sum(parts(message)) == before - edit.cleared_input_tokens and edit.cleared_input_tokens > 580
    # The same conversation is cleared the same way: all of it is found again.
    assert parts(ask(server, messages, **edits))[0] == 1
    reply = server.post("/v1/messages/count_tokens", {"model": "default", "messages": messages, **edits})
    counted = valid(BetaMessageTokensCount, reply.text)
    assert counted.context_management.original_input_tokens == before
    assert counted.input_tokens == before - edit.cleared_input_tokens


def test_the_beta_client_reads_it_all(ant):
    messages = tool_talk(4)
    request = {
        "model": "default", "max_tokens": 5, "messages": messages, "betas": ["context-management-2025-06-27"],
        "tools": ANTHROPIC_TOOLS, "diagnostics": {"previous_message_id": None},
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919", "trigger": amount("tool_uses", 1)}]}}
    first = ant.beta.messages.create(**request)
    assert first.context_management.applied_edits[0].cleared_tool_uses == 1
    request["diagnostics"] = {"previous_message_id": first.id}
    request["messages"] = [user(text("Something else. " + LONG))]
    with ant.beta.messages.stream(**request) as stream:
        second = stream.get_final_message()
    assert second.diagnostics.cache_miss_reason.type == "messages_changed"
    assert second.context_management.applied_edits == []


@pytest.mark.parametrize(
    ("options", "cleared"),
    [
        ({"trigger": amount("tool_uses", 5)}, None),
        ({"trigger": amount("tool_uses", 4)}, 2),
        ({"trigger": amount("tool_uses", 1), "keep": amount("tool_uses", 1)}, 4),
        ({"trigger": amount("tool_uses", 1), "clear_at_least": amount("input_tokens", 5000)}, None),
        ({"trigger": amount("tool_uses", 1), "exclude_tools": ["get_weather"]}, None),
        ({"trigger": amount("tool_uses", 1), "clear_tool_inputs": True}, 2),
    ],
)
def test_options_of_clearing_tool_uses(server, options, cleared):
    applied = ask(server, tool_talk(5), **clear(**options)).context_management.applied_edits
    assert [edit.cleared_tool_uses for edit in applied] == ([] if cleared is None else [cleared])


@pytest.fixture(scope="module")
def thinker(tmp_path_factory):
    running = serve(tmp_path_factory.mktemp("thinker"), "Qwen-Qwen3-0.6B", "--api-key", KEY, rules=RULES)
    yield running
    assert running.stop() == 0, running.log.read_text()


def think(server, messages, key=KEY, **more):
    request = {"model": "default", "max_tokens": 100, "temperature": 0, "messages": messages, **more}
    reply = httpx.post(server.url + "/v1/messages", json=request, headers={"x-api-key": key}, timeout=60)
    assert reply.status_code == 200, reply.text
    return valid(BETA[0], reply.text), reply


def test_thoughts_are_cleared_and_compaction_is_left_to_the_client(thinker):
    first, _ = think(thinker, [user(text("why?"))])
    content = [block.model_dump(exclude_none=True) for block in first.content]
    messages = [user(text("why?")), {"role": "assistant", "content": content}, user(text("why?"))]
    messages += [{"role": "assistant", "content": content}, user(text("Go on."))]
    edits = [{"type": "clear_thinking_20251015", "keep": amount("thinking_turns", 1)}, {"type": "compact_20260112"}]
    message, reply = think(thinker, messages, context_management={"edits": edits})
    (edit,) = message.context_management.applied_edits
    assert (edit.type, edit.cleared_thinking_turns) == ("clear_thinking_20251015", 1)
    assert "compact_20260112" in reply.headers["x-kvasir-warning"]
    kept, _ = think(thinker, messages, context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]})
    assert kept.context_management.applied_edits == []


# ---- Signatures ----


def tool_turn(server, **thinking):
    """A thought and a call, and what the client sends back of them."""
    options = {"tools": ANTHROPIC_TOOLS, "thinking": {"type": "enabled", "budget_tokens": 16, **thinking}}
    first, _ = think(server, [user(text("weather?"))], **options)
    content = [block.model_dump(exclude_none=True) for block in first.content]
    assert [block["type"] for block in content] == ["thinking", "tool_use"]
    result = {"type": "tool_result", "tool_use_id": content[1]["id"], "content": "4 degrees"}
    return first, [user(text("weather?")), {"role": "assistant", "content": content}, user(result)], options


@pytest.mark.parametrize("display", ["summarized", "omitted"])
def test_a_signed_thought_comes_back_as_it_was(thinker, display):
    first, messages, options = tool_turn(thinker, display=display)
    assert (messages[1]["content"][0]["thinking"] == "") == (display == "omitted")
    second, reply = think(thinker, messages, **options)
    assert "x-kvasir-warning" not in reply.headers
    # All but the new tokens were found: prompt, thought and call are where the first answer left them.
    assert second.usage.cache_read_input_tokens >= sum(parts(first)) + first.usage.output_tokens - 1


def test_a_changed_or_foreign_thought_is_left_out(thinker):
    _, messages, options = tool_turn(thinker)
    whole, _ = think(thinker, messages, **options)
    for change in [{"thinking": "Another thought."}, {"signature": "EqQBCgIYAhIM"}]:
        changed = copy.deepcopy(messages)
        changed[1]["content"][0].update(change)
        answer, reply = think(thinker, changed, **options)
        assert "1 thinking blocks are left out" in reply.headers["x-kvasir-warning"]
        assert sum(parts(answer)) < sum(parts(whole))
        assert answer.input_transformations is None
        # Clients that ask for it are told in the response too.
        options["thinking"]["block_binding"] = {"prefix_mismatch_behavior": "drop_block"}
        told, _ = think(thinker, changed, **options)
        (dropped,) = told.input_transformations
        assert (dropped.type, dropped.path) == ("thinking_dropped", "messages.1.content.0")
        del options["thinking"]["block_binding"]


def test_signatures_hold_after_a_restart_and_for_their_own_key_only(tmp_path, thinker):
    _, messages, options = tool_turn(thinker)
    for name, key, holds in [("same", KEY, True), ("other", "another-key", False)]:
        folder = tmp_path / name
        folder.mkdir()
        restarted = serve(folder, "Qwen-Qwen3-0.6B", "--api-key", key, rules=RULES)
        _, reply = think(restarted, messages, key=key, **options)
        assert restarted.stop() == 0
        assert ("x-kvasir-warning" not in reply.headers) == holds


def test_thoughts_words_are_the_models(thinker):
    message, _ = think(thinker, [user(text("why?"))], thinking={"type": "adaptive"})
    assert message.content[0].thinking == THOUGHT


# ---- Diagnostics ----


def diagnosed(server, messages, previous=None, **more):
    return ask(server, messages, diagnostics={"previous_message_id": previous}, **more)


def reason(message):
    return message.diagnostics and message.diagnostics.cache_miss_reason


SYSTEM = "Diagnosed. " + LONG


def test_a_conversation_that_goes_on_has_no_miss(server):
    messages = [user(text("One. " + LONG, **MARK))]
    first = diagnosed(server, messages, system=SYSTEM, tools=ANTHROPIC_TOOLS)
    assert first.diagnostics is None
    moved = [user(text("One. " + LONG)), {"role": "assistant", "content": "A."}, user(text("Two.", **MARK))]
    assert diagnosed(server, moved, first.id, system=SYSTEM, tools=ANTHROPIC_TOOLS).diagnostics is None


@pytest.mark.parametrize("what", ["system_changed", "tools_changed", "messages_changed"])
def test_the_miss_reason_names_what_changed(server, what):
    def request(changed):
        mark = "changed " if changed else ""
        tools = [{**ANTHROPIC_TOOLS[0], "description": (mark if what == "tools_changed" else "") + "D. " + LONG}]
        return {
            "messages": [user(text((mark if what == "messages_changed" else "") + f"First of {what}. " + LONG))],
            "system": (mark if what == "system_changed" else "") + f"System of {what}. " + LONG, "tools": tools}

    first = diagnosed(server, **request(False))
    second = diagnosed(server, previous=first.id, **request(True))
    found = reason(second)
    assert found.type == what
    total = sum(parts(first))
    assert found.cache_missed_input_tokens == total - second.usage.cache_read_input_tokens
    streamed = {"model": "default", "max_tokens": 5, "diagnostics": {"previous_message_id": first.id}, **request(True)}
    # All of it has been read by now: nothing is missed.
    message, _ = ask_both(server, streamed, BETA)
    assert message.diagnostics is None


def test_an_id_that_is_not_known_or_not_ones_own(server, thinker):
    message = diagnosed(server, [user(text("x"))], "msg_unknown")
    assert reason(message).type == "previous_message_not_found"
    salted = diagnosed(server, [user(text("x"))], cache_salt="a")
    assert reason(diagnosed(server, [user(text("x"))], salted.id)).type == "previous_message_not_found"


def test_other_settings_make_it_unavailable(thinker):
    asked = {"diagnostics": {"previous_message_id": None}}
    first, _ = think(thinker, [user(text("why?"))], **asked)
    asked["diagnostics"]["previous_message_id"] = first.id
    messages = [user(text("why?")), {"role": "assistant", "content": "A."}, user(text("And?"))]
    second, _ = think(thinker, messages, thinking={"type": "disabled"}, **asked)
    assert reason(second).type == "unavailable"
