"""A conversation with tools that really run, over many turns: through pydantic-ai, and through the openai client. The model is a real one and greedy, so
its words are a fact about this build; asserted is what any model must get: valid calls, results that reach it, an answer, and only new tokens read."""

import json

import jsonschema
import pytest
from pydantic_ai import Agent, ModelResponse, UsageLimits
from pydantic_ai.messages import ToolCallPart, ToolReturnPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from conftest import QWEN, Server

pytestmark = pytest.mark.real
STOCK = {"bolts": 12, "nuts": 30, "washers": 7}

# Else the smallest of its family repeats the call.
TELL = "Say in one short sentence what the tool told you."


def tool(name, description, properties):
    parameters = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters, "strict": True}}


ITEM = {"item": {"type": "string", "enum": list(STOCK)}}
TOOLS = [
    tool("count_stock", "How many of an item are in stock", ITEM),
    tool("order_item", "Orders more of an item", {**ITEM, "amount": {"type": "integer", "minimum": 1, "maximum": 100}}),
]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("loop"), "--memory", "3GB", "--ctx", "8192", model=QWEN)
    yield running
    assert running.stop() == 0, running.log.read_text()


class Store:
    """The tools' other side."""

    def __init__(self):
        self.stock, self.done = dict(STOCK), []

    def count_stock(self, item):
        self.done.append(("count_stock", item))
        return {"item": item, "in_stock": self.stock[item]}

    def order_item(self, item, amount):
        self.done.append(("order_item", item, amount))
        self.stock[item] += amount
        return {"item": item, "in_stock": self.stock[item], "ordered": amount}


def test_a_loop_through_the_openai_client(real):
    client = real.openai(timeout=300)
    store, messages, known = Store(), [{"role": "system", "content": "You keep the stock. Use the tools."}], 0

    def ask(tool_choice):
        nonlocal known
        answer = client.chat.completions.create(
            model="default", messages=messages, tools=TOOLS, tool_choice=tool_choice, temperature=0, max_tokens=200, parallel_tool_calls=False
        )
        # All that was read or generated for this conversation before is in the cache; the last token's logits are wanted anew.
        assert answer.usage.prompt_tokens_details.cached_tokens >= known - 1
        known = answer.usage.prompt_tokens + answer.usage.completion_tokens
        messages.append(answer.choices[0].message.model_dump(exclude_none=True))
        return answer.choices[0]

    turns = [("How many bolts are there?", "count_stock", "12"), ("Order 20 nuts.", "order_item", "50"), ("And how many washers?", "count_stock", "7")]
    for question, name, told in turns:
        messages.append({"role": "user", "content": question})
        choice = ask({"type": "function", "function": {"name": name}})
        assert choice.finish_reason == "tool_calls"
        (call,) = choice.message.tool_calls
        arguments = json.loads(call.function.arguments)
        schema = next(one["function"]["parameters"] for one in TOOLS if one["function"]["name"] == name)
        jsonschema.validate(arguments, schema)
        assert call.function.name == name
        messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(getattr(store, name)(**arguments))})
        messages.append({"role": "user", "content": TELL})
        words = ask("none")
        assert words.finish_reason == "stop" and not words.message.tool_calls
        assert told in words.message.content  # what only the tool knew
    assert store.done == [("count_stock", "bolts"), ("order_item", "nuts", 20), ("count_stock", "washers")]


def test_a_loop_through_pydantic_ai(real):
    store = Store()
    model = OpenAIChatModel("default", provider=OpenAIProvider(base_url=real.url + "/v1", api_key="any"))

    def settings(context):
        """A question is for the tool; all else is for words."""
        asked = context.prompt != TELL and not any(isinstance(part, ToolReturnPart) for part in context.messages[-1].parts)
        return {"temperature": 0, "max_tokens": 200, "parallel_tool_calls": False, "tool_choice": "required" if asked else "none"}

    agent = Agent(model, instructions="You keep the stock.", model_settings=settings)

    @agent.tool_plain
    def count_stock(item: str) -> str:
        """How many of an item are in stock.

        Args:
            item: bolts, nuts or washers
        """
        return json.dumps(store.count_stock(item))

    history, known = [], 0

    def run(prompt):
        """What is said to the model is the conversation so far, and of it only the new part is read."""
        nonlocal history, known
        result = agent.run_sync(prompt, message_history=history, usage_limits=UsageLimits(request_limit=2))
        for message in result.new_messages():
            if isinstance(message, ModelResponse):
                assert message.usage.cache_read_tokens >= known - 1
                known = message.usage.input_tokens + message.usage.output_tokens
        history = result.all_messages()
        return result

    for question, item, told in (("How many bolts are in stock?", "bolts", "12"), ("How many washers are in stock?", "washers", "7")):
        parts = [part for message in run(question).new_messages() for part in message.parts]
        (call,) = [part for part in parts if isinstance(part, ToolCallPart)]
        (returned,) = [part for part in parts if isinstance(part, ToolReturnPart)]
        assert call.args_as_dict() == {"item": item}
        assert call.tool_call_id == returned.tool_call_id
        assert told in run(TELL).output
    assert store.done == [("count_stock", "bolts"), ("count_stock", "washers")]
