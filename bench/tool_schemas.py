"""Tools with varied JSON Schemas, and requests that ask for calls of them: the same seed gives the same ones.

A schema uses what strict tools use: nested objects, arrays with bounds, enum, const, anyOf, oneOf, allOf, $ref and $defs (recursive too), patterns,
formats, numeric bounds, multipleOf, null, optional properties, odd and Unicode names, tools without parameters.

`bounded`: every text ends by its schema (maxLength, pattern, enum, format), no name of a property is free, as in OpenAI's strict tools. A model of
random weights never ends a text by itself, so it gets bounded schemas only; real models get both kinds.
"""

import dataclasses
import random

WORDS = "city date amount currency name title status priority owner tags note path query limit offset unit size colour kind mode".split()
ODD_NAMES = ["größe", "名前", "two words", "kebab-case", "dotted.name", "$filter", "_id", "class", "123", "наименование", "emoji🙂", "a/b", "CamelCase", "@type", "q?"]
# What tags and Python's syntax cannot write as a name; JSON can.
QUOTED_NAMES = ['quo"ted', "back\\slash", "<tag>", "a=b", "a:b", "a,b", "par(en)", "it's"]
PATTERNS = [
    ("^[A-Z]{2}-[0-9]{3,5}$", {}),
    ("^[a-z_]{1,12}$", {}),
    ("^(alpha|beta|gamma)(/[0-9]{1,3})?$", {}),
    ("^#[0-9a-fA-F]{6}$", {}),
    ("^\\d{1,3}(\\.\\d{1,2})?$", {}),
    ("[0-9]{2}", {"maxLength": 12}),
    ("^[^0-9]{2,8}$", {}),
    ("^\\S+@\\w+$", {"maxLength": 20}),
    ('^"[a-z]{1,5}"$', {}),
]
FORMATS = ["date", "time", "date-time", "duration", "uuid", "ipv4", "ipv6", "email", "hostname", "uri"]
FREE_FORMATS = {"email": 32, "hostname": 24, "uri": 40}  # characters at most where a text must end
TEXTS = ["open", "closed", "in progress", "naïve", "日本語", 'say "hi"', "back\\slash", "two\nlines", "<b>bold</b>", "it's", "", "null", "42", "True"]
TASKS = [
    "Call {name} with made-up but sensible values.",
    "I need you to use {name} now. Fill in what is missing as you like.",
    "Please run {name}; invent the details.",
    "Use the tools for this: {name}, for three different cases.",
    "Do it with {name}, in German if there is text.",
]


@dataclasses.dataclass
class Request:
    body: dict
    tools: list
    forced: bool
    parallel: bool


class SchemaMaker:
    def __init__(self, source, bounded=True, quoted_names=True):
        self.random, self.bounded, self.quoted_names = source, bounded, quoted_names
        self.defs = {}

    def tool(self, name):
        self.defs = {}
        parameters = self.parameters()
        if self.defs:
            parameters["$defs"] = self.defs
        return {"type": "function", "function": {"name": name, "description": f"Does what {name} says.", "parameters": parameters}}

    def parameters(self):
        if self.random.random() < 0.04:
            return self.random.choice([{"type": "object", "properties": {}, "additionalProperties": False}, {"type": "object", "properties": {}}][: 1 if self.bounded else 2])
        return self.object(0, self.random.randint(1, 6))

    def names(self, count):
        pool = WORDS + ODD_NAMES * (self.random.random() < 0.4) + QUOTED_NAMES * (self.quoted_names and self.random.random() < 0.3)
        return self.random.sample(pool, count)

    def object(self, depth, count=None):
        names = self.names(count or self.random.randint(1, 3))
        properties = {name: self.value(depth + 1) for name in names}
        out = {"type": "object", "properties": properties}
        required = [name for name in names if self.random.random() < 0.6]
        if required or self.random.random() < 0.5:
            out["required"] = required
        if self.bounded or self.random.random() < 0.6:
            out["additionalProperties"] = False
        elif self.random.random() < 0.3:
            out["additionalProperties"] = self.integer(depth)
        return out

    def value(self, depth):
        leaves = [self.text, self.text, self.text, self.integer, self.number, self.boolean, self.enum, self.const, self.nullable]
        nests = [self.array, self.array, self.object, self.any_of, self.one_of, self.all_of, self.ref, self.tuple]
        made = self.random.choice(leaves if depth > 2 or self.random.random() < 0.55 else nests)(depth)
        if self.random.random() < 0.2:
            made = {"description": "What is meant by it.", **made}
        return made

    def text(self, _depth):
        kind = self.random.random()
        if kind < 0.2:
            pattern, more = self.random.choice(PATTERNS)
            return {"type": "string", "pattern": pattern, **more}
        if kind < 0.4:
            name = self.random.choice(FORMATS)
            most = {"maxLength": FREE_FORMATS[name]} if self.bounded and name in FREE_FORMATS else {}
            return {"type": "string", "format": name, **most}
        if not self.bounded and kind < 0.65:
            return {"type": "string"}
        least = self.random.choice([0, 0, 1, 3])
        out = {"type": "string", "maxLength": self.random.randint(max(least, 1), 24)}
        return {**out, "minLength": least} if least else out

    def integer(self, _depth):
        low = self.random.randint(-1000, 1000)
        return {"type": "integer", **self.random.choice([
            {}, {"minimum": low}, {"minimum": low, "maximum": low + self.random.randint(0, 500)}, {"exclusiveMinimum": 0, "maximum": 10}, {"minimum": 0, "multipleOf": 5}, {"minimum": 0, "maximum": 1},
        ])}

    def number(self, _depth):
        low = self.random.choice([-90, -0.5, 0, 1.25, 100])
        return {"type": "number", **self.random.choice([{}, {"minimum": low}, {"minimum": low, "maximum": low + 180}, {"exclusiveMinimum": 0, "exclusiveMaximum": 1}, {"multipleOf": 0.25}])}

    def boolean(self, _depth):
        return {"type": "boolean"}

    def enum(self, _depth):
        if self.random.random() < 0.2:
            return {"enum": self.random.sample([1, 2.5, "three", None, True, "4"], 3)}
        values = self.random.sample(TEXTS, self.random.randint(1, 5))
        return self.random.choice([{"type": "string", "enum": values}, {"enum": values}])

    def const(self, _depth):
        return {"const": self.random.choice(["fixed", 7, True, None, "v1/größe", -3])}

    def nullable(self, depth):
        inner = self.random.choice([self.text, self.integer, self.boolean])(depth)
        if self.random.random() < 0.5:
            return {**inner, "type": [inner["type"], "null"]}
        return {"anyOf": [inner, {"type": "null"}]}

    def array(self, depth):
        least = self.random.choice([0, 0, 1, 2])
        out = {"type": "array", "items": self.value(depth + 1), "maxItems": self.random.randint(max(1, least), 4)}
        if not self.bounded and self.random.random() < 0.3:
            del out["maxItems"]
        return {**out, "minItems": least} if least else out

    def tuple(self, depth):
        items = [self.random.choice([self.text, self.integer, self.number, self.boolean])(depth + 1) for _ in range(self.random.randint(1, 3))]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}

    def any_of(self, depth):
        made = self.random.sample([self.text, self.integer, self.boolean, self.array, self.object], self.random.randint(2, 3))
        return {"anyOf": [make(depth + 1) for make in made]}

    def one_of(self, depth):
        if self.random.random() < 0.5:
            return {"oneOf": [{"type": "string", "maxLength": 10}, {"type": "boolean"}, {"type": "integer", "minimum": 0}]}
        options = []
        for kind in self.random.sample(["circle", "square", "line"], 2):
            one = {"type": "object", "properties": {"shape": {"const": kind}, "size": self.number(depth), "label": self.text(depth)}}
            options.append({**one, "required": ["shape", "size"], "additionalProperties": False})
        return {"oneOf": options}

    def all_of(self, depth):
        which = self.random.randrange(3)
        if which == 0:
            return {"allOf": [{"type": "string", "maxLength": 10}, {"type": "string", "pattern": "^[a-z]+$"}]}
        if which == 1:
            return {"allOf": [{"type": "integer", "minimum": 3}, {"type": "integer", "maximum": 40}]}
        first, second = self.random.sample(WORDS, 2)
        return {
            "allOf": [
                {"type": "object", "properties": {first: self.text(depth), second: {"type": "integer"}}, "required": [first], "additionalProperties": False},
                {"type": "object", "properties": {first: {}, second: {"minimum": 0, "type": "integer"}}, "required": [second]},
            ]
        }

    def ref(self, depth):
        which = self.random.choice(["point", "label", "chain", "tree"])
        if which == "point":
            self.defs["point"] = {"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}, "required": ["x", "y"], "additionalProperties": False}
        elif which == "label":
            self.defs["label"] = {"type": "string", "maxLength": 8}
        elif which == "chain":
            self.defs["chain"] = {
                "type": "object",
                "properties": {"value": {"type": "integer", "minimum": 0, "maximum": 9}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/chain"}]}},
                "required": ["value"], "additionalProperties": False,
            }
        else:
            self.defs["tree"] = {
                "type": "object",
                "properties": {"leaf": {"type": "boolean"}, "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 1}},
                "required": ["leaf"], "additionalProperties": False,
            }
        return {"$ref": f"#/$defs/{which}"}


def tool_set(seed, number, bounded, quoted_names, auto, requests):
    """A set of tools, and requests that share it (so that a server reads it once)."""
    source = random.Random(f"{seed}/{number}")
    maker = SchemaMaker(source, bounded, quoted_names)
    # A real model needs a second for a tool or two; it gets twenty less often.
    count = source.choice([1, 1, 1, 2, 2, 3, 3, 4, 5, 8, 12, 20] if bounded else [1, 1, 1, 1, 2, 2, 2, 3, 3, 4, source.choice([5, 8, 20])])
    tools = [maker.tool(f"{source.choice(['get', 'set', 'find', 'make', 'do'])}_{source.choice(WORDS)}_{at}") for at in range(count)]
    made = []
    for at in range(requests):
        name = source.choice(tools)["function"]["name"]
        choice = source.choice(["named", "required", "required"] + ["auto"] * auto)
        parallel = source.random() < 0.4
        body = {
            "model": "default", "temperature": 1.0, "seed": number * 1000 + at, "tools": tools, "parallel_tool_calls": parallel,
            "messages": [{"role": "user", "content": source.choice(TASKS).format(name=name)}],
            "tool_choice": {"type": "function", "function": {"name": name}} if choice == "named" else choice,
            "logprobs": source.random() < 0.25,
        }
        made.append(Request(body, tools, choice != "auto", parallel))
    return made
