"""The user's table: an agent's session of ten queries behind 9,600 tokens of system prompt and tools.

    bench/cache.sh session [--rounds 3] [--peer-rounds 1] [--half tools|plain] [--json FILE]

Each round begins with an empty cache. Replies and calls go back as a client sends them; a person's question comes after a pause,
a tool's result at once. After the session the server starts again on its folder, and the first query is asked once more.
What is expected of a request is what `kvasir bench` needs, in the same round, for as many tokens at the same depth.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import time

import workload
from bars import Bars, head, spread
from serving import QWEN, Folder, Kvasir, LlamaServer, bench_points

THINKING_SECONDS = 1.5  # before each question
TOOL_SECONDS = 0.05  # before each tool's result
ANSWER_TOKENS = 96
CALLS_A_QUERY = 2  # then the client asks for words
CONTEXT = 16384
HALVES = {
    "tools": (workload.SYSTEM_WITH_TOOLS, workload.TOOLS, workload.QUESTIONS),
    "plain": (workload.SYSTEM_WITHOUT_TOOLS, None, workload.QUESTIONS_WITHOUT_TOOLS),
}

FIRST_OVER_EXPECTED, GRACE_S = 1.25, 0.020
COLD_OVER_FOLLOW_UP, COLD_OVER_RESTART = 100, 50


@dataclasses.dataclass
class Row:
    query: int
    kind: str  # question or result
    new: int  # tokens that no request before had, nor generated
    reply: object
    expected_s: float = 0.0

    @property
    def limit_s(self):
        return FIRST_OVER_EXPECTED * self.expected_s + GRACE_S


class Session:
    """A client that keeps its conversation, and what each of its requests cost."""

    def __init__(self, server, half):
        system, self.tools, self.questions = HALVES[half]
        self.server = server
        self.messages = [{"role": "system", "content": system}]
        self.known = 0  # tokens that the server has read or generated for this conversation
        self.rows = []

    def send(self, query, kind, tool_choice):
        body = {"messages": self.messages, "max_tokens": ANSWER_TOKENS}
        if self.tools:
            body |= {"tools": self.tools, "tool_choice": tool_choice}
        reply = self.server.request(body)
        self.rows.append(Row(query, kind, reply.prompt - self.known, reply))
        # The last token of an answer that was cut short has been sampled and not read.
        self.known = reply.prompt + reply.completion - (reply.finish == "length")
        return reply

    def ask(self, query):
        question, wants_call = self.questions[query]
        kept, known = len(self.messages), self.known
        self.messages.append({"role": "user", "content": question})
        reply = self.send(query, "question", "required" if wants_call else "auto")
        for call_number in range(1, CALLS_A_QUERY + 1):
            if not all(is_json(call["function"]["arguments"]) for call in reply.calls):
                # A call that the limit has cut short cannot be sent back: the client goes on without the query.
                del self.messages[kept:]
                self.known = known
                return
            self.messages.append(reply.message)
            if not reply.calls:
                return
            self.messages += [tool_result(call) for call in reply.calls]
            time.sleep(TOOL_SECONDS)
            reply = self.send(query, "result", "none" if call_number == CALLS_A_QUERY else "auto")
        self.messages.append(reply.message)

    def run(self):
        for query in range(len(self.questions)):
            if query > 0:
                time.sleep(THINKING_SECONDS)
            self.ask(query)
        return self.rows


def is_json(text):
    try:
        json.loads(text)
        return True
    except ValueError:
        return False


def tool_result(call):
    return {"role": "tool", "tool_call_id": call["id"], "content": workload.TOOL_RESULTS[call["function"]["name"]]}


def first_query(server, half):
    session = Session(server, half)
    session.ask(0)
    return session.rows[0]


@dataclasses.dataclass
class Round:
    half: str
    rows: list
    restart: Row

    @property
    def cold_s(self):
        return self.rows[0].reply.first_s


def kvasir_round(half):
    with Folder() as folder:
        arguments = ["--ctx", CONTEXT, "--cache-folder", folder / "kv", "--cache-disk", "2GB"]
        with Kvasir(folder, QWEN, *arguments) as server:
            rows = Session(server, half).run()
        with Kvasir(folder, QWEN, *arguments) as server:
            restart = first_query(server, half)
        points = [(row.reply.prefilled, row.reply.cached) for row in rows if row.reply.prefilled > 0]
        seconds = bench_points(QWEN, points[1:])
        for row in rows[1:]:
            row.expected_s = seconds.get((row.reply.prefilled, row.reply.cached), 0.0)
    return Round(half, rows, restart)


def peer_round(half):
    with Folder() as folder, LlamaServer(folder, QWEN, CONTEXT, slots=1) as server:
        return Round(half, Session(server, half).run(), None)


def show(number, done):
    print(f"round {number}, {done.half}: cold first token {done.cold_s:.2f} s for {done.rows[0].reply.prompt} tokens")
    print("  query kind      prompt   new cached  read  idle   first s  server s  expected    first/limit  cold/first  answer")
    for row in done.rows[1:]:
        r = row.reply
        answer = f"{r.completion} tokens, {'call' if r.calls else 'text'}, {r.finish}"
        print(
            f"  {row.query + 1:>5} {row.kind:<9} {r.prompt:>6} {row.new:>5} {r.cached:>6} {r.prefilled:>5} {r.idle:>5} {r.first_s:>9.3f} {r.server_first_s:>9.3f} {row.expected_s:>9.3f} "
            f"{r.first_s / row.limit_s:>13.2f} {done.cold_s / r.first_s:>11.0f}  {answer}"
        )
    if done.restart:
        r = done.restart.reply
        print(f"  restart: first token {r.first_s:.3f} s, {r.cached} of {r.prompt} cached, {r.loaded} of them from disk, 1/{done.cold_s / r.first_s:.0f} of cold", flush=True)


def judge(bars, half, rounds):
    """Requests are judged by their medians over the rounds: greedy answers make every round the same requests."""
    follow_ups = list(zip(*[done.rows[1:] for done in rounds], strict=True))
    every = [row for rows in follow_ups for row in rows]
    worst = max(every, key=lambda row: row.reply.prefilled - row.new)
    figures = f"{len(every)} requests, the worst read {worst.reply.prefilled} with {worst.new} new ones"
    bars.check(f"{half}: follow-ups read their new tokens only", worst.reply.prefilled <= worst.new, figures)
    differ = sum(row.reply.prompt - row.reply.cached != row.reply.prefilled for row in every)
    bars.check(f"{half}: usage and counters agree on what was read", differ == 0, f"{differ} of {len(every)} requests differ")

    def within(rows_of, first_s):
        ratios = [statistics.median(first_s(row.reply) / row.limit_s for row in rows) for rows in rows_of]
        met = sum(ratio <= 1 for ratio in ratios)
        return met == len(ratios), f"{met} of {len(ratios)} requests, ratio to it {spread(ratios)}"

    limit = f"within {FIRST_OVER_EXPECTED} x expected + {GRACE_S * 1e3:.0f} ms"
    for what, rows_of in (("text", [r for r in follow_ups if not r[0].reply.calls]), ("a call", [r for r in follow_ups if r[0].reply.calls])):
        if rows_of:
            bars.check(f"{half}: first piece of {what} at the client {limit}", *within(rows_of, lambda reply: reply.first_s))
    print(f"{half}: first token by the server's clock {limit}: {within(follow_ups, lambda reply: reply.server_first_s)[1]}")
    for what, is_call in (("text", False), ("a call", True)):
        ratios = [statistics.median(done.cold_s / row.reply.first_s for done, row in zip(rounds, rows)) for rows in follow_ups if bool(rows[0].reply.calls) == is_call]
        if not ratios:
            continue
        met = sum(ratio >= COLD_OVER_FOLLOW_UP for ratio in ratios)
        figures = f"{met} of {len(ratios)} requests, cold/first {spread(ratios, 0)}"
        bars.check(f"{half}: first piece of {what} in 1/{COLD_OVER_FOLLOW_UP} of the first query's", met == len(ratios), figures)
    ratios = [done.cold_s / done.restart.reply.first_s for done in rounds]
    what = f"{half}: first query after a restart in 1/{COLD_OVER_RESTART} of a cold one"
    bars.check(what, statistics.median(ratios) >= COLD_OVER_RESTART, f"cold/restart {spread(ratios, 0)}")


def compare(half, rounds, peers):
    """Ratios peer / Kvasir, each from neighbouring rounds of this run."""
    print(f"\n{half}, llama-server / kvasir")
    print(f"  first query            {spread([p.cold_s / k.cold_s for p, k in zip(peers, rounds)])}")
    by_query = lambda done: [row.reply.first_s for row in done.rows[1:] if row.kind == "question"]
    ratios = [a / b for p, k in zip(peers, rounds) for a, b in zip(by_query(p), by_query(k))]
    print(f"  first token, questions {spread(ratios)}")
    total = lambda done: sum(row.reply.total_s for row in done.rows)
    print(f"  whole session          {spread([total(p) / total(k) for p, k in zip(peers, rounds)])}, answers are each server's own")
    for name, all_done in (("kvasir", rounds), ("llama-server", peers)):
        read = [sum(row.reply.prefilled for row in done.rows[1:]) for done in all_done]
        calls = [sum(len(row.reply.calls) for row in done.rows) for done in all_done]
        print(f"  {name}: {spread([len(done.rows) for done in all_done], 0)} requests, {spread(calls, 0)} calls, {spread(read, 0)} tokens read by follow-ups")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-rounds", type=int, default=1, help="of llama-server, each after one of Kvasir's; 0 leaves it out")
    parser.add_argument("--half", choices=sorted(HALVES), action="append", help="only this half")
    parser.add_argument("--json", help="also write every request's figures to this file")
    options = parser.parse_args()
    head("agent session: 10 queries, system prompt of 9,600 tokens, with 12 tools and without", QWEN)
    bars, written = Bars(), []
    for half in options.half or ["tools", "plain"]:
        rounds, peers = [], []
        for number in range(1, options.rounds + 1):
            rounds.append(kvasir_round(half))
            show(number, rounds[-1])
            if number <= options.peer_rounds:
                peers.append(peer_round(half))
        judge(bars, half, rounds)
        if peers:
            compare(half, rounds, peers)
        written += [{"server": name, **dataclasses.asdict(done)} for name, all_done in (("kvasir", rounds), ("llama-server", peers)) for done in all_done]
    if options.json:
        with open(options.json, "w") as out:
            json.dump(written, out, indent=1)
    return bars.finish()


if __name__ == "__main__":
    sys.exit(main())
