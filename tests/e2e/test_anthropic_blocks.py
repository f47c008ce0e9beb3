"""Every kind of input block, tool and choice that Anthropic's clients send, over the wire: what reaches the prompt, and what is refused."""

import httpx
import pytest
from anthropic.types import Message

from anthropic_types import ask_both, valid, valid_error
from conftest import ANTHROPIC_TOOLS

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}}


def body(*messages, **more):
    roles = ["user", "assistant"]
    turns = [{"role": roles[i % 2], "content": content} for i, content in enumerate(messages)]
    return {"model": "default", "max_tokens": 100, "temperature": 0, "messages": turns, **more}


def text(words):
    return {"type": "text", "text": words}


# Each block holds the word that the script listens for, where a model would read it.
@pytest.mark.parametrize(
    "block",
    [
        text("count"),
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "count"}},
        {"type": "document", "source": {"type": "content", "content": [text("count")]}},
        {"type": "document", "source": {"type": "content", "content": "count"}},
        {"type": "search_result", "title": "t", "source": "s", "content": [text("count")], "citations": {"enabled": True}},
        {"type": "search_result", "title": "t", "source": "count", "content": [text("x")]},
    ],
    ids=lambda block: block["type"] + "-" + str(block.get("source", ""))[:30],
)
def test_text_of_blocks_is_read(server, block):
    listening = "one two three four five six seven eight nine ten"
    message, _ = ask_both(server, body([block]))
    assert message.content[0].text == listening
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [block]}
    again = server.post("/v1/messages/count_tokens", body("q", [USE], [result], tools=ANTHROPIC_TOOLS)).json()["input_tokens"]
    empty = server.post("/v1/messages/count_tokens", body("q", [USE], [{**result, "content": []}], tools=ANTHROPIC_TOOLS))
    assert again > empty.json()["input_tokens"]


def test_blocks_of_assistant_turns_are_taken(server):
    turn = [
        {"type": "thinking", "thinking": "from elsewhere", "signature": "EqQBCgIYAhIM"},
        {"type": "redacted_thinking", "data": "EmwKAhgB"},
        text("Let me search."),
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [
            {"type": "web_search_result", "title": "A page", "url": "https://example.org", "encrypted_content": "x"}]},
        {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "f", "server_name": "s", "input": {}},
        {"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "is_error": False, "content": [text("r")]},
        {"type": "code_execution_tool_result", "tool_use_id": "srvtoolu_2", "content": {
            "type": "code_execution_result", "stdout": "4", "stderr": "", "return_code": 0, "content": []}},
        {"type": "container_upload", "file_id": "file_1"},
        {"type": "a_kind_of_next_year", "data": {"x": 1}},
        text("Found it."),
    ]
    before = server.metric("kvasir:foreign_thoughts_total")
    reply = server.post("/v1/messages", body("Search", turn, "count", container="c", mcp_servers=[], unknown_field=1))
    assert reply.status_code == 200, reply.text
    assert reply.json()["content"][0]["text"].startswith("one two")
    assert "container: is not done here" in reply.headers["x-kvasir-warning"]
    assert "1 thinking blocks are left out, the first messages.1.content.0" in reply.headers["x-kvasir-warning"]
    assert server.metric("kvasir:foreign_thoughts_total") == before + 1


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_an_image_in_a_new_message_is_refused_by_its_place(server, path):
    reply = server.post(path, body("Hi", "Hello.", [text("What is this?"), IMAGE]))
    assert reply.status_code == 400
    message = valid_error(reply).message
    assert message.startswith("messages[2].content[1]: could not process image: this model reads text only.")


def test_a_session_goes_on_with_images_in_results_and_in_history(server):
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [IMAGE]}
    for messages in [("look", [USE], [result]), ([text("look"), IMAGE], "I cannot.", "count")]:
        reply = server.post("/v1/messages", body(*messages, tools=ANTHROPIC_TOOLS))
        assert reply.status_code == 200, reply.text


@pytest.mark.parametrize("source", [{"type": "file", "file_id": "file_1"}, {"type": "url", "url": "https://example.org/a.pdf"}])
def test_documents_that_are_elsewhere_are_refused_in_a_new_message_and_named_in_history(server, source):
    block = {"type": "document", "context": "count", "source": source}
    reply = server.post("/v1/messages", body([block]))
    assert reply.status_code == 400 and valid_error(reply).message.startswith("messages[0].content[0].source.type: ")
    assert server.post("/v1/messages", body([block], "Hello.", "count")).status_code == 200


def test_results_that_failed_and_results_in_parallel(server):
    uses = [USE, {**USE, "id": "toolu_2"}]
    results = [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no such city", "is_error": True},
        {"type": "tool_result", "tool_use_id": "toolu_2"},
    ]
    message, _ = ask_both(server, body("two", uses, results, tools=ANTHROPIC_TOOLS))
    assert message.content[0].text == "It is 4 degrees in Oslo."


@pytest.mark.parametrize(
    ("choice", "calls"),
    [
        ({"type": "auto"}, 2),
        ({"type": "auto", "disable_parallel_tool_use": True}, 1),
        ({"type": "any", "disable_parallel_tool_use": True}, 1),
        ({"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True}, 1),
        ({"type": "none"}, 0),
    ],
)
def test_tool_choice(server, choice, calls):
    message, _ = ask_both(server, body("two cities", tools=ANTHROPIC_TOOLS, tool_choice=choice))
    assert sum(block.type == "tool_use" for block in message.content) == calls


def test_tools_of_the_client_are_declared_and_those_of_the_server_left_out(server):
    run_here = [
        {"type": "bash_20250124", "name": "bash"},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 10000},
        {"type": "memory_20250818", "name": "memory"},
    ]
    run_there = [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        {"type": "web_fetch_20250910", "name": "web_fetch"},
        {"type": "code_execution_20250825", "name": "code_execution"},
        {"type": "mcp_toolset", "mcp_server_name": "s"},
    ]

    def count(tools):
        return server.post("/v1/messages/count_tokens", body("x", tools=tools)).json()["input_tokens"]

    assert count(run_there) == count([])
    assert count(run_here) > count(run_here[:2]) > count(run_here[:1]) > count([])
    forced = {"type": "tool", "name": "web_search"}
    reply = server.post("/v1/messages", body("Hello", tools=run_here + run_there, tool_choice=forced))
    assert reply.status_code == 200, reply.text
    warning = reply.headers["x-kvasir-warning"]
    assert all(tool["type"] in warning for tool in run_there) and "bash" not in warning


def test_a_client_tool_can_be_forced(server):
    tools = [{"type": "memory_20250818", "name": "memory"}]
    reply = server.post("/v1/messages", body("Hello", tools=tools, tool_choice={"type": "any"}, max_tokens=60))
    message = valid(Message, reply.text)
    (call,) = [block for block in message.content if block.type == "tool_use"]
    # Only that: the script does not know how to write the arguments to their end.
    assert call.name == "memory"


def test_a_removed_tool_can_no_longer_be_called_until_it_is_added_again(server):
    from anthropic.types.beta import BetaRequestToolRemovalBlockParam

    reference = {"type": "tool_reference", "name": "get_weather"}
    removal = BetaRequestToolRemovalBlockParam(type="tool_removal", tool=reference)
    other = {"name": "look_up", "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}}}

    def called(*changes, tools):
        turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "weather"}]
        turns += [{"role": "system", "content": [change]} for change in changes]
        message = server.anthropic().beta.messages.create(model="default", max_tokens=60, messages=turns, tools=tools, extra_body={"temperature": 0})
        return [block.name for block in message.content if block.type == "tool_use"]

    for tools in (ANTHROPIC_TOOLS, [*ANTHROPIC_TOOLS, other]):
        assert called(tools=tools) == ["get_weather"]
        assert "get_weather" not in called(removal, tools=tools)
        assert called(removal, {"type": "tool_addition", "tool": reference}, tools=tools) == ["get_weather"]


def test_unknown_betas_are_tolerated(server):
    headers = {"anthropic-beta": "context-management-2025-06-27,next-year-2030-01-01", "anthropic-version": "2023-06-01"}
    reply = httpx.post(server.url + "/v1/messages?beta=true", json=body("Hello", speed="fast", betas=["x"]), headers=headers)
    assert reply.status_code == 200, reply.text
