"""The Berkeley Function-Calling Leaderboard against Kvasir and llama-server: the same GGUF, in the same run.

    bench/tools.sh bfcl [--per-category 50] [--categories simple_python,multiple,parallel,irrelevance] [--json FILE] [--server both|kvasir|llama]

PyPI bfcl-eval with its own data (BFCL v4, the first N entries of each category, in the file's order), its own conversion of functions to OpenAI tools
(convert_to_tool, as its handler for OpenAI's function calling uses it) and its own AST checker. No prompt of ours: the entry's messages, the tools,
tool_choice auto, temperature 0, the same max_tokens for both. An irrelevance entry is right when no call comes. An invalid call is one that is not JSON,
names no declared tool or does not fit its schema, by jsonschema. Answers that FILE holds already are not asked for again, so a run can be cut.

bfcl-eval depends on the clients of every vendor, torch and more, for models and benchmarks that are not used here. It goes into an environment of its own
without them; the one table of its that the checker wants from there (does this model's API turn dots in names into underscores? OpenAI's does) is given here.
"""

import argparse
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time
import types

VERSION = "2026.3.23"
# What its checker and its conversion import, at the versions that it asks for.
NEEDED = ["tree_sitter==0.21.3", "tree-sitter-java==0.21.0", "tree-sitter-javascript==0.21.4", "tenacity==9.1.2", "tqdm", "filelock==3.20.0", "python-dotenv", "overrides", "httpx==0.28.1", "jsonschema==4.26.0"]
CATEGORIES = ["simple_python", "multiple", "parallel", "irrelevance"]
MODEL = "kvasir-bench-FC"
MAX_TOKENS = 512
CONTEXT = 4096


def enter_environment():
    """Goes on in bfcl-eval's environment, which is made where it is not there yet."""
    folder = pathlib.Path(os.environ.get("KVASIR_BFCL", pathlib.Path.home() / ".cache" / "kvasir" / "bfcl"))
    stamp = folder / hashlib.sha256(repr((VERSION, NEEDED)).encode()).hexdigest()[:16]
    python = folder / "venv" / "bin" / "python"
    if not stamp.exists():
        print(f"installing bfcl-eval {VERSION}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder / "venv"], check=True)
        pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, *NEEDED], check=True)
        subprocess.run([*pip, "--no-deps", f"bfcl-eval=={VERSION}"], check=True)
        stamp.touch()
    if pathlib.Path(sys.prefix).resolve() != (folder / "venv").resolve():
        os.execv(python, [str(python), *sys.argv])


def checker():
    """bfcl-eval's functions that are used here."""
    vendors = types.ModuleType("bfcl_eval.constants.model_config")
    vendors.MODEL_CONFIG_MAPPING = {MODEL: types.SimpleNamespace(underscore_to_dot=True)}
    sys.modules["bfcl_eval.constants.model_config"] = vendors
    from bfcl_eval.constants.enums import Language, ModelStyle
    from bfcl_eval.constants.type_mappings import GORILLA_TO_OPENAPI
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker
    from bfcl_eval.model_handler.utils import convert_to_tool

    def tools_of(functions):
        return convert_to_tool(functions, GORILLA_TO_OPENAPI, ModelStyle.OPENAI_COMPLETIONS)

    def right(category, functions, calls, truth):
        if category == "irrelevance":
            return not calls
        return ast_checker(functions, calls, truth, Language.PYTHON, category, MODEL)["valid"]

    return tools_of, right


def entries(category, count):
    import bfcl_eval

    folder = pathlib.Path(bfcl_eval.__file__).parent / "data"
    read = lambda path: [json.loads(line) for line in path.read_text().splitlines()]
    questions = read(folder / f"BFCL_v4_{category}.json")[:count]
    answers = folder / "possible_answer" / f"BFCL_v4_{category}.json"
    truth = {one["id"]: one["ground_truth"] for one in read(answers)} if answers.exists() else {}
    return [(one["id"], one["question"][0], one["function"], truth.get(one["id"])) for one in questions]


def invalid(call, tools):
    import jsonschema

    schema = next((tool["function"]["parameters"] for tool in tools if tool["function"]["name"] == call["name"]), None)
    if schema is None:
        return f"undeclared {call['name']}"
    try:
        jsonschema.Draft202012Validator(schema).validate(json.loads(call["arguments"]))
    except (ValueError, jsonschema.ValidationError) as error:
        return str(error).splitlines()[0]
    return None


def ask(server, messages, tools):
    body = {"model": "default", "messages": messages, "tools": tools, "tool_choice": "auto", "temperature": 0, "max_tokens": MAX_TOKENS}
    reply = server.client.post("/v1/chat/completions", json=body)
    if reply.status_code != 200:
        return {"error": f"{reply.status_code} {reply.text[:300]}", "calls": [], "text": "", "finish": "error"}
    choice = reply.json()["choices"][0]
    calls = [call["function"] for call in choice["message"].get("tool_calls") or []]
    return {"calls": [{"name": c["name"], "arguments": c["arguments"]} for c in calls], "text": choice["message"].get("content") or "", "finish": choice["finish_reason"]}


def run(name, server, wanted, answers, path, end):
    tools_of, right = checker()
    for category, (key, messages, functions, truth) in wanted:
        if (name, key) in answers:
            continue
        if time.monotonic() > end:
            return
        tools, began = tools_of(functions), time.monotonic()
        answer = ask(server, messages, tools)
        answer |= {"server": name, "id": key, "category": category, "seconds": time.monotonic() - began}
        answer["invalid"] = [problem for problem in (invalid(call, tools) for call in answer["calls"]) if problem]
        try:
            calls = [{call["name"]: json.loads(call["arguments"])} for call in answer["calls"]]
            answer["right"] = bool(right(category, functions, calls, truth))
        except (ValueError, AttributeError, TypeError):  # arguments that are no JSON object are no call
            answer["right"] = category == "irrelevance"
        answers[name, key] = answer
        if path:
            with open(path, "a") as out:
                out.write(json.dumps(answer, ensure_ascii=False) + "\n")


def report(bars, wanted, answers, categories):
    both = ["kvasir", "llama-server"]
    names = [name for name in both if any((name, entry[0]) in answers for _, entry in wanted)]
    pairs = [(category, [answers[name, entry[0]] for name in names]) for category, entry in wanted if all((name, entry[0]) in answers for name in names)]
    print(f"\n{'':16}{'entries':>8}" + "".join(f"{name:>16}" for name in names))
    for category in [*categories, "overall"]:
        rows = [row for of, row in pairs if category in (of, "overall")]
        shares = [sum(row[at]["right"] for row in rows) / max(1, len(rows)) for at in range(len(names))]
        print(f"{category:16}{len(rows):8}" + "".join(f"{share:16.1%}" for share in shares))
    bad = [[problem for _, row in pairs for problem in row[at]["invalid"]] for at in range(len(names))]
    calls = [sum(len(row[at]["calls"]) for _, row in pairs) for at in range(len(names))]
    seconds = [sum(row[at]["seconds"] for _, row in pairs) for at in range(len(names))]
    for at, name in enumerate(names):
        errors = sum("error" in row[at] for _, row in pairs)
        print(f"{name}: {calls[at]} calls, {len(bad[at])} invalid, {errors} errors, {seconds[at]:.0f} s; {bad[at][:3]}")
    right = [sum(row[at]["right"] for _, row in pairs) for at in range(len(names))]
    bars.check("entries", names == both and len(pairs) == len(wanted), f"{len(pairs)} of {len(wanted)} answered by {' and '.join(names)}")
    if names == both:
        bars.check("accuracy, kvasir at least llama-server's", right[0] >= right[1], f"{right[0]} and {right[1]} of {len(pairs)}")
    if "kvasir" in names:
        bars.check("invalid calls", not bad[0], str(len(bad[0])))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-category", type=int, default=100)
    parser.add_argument("--categories", default=",".join(CATEGORIES))
    parser.add_argument("--server", choices=["both", "kvasir", "llama"], default="both")
    parser.add_argument("--json")
    parser.add_argument("--minutes", type=float, default=1e6)
    options = parser.parse_args()
    enter_environment()
    from bars import Bars, head
    from serving import QWEN, Folder, Kvasir, LlamaServer

    head(f"BFCL v4 by bfcl-eval {VERSION}, the first {options.per_category} of each category", QWEN)
    categories, end = options.categories.split(","), time.monotonic() + options.minutes * 60
    wanted = [(category, entry) for category in categories for entry in entries(category, options.per_category)]
    answers = {}
    if options.json and pathlib.Path(options.json).exists():
        read = [json.loads(line) for line in pathlib.Path(options.json).read_text().splitlines()]
        answers = {(one["server"], one["id"]): one for one in read}
    with Folder() as folder:
        if options.server != "llama":
            with Kvasir(folder, QWEN, "--ctx", CONTEXT, "--memory", "3GB", "--cache-disk", "0") as server:
                run("kvasir", server, wanted, answers, options.json, end)
        if options.server != "kvasir":
            with LlamaServer(folder, QWEN, CONTEXT, 1) as server:
                run("llama-server", server, wanted, answers, options.json, end)
    bars = Bars()
    report(bars, wanted, answers, categories)
    return bars.finish()


if __name__ == "__main__":
    sys.exit(main())
