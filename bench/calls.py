"""Ten thousand generated calls: parsed, valid by jsonschema, none lost, the same streamed and not.

    bench/tools.sh calls [--calls 10000] [--model all|random|smollm2|qwen] [--seed 1] [--json FILE] [--minutes M] [--quick]

Sets of tools with varied schemas (tool_schemas.py), four or eight requests a set at temperature 1.0, each with a seed of its own, sent twice: whole, then
streamed. A call counts once. Three models: random weights with Qwen's tokenizer, in every tool format, which only the grammar keeps in form; and
the two real ones in their own format. A share of the requests asks for logprobs, from which the calls that were generated are counted apart from the
parser. FILE gets a line a set; what is in it already is not run again, so --minutes M cuts a long run into pieces. --quick: 200 calls.
"""

import argparse
import asyncio
import hashlib
import json
import pathlib
import sys
import time

import httpx

from bars import Bars, head
from call_check import check
from random_model import write_random_model
from serving import QWEN, SMOLLM2, Folder, Kvasir
from tool_schemas import tool_set

REQUESTS_A_SET = {"random": 8, "smollm2": 4, "qwen": 4}
STREAMS = {"random": 16, "smollm2": 8, "qwen": 8}
SHARES = {"random": 0.60, "smollm2": 0.25, "qwen": 0.15}
MAX_TOKENS = 1500
LENGTH_SHARE_MAX = 0.02
# An answer that is cut in one of its first calls has a text that does not end; in a later one, calls do not.
FEW_CALLS = 4
SCHEMAS_MIN = 500
FORMATS = (
    "hermes reka granite phi4 nemotron minimax-m1 apertus apriel mistral-list command-r7b command-r-plus mistral mistral-call-id deepseek-v3.1 "
    "deepseek-r1 kimi-k2 functionary-v3.1 functionary-v3.2 harmony qwen3-coder step3.5 seed-oss deepseek-v3.2 deepseek-v4 minimax-m2 minicpm5 "
    "glm-4.5 glm-4.7 ling-3 hunyuan lfm2 gemma4 function-gemma llama3 gigachat gigachat3"
).split()
QUICK_FORMATS = "hermes mistral harmony qwen3-coder deepseek-v3.2 glm-4.7 lfm2 gemma4".split()
# Names with quotes, brackets or commas: only JSON can hold them.
NO_QUOTED_NAMES = set("qwen3-coder step3.5 seed-oss deepseek-v3.2 deepseek-v4 minimax-m2 minicpm5 glm-4.5 glm-4.7 ling-3 hunyuan lfm2 gemma4 function-gemma".split())


def sets_of(model, tool_format, seed):
    real = model != "random"
    for number in range(10**6):
        key = f"{seed}/{model}/{tool_format}"
        requests = tool_set(key, number, not real, tool_format not in NO_QUOTED_NAMES, real, REQUESTS_A_SET[model])
        for request in requests:
            request.body["max_tokens"] = MAX_TOKENS
        yield number, requests


def hash_of(parameters):
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:16]


async def run_set(client, number, requests, tool_format):
    record = {"set": number, "requests": len(requests), "calls": 0, "cut": 0, "endless": 0, "problems": [], "schemas": set()}
    declared = {tool["function"]["name"]: tool["function"]["parameters"] for tool in requests[0].tools}
    for at, request in enumerate(requests):
        calls, cut, found, names = await check(client, request, tool_format)
        record["calls"] += calls
        record["cut"] += cut
        record["endless"] += cut and calls < FEW_CALLS
        record["problems"] += [f"request {at}: {problem}" for problem in found]
        record["schemas"] |= {hash_of(declared[name]) for name in names if name in declared}
    return record | {"schemas": sorted(record["schemas"])}


async def run_sets(url, sets, tool_format, take, streams):
    """Sets at once, until `take(record)` says that it is enough; those that have begun are finished."""
    sets, going = iter(sets), True

    async def worker(client):
        nonlocal going
        while going:
            number, requests = next(sets)
            going = take(await run_set(client, number, requests, tool_format)) and going

    async with httpx.AsyncClient(base_url=url, timeout=3600, limits=httpx.Limits(max_connections=streams)) as client:
        await asyncio.gather(*(worker(client) for _ in range(streams)))


class Records:
    """What has been run, by model and format; kept in a file where there is one."""

    def __init__(self, path, seed):
        self.path, self.seed, self.all = path and pathlib.Path(path), seed, []
        if self.path and self.path.exists():
            self.all = [json.loads(line) for line in self.path.read_text().splitlines()]
            self.all = [record for record in self.all if record["seed"] == seed]

    def add(self, record):
        self.all.append(record)
        for problem in record["problems"]:
            print(f"{record['model']} {record['format']} set {record['set']} {problem}", flush=True)
        if self.path:
            with self.path.open("a") as out:
                out.write(json.dumps(record, ensure_ascii=False) + "\n")

    def of(self, model, tool_format=None):
        return [record for record in self.all if record["model"] == model and tool_format in (None, record["format"])]


def total(records, field):
    return sum(record[field] for record in records)


def run(model, tool_format, calls, records, folder, end):
    """Runs until there are as many calls, or the time has come."""
    done = records.of(model, tool_format)
    have, known = total(done, "calls"), {record["set"] for record in done}
    if have >= calls or time.monotonic() > end:
        return
    if model == "random":
        path = folder / "random.gguf"
        path = path if path.exists() else write_random_model(QWEN, path)
        arguments = ["--tool-format", tool_format]
    else:
        path, arguments = {"qwen": QWEN, "smollm2": SMOLLM2}[model], []
    sets = ((number, requests) for number, requests in sets_of(model, tool_format, records.seed) if number not in known)
    # Small runs end with as few calls too many as may be.
    streams = min(STREAMS[model], max(1, (calls - have) // REQUESTS_A_SET[model]))

    def take(record):
        nonlocal have
        records.add({"model": model, "format": tool_format, "seed": records.seed, **record})
        have += record["calls"]
        return have < calls and time.monotonic() < end

    began = time.monotonic()
    with Kvasir(folder, path, "--memory", "3GB", "--ctx", 16384, "--cache-disk", "0", *arguments) as server:
        asyncio.run(run_sets(server.url, sets, tool_format, take, streams))
    print(f"{model:8} {tool_format:18} {have:6} calls, {time.monotonic() - began:5.0f} s", flush=True)


def judge(records, wanted):
    bars = Bars()
    print()
    for model in SHARES:
        if done := records.of(model):
            schemas = {schema for record in done for schema in record["schemas"]}
            print(
                f"  {model:8} {total(done, 'calls'):6} calls of {len(schemas)} schemas, {total(done, 'requests')} requests, {len({record['format'] for record in done})} formats, "
                f"{total(done, 'cut')} stopped by length, {sum(len(record['problems']) for record in done)} problems"
            )
    calls, requests, cut = (total(records.all, field) for field in ("calls", "requests", "cut"))
    schemas = {schema for record in records.all for schema in record["schemas"]}
    problems = sum(len(record["problems"]) for record in records.all)
    bars.check("calls generated", calls >= wanted, f"{calls} of {wanted}")
    bars.check("schemas called", len(schemas) >= min(SCHEMAS_MIN, wanted // 8), str(len(schemas)))
    bars.check("parsed, valid, none lost, streamed as not", problems == 0, f"{problems} problems")
    bars.check("stopped by length", cut <= LENGTH_SHARE_MAX * requests, f"{cut} of {requests} requests, beside {calls} whole calls")
    return bars.finish()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10000)
    parser.add_argument("--model", choices=[*SHARES, "all"], default="all")
    parser.add_argument("--format", choices=FORMATS, action="append", help="of the random model: only this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json")
    parser.add_argument("--minutes", type=float, default=1e6)
    parser.add_argument("--quick", action="store_true", help="200 calls of the random model in eight formats")
    options = parser.parse_args()
    formats, calls = options.format or FORMATS, options.calls
    if options.quick:
        options.model, calls, formats = "random", 200, QUICK_FORMATS
    head(f"generated calls, seed {options.seed}", QWEN)
    end = time.monotonic() + options.minutes * 60
    records = Records(options.json, options.seed)
    with Folder() as folder:
        for model, share in SHARES.items():
            if options.model not in (model, "all"):
                continue
            of_model = calls if options.model == model else round(calls * share)
            for tool_format in formats if model == "random" else ["hermes"]:
                run(model, tool_format, -(-of_model // len(formats)) if model == "random" else of_model, records, folder, end)
    return judge(records, calls)


if __name__ == "__main__":
    sys.exit(main())
