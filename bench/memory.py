"""Ten times the memory of distinct conversations: the budget is kept and used, nothing fails, what is recent or shared stays.

    bench/cache.sh memory [--memory 400MB] [--times 10] [--part memory|disk]

Three clients at once hold conversations of two turns; every fourth one begins with a system prompt that they share. The first part
keeps KV in memory only, the second on disk too.
"""

import argparse
import concurrent.futures
import random
import sys
import threading
import time

import httpx

import workload
from bars import Bars, head
from serving import SMOLLM2, Folder, Kvasir

CLIENTS = 3
ANSWER_TOKENS = 8
BLOCK_TOKENS = 64
OVER = 1.05  # of the budget
USED_LEAST = 0.85  # of the budget: less would be memory that the user gave and does not get
LINES = (14, 40)  # of a conversation's first turn: 400 to 1,200 tokens
HOT_EVERY = 4
HOT = "You help with the map of a repository.\n" + "\n".join(workload.repository_map(random.Random(1), 18))
SAMPLE_SECONDS = 0.02


def bytes_of(size):
    for suffix, shift in (("GB", 30), ("MB", 20), ("KB", 10)):
        if size.upper().endswith(suffix):
            return int(float(size[: -len(suffix)]) * (1 << shift))
    return int(size)


class ResidentWatch:
    """Most resident memory, sampled; VmHWM would also tell of what the system counted in between."""

    def __init__(self, server):
        self.server, self.most, self.stopping = server, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.stopping.wait(SAMPLE_SECONDS):
            self.most = max(self.most, self.server.status_bytes("VmRSS"))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


class Flow:
    """Conversations, one after the other, from several clients at once, until enough tokens have been read."""

    def __init__(self, server, tokens):
        self.server, self.tokens = server, tokens
        self.lock = threading.Lock()
        self.number = 0
        self.pushed = 0  # tokens of distinct KV
        self.failures = []
        self.recent = []  # (cached, known before) of second turns
        self.hot = []  # cached tokens of conversations behind the shared prompt
        self.first = None

    def next_number(self):
        with self.lock:
            if self.pushed >= self.tokens:
                return None
            self.number += 1
            return self.number

    def ask(self, client, messages):
        message, usage, _, _, _ = self.server.stream(client, {"messages": messages, "max_tokens": ANSWER_TOKENS})
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        with self.lock:
            self.pushed += usage["prompt_tokens"] - cached + usage["completion_tokens"]
        return message.message(), usage["prompt_tokens"] + usage["completion_tokens"] - 1, cached

    def conversation(self, client, number):
        rng = random.Random(number * 7919)
        hot = number % HOT_EVERY == 0
        text = f"Map {number}:\n" + "\n".join(workload.repository_map(rng, rng.randint(*LINES))) + "\nWhat is it about?"
        messages = [{"role": "system", "content": HOT if hot else f"You answer about map {number}."}, {"role": "user", "content": text}]
        answer, known, cached = self.ask(client, messages)
        if hot:
            self.hot.append(cached)
        self.first = self.first or messages
        messages = [*messages, answer, {"role": "user", "content": "And in one word?"}]
        _, _, cached = self.ask(client, messages)
        self.recent.append((cached, known))

    def client(self):
        with httpx.Client(base_url=self.server.url, timeout=600) as client:
            while (number := self.next_number()) is not None:
                try:
                    self.conversation(client, number)
                except (RuntimeError, httpx.HTTPError) as error:
                    self.failures.append(f"conversation {number}: {error}")
                    if self.server.process.poll() is not None or len(self.failures) > 20:
                        return

    def run(self):
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            for done in [pool.submit(self.client) for _ in range(CLIENTS)]:
                done.result()


def megabytes(count):
    return f"{count / (1 << 20):.0f} MB"


def play(bars, part, memory, times):
    budget = bytes_of(memory)
    with Folder() as folder:
        arguments = ["--memory", memory, "--cache-disk", "0" if part == "memory" else "8GB"]
        with Kvasir(folder, SMOLLM2, *arguments, "--cache-folder", folder / "kv") as server:
            at_start = server.status_bytes("VmRSS")
            capacity = int(server.metrics()["kvasir:kv_blocks"]) * BLOCK_TOKENS
            flow = Flow(server, times * capacity)
            began = time.monotonic()
            with ResidentWatch(server) as watch:
                flow.run()
            most = max(watch.most, server.status_bytes("VmHWM"))
            time.sleep(1)  # what idle time still does
            metrics = server.metrics()
            again, _, old_cached = flow.ask(server.client, flow.first) if not flow.failures else (None, 0, 0)
            ended = server.process.poll() is None
            warnings = [line for line in server.log.read_text().splitlines() if " error " in line or " warning " in line]
    print(
        f"{part}: {flow.number} conversations, {flow.pushed} tokens for {capacity} in memory ({flow.pushed / capacity:.1f} times), {time.monotonic() - began:.0f} s; resident "
        f"{megabytes(at_start)} at the start, {megabytes(most)} at most of {megabytes(budget)}; {int(metrics['kvasir:evicted_blocks_total'])} blocks evicted",
        flush=True,
    )
    bars.check(f"{part}: {times} times what fits was pushed through", flow.pushed >= times * capacity, f"{flow.pushed / capacity:.1f} times {capacity} tokens")
    bars.check(f"{part}: nothing fails", not flow.failures and ended and not warnings, f"{len(flow.failures)} failures, {len(warnings)} warnings {(flow.failures + warnings)[:2] or ''}")
    bars.check(f"{part}: resident memory within {OVER} x --memory", most <= OVER * budget, f"{most / budget:.3f}")
    bars.check(f"{part}: the budget is used", most >= USED_LEAST * budget, f"{most / budget:.3f}")
    # In memory alone a conversation's last block, where it is not full, costs least to compute and goes first: the policy promises full ones.
    full = sum(cached >= known // BLOCK_TOKENS * BLOCK_TOKENS for cached, known in flow.recent)
    exact = sum(cached >= known for cached, known in flow.recent)
    figures = f"{full} of {len(flow.recent)} second turns found all full blocks of their first, {exact} all tokens"
    bars.check(f"{part}: what was used just now hits", (full if part == "memory" else exact) == len(flow.recent), figures)
    hot = flow.hot[CLIENTS:]  # the first ones may come together
    least = max(hot, default=0) // 2
    found = sum(cached > least for cached in hot)
    bars.check(f"{part}: the shared system prompt hits", bool(hot) and found == len(hot), f"{found} of {len(hot)} conversations found it, {min(hot, default=0)} tokens at least")
    kept = metrics["kvasir:kv_blocks_free"] + metrics["kvasir:kv_blocks_cached"]
    bars.check(f"{part}: when idle, free + cached = all blocks", kept == metrics["kvasir:kv_blocks"], f"{kept:.0f} of {metrics['kvasir:kv_blocks']:.0f}")
    if part == "disk":
        bars.check("disk: what memory has evicted comes from disk", old_cached > BLOCK_TOKENS, f"{old_cached} tokens of the first conversation")
    else:
        print(f"memory: the first conversation of all found {old_cached} tokens: it has been evicted, as it should")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", default="400MB")
    parser.add_argument("--times", type=float, default=10)
    parser.add_argument("--part", choices=["memory", "disk"], action="append")
    options = parser.parse_args()
    head(f"{options.times:g} times the memory of distinct conversations, --memory {options.memory}", SMOLLM2)
    bars = Bars()
    for part in options.part or ["memory", "disk"]:
        play(bars, part, options.memory, options.times)
    return bars.finish()


if __name__ == "__main__":
    sys.exit(main())
