"""Claude Code itself in front of the smallest real model: does one tool turn come about, and what does it cost?

    bench/tools.sh claude [--tries 20] [--minutes 60] [--no-peer] [--show]

A try is a session of its own: `claude -p` with a question that wants the files listed. Counted are tries in which the model made a valid
call of a tool that lists files, the client ran it without an error, and an answer came; and, apart, those whose answer names the files.
The same questions go to llama-server with the same file, in turn. Both sample by their own defaults, since the client sends no
temperature.
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time

import jsonschema

from bars import Bars, head, spread
from serving import QWEN, ROOT, Folder, Kvasir, LlamaServer

sys.path.append(str(ROOT / "tests" / "e2e"))
from recorder import Recorder  # noqa: E402

CLAUDE = os.environ.get("KVASIR_CLAUDE", "")
CONTEXT = 24576
TRY_SECONDS = 900
TURNS_MOST = 4  # requests of a try
ANSWER_TOKENS_MOST = 400  # the smallest of a family does not always come to an end
FILES = ["alpha.txt", "beta.py", "notes.md"]
LISTING_TOOLS = {"Bash", "Glob", "LS"}
QUESTIONS = [
    "list the files here",
    "What files are in this folder? Use a tool to look.",
    "Run ls and tell me what you see.",
    "Use the Bash tool to list the files of the current directory.",
    "Which files does this project have?",
]


@dataclasses.dataclass
class Try:
    question: str
    requests: list  # recorder.Exchange
    said: str
    status: int | None  # the client's exit code; None where it had to be stopped
    called: bool = False
    ran: bool = False

    def __post_init__(self):
        good = {block["id"] for exchange in self.requests for block in exchange.content if is_good_call(exchange, block)}
        self.called = bool(good)
        results = [block for exchange in self.requests for block in result_blocks(exchange)]
        self.ran = any(block["tool_use_id"] in good and not block.get("is_error") for block in results)

    @property
    def done(self):
        return self.called and self.ran and self.status == 0 and bool(self.said)

    @property
    def right(self):
        return self.done and all(name in self.said for name in FILES)


def is_good_call(exchange, block):
    if block["type"] != "tool_use" or block["name"] not in LISTING_TOOLS:
        return False
    schema = next((tool["input_schema"] for tool in exchange.body["tools"] if tool["name"] == block["name"]), None)
    try:
        jsonschema.validate(json.loads(block["json"] or "{}"), schema or False)
        return True
    except (ValueError, jsonschema.ValidationError):
        return False


def result_blocks(exchange):
    content = exchange.body["messages"][-1]["content"]
    return [block for block in content if isinstance(block, dict) and block["type"] == "tool_result"]


class Client:
    """One user's machine in front of one server."""

    def __init__(self, folder, server):
        self.server = server
        self.recorder = Recorder(server.url)
        self.home, self.work = folder / f"home-{server.name}", folder / f"work-{server.name}"
        for made in (self.home, self.work):
            made.mkdir()
        for name in FILES:
            (self.work / name).touch()
        self.tries = []

    def ask(self, question):
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "TERM": "xterm", "IS_SANDBOX": "1",
            "ANTHROPIC_BASE_URL": self.recorder.url, "ANTHROPIC_AUTH_TOKEN": "local", "ANTHROPIC_MODEL": "default",
            "ANTHROPIC_SMALL_FAST_MODEL": "default", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_TELEMETRY": "1",
            "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(ANSWER_TOKENS_MOST), "API_TIMEOUT_MS": str(TRY_SECONDS * 1000),
        }
        before = len(self.recorder.exchanges)
        command = [CLAUDE, "-p", question, "--allowedTools", ",".join(sorted(LISTING_TOOLS)), "--max-turns", str(TURNS_MOST)]
        try:
            done = subprocess.run(command, cwd=self.work, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TRY_SECONDS)
            said, status = done.stdout.strip(), done.returncode
            if len(self.recorder.exchanges) == before:
                raise RuntimeError(f"the client asked for nothing: {done.stdout}{done.stderr}")
        except subprocess.TimeoutExpired:
            said, status = "", None
        self.tries.append(Try(question, [e for e in self.recorder.exchanges[before:] if e.usage], said, status))
        return self.tries[-1]


def show(number, name, one):
    tokens = ", ".join(f"{e.read} of {e.prompt} in {e.first_s or 0:.2f} s" for e in one.requests)
    print(f"  {number:>3} {name:<13} called {one.called:d} ran {one.ran:d} answered {one.done:d} named the files {one.right:d}  read {tokens}", flush=True)


def report(bars, clients):
    for client in clients:
        tries, name = client.tries, client.server.name
        print(f"\n{name}: of {len(tries)} tries {sum(t.called for t in tries)} made a valid call, {sum(t.ran for t in tries)} had it run, "
              f"{sum(t.done for t in tries)} were answered, {sum(t.right for t in tries)} named the files")
        follow_ups = [e for t in tries for e in t.requests[1:]]
        next_firsts = [t.requests[0] for t in tries[1:] if t.requests]
        for what, some in (("requests after a session's first", follow_ups), ("first requests of the next sessions", next_firsts)):
            if some:
                print(f"  {what}: {spread([e.read for e in some], 0)} tokens read of {statistics.median(e.prompt for e in some):.0f}, "
                      f"first piece after {spread([e.first_s for e in some if e.first_s] or [0])} s")
    ours = clients[0]
    firsts = [t.requests[0] for t in ours.tries if t.requests]
    bars.check("every try ended well", all(t.status is not None for t in ours.tries), f"{sum(t.status is None for t in ours.tries)} had to be stopped")
    if len(firsts) > 1:
        worst = max(e.read / e.prompt for e in firsts[1:])
        bars.check("the next session's first request finds at least 95% of its prompt", worst <= 0.05, f"{100 * worst:.1f}% read at most")
    if len(clients) == 1:
        return
    peers = clients[1]
    done = [sum(t.done for t in client.tries) for client in clients]
    bars.check("at least as many tries answered as with llama-server", done[0] >= done[1], f"{done[0]} against {done[1]} of {len(ours.tries)}")
    print("\nllama-server / kvasir")
    pairs = [(p.requests, k.requests) for p, k in zip(peers.tries, ours.tries) if p.requests and k.requests]
    for what, chosen in (("cold first request", pairs[:1]), ("first requests of the next sessions", pairs[1:])):
        timed = [(p[0], k[0]) for p, k in chosen if p[0].first_s and k[0].first_s]
        if timed:
            print(f"  {what}: time to the first piece {spread([p.first_s / k.first_s for p, k in timed])}, tokens read {spread([p.read / k.read for p, k in timed])}")
    follow_ups = [[e for t in client.tries for e in t.requests[1:] if e.first_s] for client in clients]
    if all(follow_ups):
        median = lambda some, figure: statistics.median(figure(e) for e in some)
        times, read = ([median(some, figure) for some in follow_ups] for figure in (lambda e: e.first_s, lambda e: e.read))
        print(f"  requests after a session's first, by medians: time to the first piece {times[1] / times[0]:.2f}, tokens read {read[1] / read[0]:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=60, help="begin no new try after this time")
    parser.add_argument("--no-peer", action="store_true", help="leave llama-server out")
    parser.add_argument("--show", action="store_true", help="print what each try's answers were")
    options = parser.parse_args()
    if not CLAUDE:
        sys.exit("bench: KVASIR_CLAUDE is not set; bench/tools.sh claude sets it")
    head(f"Claude Code, one tool turn, {options.tries} tries", QWEN)
    bars, end = Bars(), time.monotonic() + 60 * options.minutes
    with Folder() as folder, Kvasir(folder, QWEN, "--ctx", CONTEXT, "--cache-folder", folder / "kv", "--cache-disk", "2GB") as server:
        clients = [Client(folder, server)]
        peer = None if options.no_peer else LlamaServer(folder, QWEN, CONTEXT, slots=1)
        if peer:
            clients.append(Client(folder, peer))
        try:
            for number in range(1, options.tries + 1):
                if time.monotonic() > end:
                    break
                for client in clients:
                    one = client.ask(QUESTIONS[(number - 1) % len(QUESTIONS)])
                    show(number, client.server.name, one)
                    if options.show:
                        for exchange in one.requests:
                            print("     ", exchange.stop, json.dumps(exchange.content)[:600])
                        print("      said", repr(one.said[:300]), flush=True)
        finally:
            if peer:
                peer.stop()
        report(bars, clients)
    return bars.finish()


if __name__ == "__main__":
    sys.exit(main())
