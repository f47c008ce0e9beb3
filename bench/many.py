"""Long prompts and many streams: a prompt of 32,000 tokens, 64 streams at once, and a prompt of 20,000 tokens that arrives during 8 streams.

    bench/run.sh many [--model FILE]

A stream's gap is the time between two of its tokens at the client. While the long prompt is read, each stream's median gap may be twice what it
was before.
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

STREAMS, LONG_TOKENS, ARRIVING_TOKENS, MANY, CONTEXT = 8, 32000, 20000, 64, 32768
GAP_FACTOR = 2


def words(count, seed):
    """About `count` tokens that no other seed shares."""
    names = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon".split()
    return " ".join(names[(seed * 7 + i * i + i // 20) % len(names)] for i in range(count * 5 // 8))


class Stream(threading.Thread):
    """One client; when each of its pieces came."""

    def __init__(self, server, number, tokens, prompt_tokens=40):
        super().__init__(daemon=True)
        self.server, self.tokens, self.times, self.error = server, tokens, [], None
        self.prompt = f"{number}. {words(prompt_tokens, number)}"

    def run(self):
        body = {"model": "default", "messages": [{"role": "user", "content": self.prompt}], "max_tokens": self.tokens, "ignore_eos": True, "stream": True, "seed": 1}
        try:
            with httpx.Client(base_url=self.server.url, timeout=1800) as client, client.stream("POST", "/v1/chat/completions", json=body) as reply:
                for line in reply.iter_lines():
                    if line.startswith("data: {"):
                        choices = json.loads(line[6:]).get("choices")
                        if choices and choices[0]["delta"].get("content"):
                            self.times.append(time.perf_counter())
        except Exception as error:  # noqa: BLE001: shown by the one who waits
            self.error = error

    def gaps(self, begin, end):
        inside = [t for t in self.times if begin <= t <= end]
        return [b - a for a, b in zip(inside, inside[1:])]


def arriving(server, bars):
    streams = [Stream(server, i, 4000) for i in range(STREAMS)]
    for stream in streams:
        stream.start()
    while min(len(s.times) for s in streams) < 100:
        time.sleep(0.05)
        if error := next((s.error for s in streams if s.error), None):
            raise error
    began = time.perf_counter()
    before = [statistics.median(s.gaps(0, began)[-80:]) for s in streams]
    long = Stream(server, 1000, 1, ARRIVING_TOKENS)
    long.start()
    long.join()
    ended = time.perf_counter()
    during = [statistics.median(s.gaps(began, ended)) for s in streams]
    factors = [d / b for d, b in zip(during, before)]
    print(f"{STREAMS} streams: gap {spread((1000 * b for b in before), 1)} ms, {spread((1000 * d for d in during), 1)} ms while {ARRIVING_TOKENS} tokens were read in "
          f"{ended - began:.1f} s", flush=True)
    bars.check(f"{ARRIVING_TOKENS} tokens during {STREAMS} streams", max(factors) <= GAP_FACTOR, f"gaps {spread(factors)} times as long, at most {GAP_FACTOR}")


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
        bars.check("a long prompt", reply.prompt >= 0.9 * LONG_TOKENS and reply.completion > 0, f"{reply.prompt} tokens, {reply.first_s:.1f} s")
    return bars.finish()


if __name__ == "__main__":
    sys.exit(main())
