"""Conversations that make_model_templates_golden.py renders with every model's template: what clients send, each kind
once. Names say what a scenario is about."""

NOW = 1784109805  # 2026-07-15 10:03:25 UTC

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather in a city, \"now\" or later", "parameters": {
        "type": "object", "required": ["city"], "properties": {
            "city": {"type": "string", "description": "Name of the city", "enum": ["Oslo", "Málaga"]},
            "days": {"type": "integer", "description": "How many days ahead", "default": 1},
            "exact": {"type": "boolean"}}}}}
NOTE = {"type": "function", "function": {
    "name": "write_note", "description": "Writes a note", "parameters": {
        "type": "object", "required": ["text", "tags"], "properties": {
            "text": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "where": {"type": "object", "properties": {"folder": {"type": "string"}, "line": {"type": "number"}}}}}}}
TOOLS = [WEATHER, NOTE]


def said(role, content, **more):
    return {"role": role, "content": content, **more}


def call(name, arguments, number):
    return {"id": f"call0000{number}", "type": "function", "function": {"name": name, "arguments": arguments}}


USER = said("user", "What is the weather in Oslo?")
SYSTEM = said("system", "You are brief.\nYou answer in English.")
ANSWER = said("assistant", "It is 4 degrees.")
MORE = said("user", "And tomorrow?")
ASKS = said("assistant", "", tool_calls=[call("get_weather", {"city": "Oslo", "days": 2}, 1)])
ASKS_TWO = said("assistant", "Both.", tool_calls=[
    call("get_weather", {"city": "Málaga", "exact": True}, 1),
    call("write_note", {"text": "a \"b\"\n<c> & 'd'", "tags": ["x", "y"], "where": {"folder": "/n", "line": 1.5}}, 2)])
RESULT = said("tool", "{\"degrees\": 4.0, \"sky\": \"clear\"}", tool_call_id="call00001", name="get_weather")
RESULT_TWO = said("tool", "written", tool_call_id="call00002", name="write_note")
THOUGHT = said("assistant", "Blue.", reasoning_content="The sky scatters\nshort waves.")
PARTS = said("user", [{"type": "text", "text": "One. "}, {"type": "text", "text": "Two."}])


def scenario(*messages, generate=True, **more):
    return {"messages": list(messages), "add_generation_prompt": generate, "bos_token": "<s>", "eos_token": "</s>", **more}


SCENARIOS = {
    "plain": scenario(USER),
    "system": scenario(SYSTEM, USER),
    "multi_turn": scenario(SYSTEM, USER, ANSWER, MORE, ANSWER, USER),
    "tools": scenario(SYSTEM, USER, tools=TOOLS),
    "call_and_result": scenario(USER, ASKS, RESULT, tools=TOOLS),
    "answered_call": scenario(SYSTEM, USER, ASKS, RESULT, ANSWER, MORE, tools=TOOLS),
    "parallel_calls": scenario(USER, ASKS_TWO, RESULT, RESULT_TWO, tools=TOOLS),
    "reasoning": scenario(said("user", "Why is the sky blue?"), THOUGHT, MORE),
    "thinking_on": scenario(USER, enable_thinking=True),
    "thinking_off": scenario(USER, enable_thinking=False),
    "no_generation_prompt": scenario(SYSTEM, USER, ANSWER, generate=False),
    "content_parts": scenario(PARTS),
    "unicode": scenario(said("system", "Grüße 🙂"), said("user", "naïve 漢字 👩‍🚀 e\u0301 \u2028 \u00a0<|x|>\t{{ no }}\\n"),
                        said("assistant", "ой, да"), said("user", " spaces \n\n")),
}
