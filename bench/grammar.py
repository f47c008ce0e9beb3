"""What a grammar costs: decode of constrained text, and the first token of a cached request with 20 tools.

    bench/tools.sh grammar [--rounds 7] [--tokens 256] [--model qwen|smollm2]

Decode: the same prompt is answered free and as a JSON string of any text, as many tokens of each, alternately. First token: the
same cached prompt with 20 tools under tool_choice none, auto and required. A stop string that never comes keeps both sides from
writing forced text at once, which would be no decode. Times are the server's own: to the first token, and between tokens.
"""

import argparse
import statistics
import sys

import workload
from bars import Bars, head, spread
from serving import QWEN, SMOLLM2, Folder, Kvasir

DECODE_LEAST = 0.97  # of the rate with the grammar off
FIRST_TOKEN_MOST_S = 0.005  # beyond the same prompt with the grammar off
TOOLS = 20
TRIES_A_ROUND = 5
NEVER = ["\u2603 never \u2603"]
STORY = "Write a long story about a lighthouse keeper, in plain words, without quotation marks."
TEXT = {"type": "json_schema", "json_schema": {"name": "text", "schema": {"type": "string"}}}


def tools(count):
    """As many as wanted, each one of the workload's under another name."""
    made = []
    for i in range(count):
        tool = workload.TOOLS[i % len(workload.TOOLS)]["function"]
        name = tool["name"] if i < len(workload.TOOLS) else f"{tool['name']}_{i}"
        made.append({"type": "function", "function": {**tool, "name": name}})
    return made


def seconds_a_token(server, body, tokens):
    """By the server's clock, from the first token to the last."""
    body = {"messages": [{"role": "user", "content": STORY}], "max_tokens": tokens, "stop": NEVER, "ignore_eos": True, "temperature": 1, "seed": 7, **body}
    before = server.metrics()
    reply = server.request(body)
    after = server.metrics()
    if reply.completion < tokens // 4:
        return None  # the model has closed its text early: too short to be timed
    name = "vllm:time_per_output_token_seconds"
    return (after[f"{name}_sum"] - before[f"{name}_sum"]) / (after[f"{name}_count"] - before[f"{name}_count"])


def first_token(server, choice):
    messages = [{"role": "system", "content": workload.ROLE}, {"role": "user", "content": "Where is the checksum of a packet computed?"}]
    reply = server.request({"messages": messages, "tools": tools(TOOLS), "tool_choice": choice, "max_tokens": 4, "stop": NEVER})
    return reply


def measure_decode(server, rounds, tokens, bars):
    free, held = [], []
    for attempt in range(TRIES_A_ROUND * rounds):
        a, b = seconds_a_token(server, {}, tokens), seconds_a_token(server, {"response_format": TEXT, "seed": 7 + attempt}, tokens)
        if attempt > 0 and a and b:  # the first warms up
            free.append(a)
            held.append(b)
        if len(held) == rounds:
            break
    ratios = [a / b for a, b in zip(free, held, strict=True)]
    print(f"decode, ms a token: free {spread([s * 1e3 for s in free])}, held {spread([s * 1e3 for s in held])}; held / free rate {spread(ratios, 3)}", flush=True)
    bars.check("decode of constrained text", bool(ratios) and statistics.median(ratios) >= DECODE_LEAST, f"{spread(ratios, 3)} of the free rate, bar {DECODE_LEAST}")


def measure_first_token(server, rounds, bars):
    seconds = {choice: [] for choice in ("none", "auto", "required")}
    for round_number in range(3 * rounds + 1):
        for choice, found in seconds.items():
            reply = first_token(server, choice)
            if round_number > 0:
                if reply.prefilled != 1:
                    raise RuntimeError(f"the prompt was not cached: {reply.prefilled} tokens read with tool_choice {choice}")
                found.append(reply.server_first_s)
    for choice, found in seconds.items():
        print(f"first token of {reply.prompt} cached tokens, {TOOLS} tools, tool_choice {choice}: {spread([s * 1e3 for s in found])} ms", flush=True)
    off = statistics.median(seconds["none"])
    for choice in ("auto", "required"):
        more = statistics.median(seconds[choice]) - off
        bars.check(f"first token, tool_choice {choice}", more <= FIRST_TOKEN_MOST_S, f"{more * 1e3:+.2f} ms, bar {FIRST_TOKEN_MOST_S * 1e3:.0f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--model", choices=["qwen", "smollm2"], default="qwen")
    options = parser.parse_args()
    model = QWEN if options.model == "qwen" else SMOLLM2
    head("what a grammar costs", model)
    bars = Bars()
    with Folder() as folder, Kvasir(folder, model, "--ctx", 8192, "--cache-disk", "0") as server:
        measure_decode(server, options.rounds, options.tokens, bars)
        measure_first_token(server, options.rounds, bars)
    return bars.finish()


if __name__ == "__main__":
    sys.exit(main())
