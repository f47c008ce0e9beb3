"""A conversation with tools that really run, over many turns: through pydantic-ai, and through the openai client. The model is a real one and greedy, so
its words are a fact about this build; asserted is what any model must get: valid calls, results that reach it, an answer, and only new tokens read."""

import json

import jsonschema
import openai
import pytest
from pydantic_ai import Agent, ModelRequest, ModelResponse, UsageLimits
from pydantic_ai.messages import TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from conftest import QWEN, Server

pytestmark = pytest.mark.real
STOCK = {"bolts": 12, "nuts": 30, "washers": 7}


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
    client = openai.OpenAI(base_url=real.url + "/v1", api_key="any", max_retries=0, timeout=300)
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

    for question, name in (("How many bolts are there?", "count_stock"), ("Order 20 nuts.", "order_item"), ("And how many washers?", "count_stock")):
        messages.append({"role": "user", "content": question})
        choice = ask({"type": "function", "function": {"name": name}})
        assert choice.finish_reason == "tool_calls"
        (call,) = choice.message.tool_calls
        arguments = json.loads(call.function.arguments)
        schema = next(one["function"]["parameters"] for one in TOOLS if one["function"]["name"] == name)
        jsonschema.validate(arguments, schema)
        assert call.function.name == name
        messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(getattr(store, name)(**arguments))})
        words = ask("none")
        assert words.finish_reason == "stop" and words.message.content and not words.message.tool_calls
    assert store.done == [("count_stock", "bolts"), ("order_item", "nuts", 20), ("count_stock", "washers")]
    assert "7" in messages[-1]["content"]  # what only the tool knew


def test_a_loop_through_pydantic_ai(real):
    store = Store()
    model = OpenAIChatModel("default", provider=OpenAIProvider(base_url=real.url + "/v1", api_key="any"))
    agent = Agent(model, instructions="You keep the stock. Use a tool once, then say what it told you.", model_settings={"temperature": 0, "max_tokens": 200})

    @agent.tool_plain
    def count_stock(item: str) -> str:
        """How many of an item are in stock.

        Args:
            item: bolts, nuts or washers
        """
        store.done.append(item)
        return f"There are {STOCK[item]} {item} in stock." if item in STOCK else f"There is no item {item}: ask for bolts, nuts or washers."

    history, known = None, 0
    for question, item in (("How many bolts are in stock?", "bolts"), ("How many washers are in stock?", "washers")):
        result = agent.run_sync(question, message_history=history, usage_limits=UsageLimits(request_limit=6))
        calls, returned = [], []
        for message in result.new_messages():
            for part in message.parts:
                if isinstance(part, ToolCallPart):
                    calls.append(part)
                elif isinstance(part, ToolReturnPart):
                    returned.append(part)
            if isinstance(message, ModelResponse):
                assert message.usage.cache_read_tokens >= known - 1
                known = message.usage.input_tokens + message.usage.output_tokens
        assert item in store.done
        assert calls and [call.tool_call_id for call in calls] == [one.tool_call_id for one in returned]
        assert all(call.args_as_dict().keys() == {"item"} for call in calls)
        history = result.all_messages()
        assert isinstance(history[0], ModelRequest) and isinstance(history[-1].parts[-1], TextPart)
        assert result.output.strip()
