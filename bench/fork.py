"""Fork and return: a parent of 8k tokens, a sub-agent that shares 2k of it and grows to 4k, then the parent goes on.

    bench/cache.sh fork [--no-peer]

What is read in every request is compared with what is new in it. llama-server does the same afterwards.
"""

import argparse
import random
import sys

import workload
from bars import Bars, head
from serving import QWEN, Folder, Kvasir, LlamaServer

ANSWER_TOKENS = 32
CONTEXT = 16384
MAP_LINES = 4  # with the rest of the system prompt: 2k tokens
PAGE_LINES = 50  # of the map, about 1,500 tokens
PARENT_PAGES, CHILD_PAGES = 4, 1


def page(seed):
    return "\n".join(workload.repository_map(random.Random(seed), PAGE_LINES))


class Agent:
    """A conversation that knows how much of it the server has seen."""

    def __init__(self, server, name, messages, known=0):
        self.server, self.name, self.messages, self.known = server, name, list(messages), known
        self.fresh = True  # what it shares with others is told by what was cached

    def ask(self, question):
        self.messages.append({"role": "user", "content": question})
        reply = self.server.request({"messages": self.messages, "max_tokens": ANSWER_TOKENS})
        self.messages.append(reply.message)
        new = reply.prompt - self.known
        print(f"  {self.name:<9} prompt {reply.prompt:>5}  new {new:>5}  cached {reply.cached:>5}  read {reply.prefilled:>5}  first token {reply.first_s:6.3f} s", flush=True)
        self.known = reply.prompt + reply.completion - (reply.finish == "length")
        return reply, new


def shared_tokens(server, system):
    """Tokens that two conversations with this system prompt begin with, whatever is asked: told by a third one."""
    probe = lambda text: server.request({"messages": [*system, {"role": "user", "content": text}], "max_tokens": 1})
    probe("Zebra")
    return probe("Quiet").cached


def play(server):
    """(recomputed tokens of the return, its new ones, reads of the sub-agent's first request, its new ones)"""
    print(server.name)
    system = [{"role": "system", "content": workload.system_prompt(MAP_LINES)}]
    parent = Agent(server, "parent", system)
    for number in range(PARENT_PAGES):
        parent.ask(f"Part {number + 1} of the map:\n{page(number)}\nWhich file of it is the longest?")
    child = Agent(server, "sub-agent", system)
    first, _ = child.ask(f"Your task is another map:\n{page(100)}\nWhich file of it is the longest?")
    for number in range(CHILD_PAGES):
        grown, _ = child.ask(f"Its second part is short:\n{page(101 + number)[:1500]}\nAnd of this one?")
    back, new = parent.ask("And which one is the longest of all?")
    return first, grown, back, new


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-peer", action="store_true", help="leave llama-server out")
    options = parser.parse_args()
    head("fork and return: parent of 8k tokens, sub-agent that shares 2k and grows to 4k", QWEN)
    bars = Bars()
    with Folder() as folder:
        with Kvasir(folder, QWEN, "--ctx", CONTEXT, "--cache-folder", folder / "kv", "--cache-disk", "2GB") as server:
            first, grown, back, new = play(server)
            system = [{"role": "system", "content": workload.system_prompt(MAP_LINES)}]
            shared = shared_tokens(server, system)
        bars.check("the sub-agent reads what it does not share only", first.prefilled <= first.prompt - shared, f"{first.prefilled} read, {first.prompt - shared} not shared")
        bars.check("the parent's return reads its new tokens only", back.prefilled <= new, f"{back.prefilled} read, {new} new, {back.prompt} in all; the sub-agent grew to {grown.prompt + grown.completion}")
        bars.check("usage says the same", back.prompt - back.cached == back.prefilled, f"{back.cached} of {back.prompt} cached")
        if not options.no_peer:
            with LlamaServer(folder, QWEN, CONTEXT, slots=2) as server:
                _, _, peer_back, _ = play(server)
            print(f"the return, llama-server / kvasir: {peer_back.prefilled} / {back.prefilled} tokens read, first token {peer_back.first_s / back.first_s:.1f}x")
    return bars.finish()


if __name__ == "__main__":
    sys.exit(main())
