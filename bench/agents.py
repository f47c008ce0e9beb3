"""Sixteen agents that share a prefix of 4k tokens come at once: it is read once, and held once.

    bench/cache.sh agents [--agents 16] [--no-peer]
"""

import argparse
import concurrent.futures
import sys
import threading
import time

import httpx

import workload
from bars import Bars, head
from serving import QWEN, Folder, Kvasir, LlamaServer

ANSWER_TOKENS = 24
CONTEXT = 8192
BLOCK_TOKENS = 64
SHARED = {"role": "system", "content": workload.system_prompt(78)}  # 4k tokens
# Tasks that begin differently, so that what they share ends in front of them.
NAMES = "Ada Boris Clara Dmitri Elena Farid Greta Hugo Ines Jonas Katya Lars Mona Nils Olga Piotr Quinn Rosa Sven Tara".split()


def body(number):
    task = f"{NAMES[number]} asks: which {workload.KINDS[number % len(workload.KINDS)]} of `{workload.PLACES[number % len(workload.PLACES)]}/` would you look at first, and why?"
    return {"messages": [SHARED, {"role": "user", "content": task}], "max_tokens": ANSWER_TOKENS}


def all_at_once(server, agents):
    """(what each got: message, usage, timings, first, total), seconds in all"""
    ready = threading.Barrier(agents)

    def one(number):
        with httpx.Client(base_url=server.url, timeout=1800) as client:
            ready.wait()
            return server.stream(client, body(number))

    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(agents) as pool:
        answers = list(pool.map(one, range(agents)))
    return answers, time.perf_counter() - began


class BlockWatch:
    """Most KV blocks in use while the agents run."""

    def __init__(self, server):
        self.server, self.most, self.running, self.stopping = server, 0, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.stopping.wait(0.02):
            now = self.server.metrics()
            self.most = max(self.most, now["kvasir:kv_blocks"] - now["kvasir:kv_blocks_free"] - now["kvasir:kv_blocks_cached"])
            self.running = max(self.running, now["vllm:num_requests_running"])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


def blocks(tokens):
    return -(-tokens // BLOCK_TOKENS)


def kvasir(bars, folder, agents):
    with Kvasir(folder, QWEN, "--ctx", CONTEXT, "--cache-disk", "0", "--no-idle-prefill") as server:
        before = server.metrics()
        with BlockWatch(server) as watch:
            answers, seconds = all_at_once(server, agents)
        after = server.metrics()
        # One more agent finds what they share, to the token.
        shared = server.request(body(agents)).cached
    read = int(after["kvasir:prefill_tokens_total"] - before["kvasir:prefill_tokens_total"])
    prompts = [usage["prompt_tokens"] for _, usage, _, _, _ in answers]
    needed = shared + sum(prompt - shared for prompt in prompts)
    bars.check("the shared prefix is read once", read <= needed, f"{read} tokens read, {needed} needed ({shared} shared, {sum(prompts)} in all prompts)")
    # Full blocks of the prefix are held once; each agent has its own behind them, and one to grow into.
    full = shared // BLOCK_TOKENS
    own = [blocks(prompt + ANSWER_TOKENS) - full + 1 for prompt in prompts]
    bars.check("the shared prefix is held once", 0 < watch.most <= full + sum(own), f"{watch.most:.0f} blocks in use at most, {full} shared + {sum(own)} own allowed, {sum(map(blocks, prompts))} without sharing; {watch.running:.0f} ran at once")
    cached = [usage["prompt_tokens_details"]["cached_tokens"] for _, usage, _, _, _ in answers]
    bars.check("usage says the same", sum(prompts) - sum(cached) == read, f"{sum(prompts) - sum(cached)} not cached by usage, {read} read by the counters")
    return answers, seconds, read


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=16, choices=range(2, len(NAMES)))
    parser.add_argument("--no-peer", action="store_true", help="leave llama-server out")
    options = parser.parse_args()
    head(f"{options.agents} agents at once behind a shared prefix of 4k tokens", QWEN)
    bars = Bars()
    with Folder() as folder:
        answers, seconds, read = kvasir(bars, folder, options.agents)
        print(f"kvasir: {seconds:.2f} s in all, first tokens after {min(a[3] for a in answers):.2f} to {max(a[3] for a in answers):.2f} s")
        if not options.no_peer:
            with LlamaServer(folder, QWEN, CONTEXT, slots=options.agents) as server:
                peers, peer_seconds = all_at_once(server, options.agents)
            peer_read = sum(timings["prompt_n"] for _, _, timings, _, _ in peers)
            print(f"llama-server: {peer_seconds:.2f} s in all, first tokens after {min(a[3] for a in peers):.2f} to {max(a[3] for a in peers):.2f} s")
            print(f"llama-server / kvasir: {peer_seconds / seconds:.1f}x the time, {peer_read} / {read} tokens read")
    return bars.finish()


if __name__ == "__main__":
    sys.exit(main())
