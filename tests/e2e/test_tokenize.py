"""/tokenize, /detokenize and /apply-template, as users of vLLM and of llama-server call them. The judge of tokens is
the Hugging Face tokenizer in the golden files of tests/text."""

import httpx
import pytest

from conftest import KEY, OPENAI_TOOLS

MESSAGES = [{"role": "user", "content": "Hello"}]
RENDERED = ("<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
            "<|im_start|>user\nHello<|im_end|>\n")


def ok(reply):
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_vllms_fields(server):
    body = ok(server.post("/tokenize", {"model": "default", "prompt": "a<|fim_suffix|>b", "return_token_strs": True}))
    assert body["tokens"] == [64, 151661, 65]
    assert body["count"] == 3
    assert body["token_strs"] == ["a", "<|fim_suffix|>", "b"]
    assert body["max_model_len"] > 1000
    assert ok(server.post("/detokenize", {"model": "default", "tokens": body["tokens"]}))["prompt"] == "a<|fim_suffix|>b"


def test_llama_servers_fields(server):
    body = ok(server.post("/tokenize", {"content": "a<|fim_suffix|>b", "parse_special": False}))
    assert body["tokens"] == [64, 27, 91, 69, 318, 37151, 91, 29, 65]
    pieces = ok(server.post("/tokenize", {"content": "ß𝟘", "with_pieces": True}))["tokens"]
    assert b"".join(p["piece"].encode() if isinstance(p["piece"], str) else bytes(p["piece"]) for p in pieces) == "ß𝟘".encode()
    assert ok(server.post("/detokenize", {"tokens": [p["id"] for p in pieces]}))["content"] == "ß𝟘"
    assert ok(server.post("/tokenize", {"content": ""}))["tokens"] == []


def test_a_conversation_is_what_a_request_reads(server, oai):
    counted = ok(server.post("/tokenize", {"messages": MESSAGES, "tools": OPENAI_TOOLS}))["count"]
    usage = oai.chat.completions.create(model="default", messages=MESSAGES, tools=OPENAI_TOOLS, max_tokens=1).usage
    assert counted == usage.prompt_tokens
    text = ok(server.post("/apply-template", {"messages": MESSAGES, "tools": OPENAI_TOOLS}))["prompt"]
    assert ok(server.post("/tokenize", {"prompt": text}))["count"] == counted


def test_apply_template(server):
    assert ok(server.post("/apply-template", {"messages": MESSAGES}))["prompt"] == RENDERED + "<|im_start|>assistant\n"
    plain = ok(server.post("/apply-template", {"messages": MESSAGES, "add_generation_prompt": False}))
    assert plain["prompt"] == RENDERED


def test_an_answer_that_goes_on_stands_behind_its_opening(server):
    begun = [*MESSAGES, {"role": "assistant", "content": "Well, "}]
    body = {"messages": begun, "continue_final_message": True, "add_generation_prompt": False}
    assert ok(server.post("/apply-template", body))["prompt"] == RENDERED + "<|im_start|>assistant\nWell,"


@pytest.mark.parametrize("path, body, field", [
    ("/tokenize", {}, "prompt"),
    ("/tokenize", {"prompt": "a", "content": "b"}, "content"),
    ("/tokenize", {"prompt": "a", "model": "gpt-5"}, None),
    ("/detokenize", {"tokens": ["a"]}, "tokens[0]"),
    ("/detokenize", {"tokens": [9999999]}, "tokens[0]"),
    ("/apply-template", {"messages": []}, "messages"),
])
def test_bad_requests(server, path, body, field):
    reply = server.post(path, body)
    assert reply.status_code == (404 if body.get("model") else 400)
    if field:
        assert reply.json()["error"]["param"] == field


def test_keys_are_asked_for(keyed_server):
    assert keyed_server.post("/tokenize", {"prompt": "x"}).status_code == 401
    headers = {"Authorization": "Bearer " + KEY}
    assert httpx.post(keyed_server.url + "/tokenize", json={"prompt": "x"}, headers=headers).status_code == 200
