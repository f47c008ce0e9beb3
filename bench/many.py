"""Long prompts and many streams: a prompt of 32,000 tokens, 64 streams at once, and a prompt of 20,000 tokens that arrives during 8 streams.

    bench/run.sh many [--model FILE]

A stream's gap is the time between two of its tokens at the client. While the long prompt is read, each stream's mean gap may be twice what it
is without: the mean of before and after, since every stream has grown meanwhile. Means of gaps, since a server may read much in one step and
nothing in the next; the longest ones are shown.
"""

import argparse
import json
import pathlib
import statistics
import sys
import threading
import time

import httpx

from bars import Bars, head, spread
from serving import QWEN, Folder, Kvasir

STREAMS, STREAM_TOKENS, LONG_TOKENS, ARRIVING_TOKENS, MANY, CONTEXT = 8, 12000, 32000, 20000, 64, 32768
GAP_FACTOR = 2


def words(count, seed):
    """About `count` tokens that no other seed shares."""
    names = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon".split()
    return " ".join(names[(seed * 7 + i * i + i // 20) % len(names)] for i in range(count * 5 // 6))


class Stream(threading.Thread):
    """One client; when each of its pieces came."""

    def __init__(self, server, number, tokens, prompt_tokens=40):
        super().__init__(daemon=True)
        self.server, self.tokens, self.times, self.error = server, tokens, [], None
        self.prompt_tokens = 0
        self.stopped = False
        self.prompt = f"{number}. {words(prompt_tokens, number)}"

    def run(self):
        body = {"model": "default", "messages": [{"role": "user", "content": self.prompt}], "max_tokens": self.tokens, "ignore_eos": True, "stream": True, "seed": 1,
                "logprobs": True,
                "stream_options": {"include_usage": True}}
        try:
            with httpx.Client(base_url=self.server.url, timeout=1800) as client, client.stream("POST", "/v1/chat/completions", json=body) as reply:
                for line in reply.iter_lines():
                    if line.startswith("data: {"):
                        piece = json.loads(line[6:])
                        self.prompt_tokens = (piece.get("usage") or {}).get("prompt_tokens", self.prompt_tokens)
                        choices = piece.get("choices")
                        # A token of its own each: text waits for the end of a character.
                        if choices and choices[0].get("logprobs"):
                            self.times += [time.perf_counter()] * len(choices[0]["logprobs"]["content"])
                    if self.stopped:
                        return
        except Exception as error:  # noqa: BLE001: shown by the one who waits
            self.error = error

    def gaps(self, begin, end=float("inf")):
        inside = [t for t in self.times if begin <= t <= end]
        return [b - a for a, b in zip(inside, inside[1:])]


def wait_for(streams, tokens):
    """Until each has written so many more."""
    wanted = [len(s.times) + tokens for s in streams]
    while any(len(s.times) < count for s, count in zip(streams, wanted)):
        time.sleep(0.05)
        if error := next((s.error for s in streams if s.error), None):
            raise error


def arriving(server, bars):
    streams = [Stream(server, i, STREAM_TOKENS) for i in range(STREAMS)]
    for stream in streams:
        stream.start()
    wait_for(streams, 20)
    start = time.perf_counter()
    wait_for(streams, 80)
    began = time.perf_counter()
    long = Stream(server, 1000, 1, ARRIVING_TOKENS)
    long.start()
    long.join()
    ended = time.perf_counter()
    wait_for(streams, 80)
    without = [(statistics.mean(s.gaps(start, began)), statistics.mean(s.gaps(ended))) for s in streams]
    during = [s.gaps(began, ended) for s in streams]
    for stream in streams:
        stream.stopped = True
        stream.join()
    factors = [statistics.mean(gaps) / statistics.mean(pair) for gaps, pair in zip(during, without)]
    shown = [spread([1000 * g for g in gaps], 1) for gaps in (*zip(*without), [statistics.mean(g) for g in during], [max(g) for g in during])]
    print(f"{STREAMS} streams: gap {shown[0]} ms before, {shown[1]} after, {shown[2]} (longest {shown[3]}) while {long.prompt_tokens} tokens were read in "
          f"{ended - began:.1f} s", flush=True)
    read = long.prompt_tokens >= 0.95 * ARRIVING_TOKENS
    bars.check(f"{ARRIVING_TOKENS} tokens during {STREAMS} streams", read and max(factors) <= GAP_FACTOR, f"gaps {spread(factors)} times as long, at most {GAP_FACTOR}")


def many(server, bars):
    streams = [Stream(server, 2000 + i, 64) for i in range(MANY)]
    began = time.perf_counter()
    for stream in streams:
        stream.start()
    for stream in streams:
        stream.join()
    took = time.perf_counter() - began
    whole = [s for s in streams if s.error is None and s.times]
    print(f"{MANY} streams of 64 tokens: {took:.1f} s, {MANY * 64 / took:.0f} tokens/s", flush=True)
    bars.check(f"{MANY} streams at once", len(whole) == MANY, f"{len(whole)} answered")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, default=QWEN)
    options = parser.parse_args()
    bars = Bars()
    head("Long and many", options.model)
    with Folder() as folder, Kvasir(folder, options.model, "--cache-disk", "0", "--ctx", CONTEXT) as server:
        many(server, bars)
        arriving(server, bars)
        reply = server.request({"messages": [{"role": "user", "content": words(LONG_TOKENS, 5)}], "max_tokens": 8})
        print(f"a prompt of {reply.prompt} tokens: first token after {reply.first_s:.1f} s", flush=True)
        bars.check("a long prompt", reply.prompt >= 0.95 * LONG_TOKENS and reply.completion > 0, f"{reply.prompt} tokens, {reply.first_s:.1f} s")
    return bars.finish()


if __name__ == "__main__":
    sys.exit(main())
