#!/usr/bin/env python3
"""Kills a server under load, over and over, and checks what it finds on disk when it starts again.

    tools/kill_test.py 500        a quarter of an hour; the last line says PASS or FAIL, and what was done

Several threads hold growing conversations against the scripted executor, which checks the KV of every token on every
step and fails the request when one is wrong. At a random moment the server gets SIGKILL and starts again on the same
folder. A violation is any of these:

- it does not start, or ends by itself
- an answer that is not the script's, or an error that is not the kill's
- of a conversation whose answer was there 3 seconds before the kill that followed it, or that was found after an
  earlier kill: a full block that is read again, or a sampled turn that is not known any more. Each loss counts once,
  against the kills since the conversation was last seen whole
- more space taken than --cache-disk
- after the last restart and a clean stop, a folder that `kvasir cache verify` finds unsound

With --may-evict (for a small --cache-disk) nothing has to be found again. Exit code 1 on any violation.
"""

import argparse
import concurrent.futures
import copy
import dataclasses
import json
import os
import pathlib
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import httpx

ROOT = pathlib.Path(__file__).resolve().parents[1]
MODELS = pathlib.Path(os.environ.get("KVASIR_MODELS", pathlib.Path.home() / ".cache" / "kvasir" / "models"))
BLOCK_TOKENS = 64
SETTLED_SECONDS = 3.0
START_SECONDS = 60.0
TURNS_MOST = 12
KEPT_CONVERSATIONS = 60  # older ones are forgotten by the test, not by the server
PROBES_EACH = 6  # conversations looked for after a restart

WORDS = "river stone cloud lantern harbour winter copper meadow signal thunder paper garden mirror bridge".split()
TOPICS = {f"topic {i:02d}": f" Reply {i:02d}:\n\n" + " ".join(WORDS[(i * k) % len(WORDS)] for k in range(1, 6 + 3 * i)) + " \n" for i in range(20)}
SYSTEMS = [f"You are helper {i}. " + " ".join(WORDS[(i + k * k) % len(WORDS)] for k in range(60 + 170 * i)) for i in range(3)]


@dataclasses.dataclass
class Conversation:
    messages: list
    answered_at: float = 0.0
    known_tokens: int = 0  # of the last prompt and its answer, as far as their KV was computed
    replayed_tokens: int = 0  # of all answers that the server knows as it sampled them
    settled: bool = False  # must be found
    whole_at: int = 0  # the number of kills when it was last known to be whole


def replayed_of(reply):
    return int(re.search(r"replayed=(\d+)", reply.headers["x-kvasir-cache"]).group(1))


class Violations:
    def __init__(self):
        self.lock = threading.Lock()
        self.found = []

    def add(self, what):
        with self.lock:
            self.found.append(what)
        print("VIOLATION:", what, file=sys.stderr, flush=True)


class World:
    """One folder, one server that is killed and started again."""

    def __init__(self, options, number, moments, violations):
        self.options = options
        self.number = number
        self.moments = moments
        self.violations = violations
        self.random = random.Random(f"{options.seed} {number}")
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="kvasir-kill-", dir=options.folder))
        self.cache = self.home / "cache"
        self.script = self.home / "script.json"
        rules = [{"reply": "Nothing."}]
        rules += [{"when": topic, "reply": reply, "delay_ms_per_step": options.delay_ms} for topic, reply in TOPICS.items()]
        self.script.write_text(json.dumps({"rules": rules}))
        self.log = self.home / "serve.log"
        self.lock = threading.Lock()  # guards conversations
        self.conversations = []
        self.process = None
        self.alive = False
        self.counts = {"kills": 0, "kills_during_start": 0, "kills_during_stop": 0, "answers": 0, "cancelled": 0, "probes": 0, "settled": 0, "whole": 0, "start_seconds": 0.0}

    def fail(self, what):
        self.violations.add(f"world {self.number}, kill {self.counts['kills']} ({self.home}): {what}")

    # ---- the server ----

    def launch(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [self.options.binary, "serve", "-m", self.options.model, "-p", str(port)]
        command += ["--executor", "scripted", "--script", str(self.script), "--memory", "450MB", "--threads", "1"]
        command += ["--cache-folder", str(self.cache), "--cache-disk", str(self.options.cache_disk), "--cache-loads", "always"]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def wait_ready(self):
        start = time.monotonic()
        while time.monotonic() - start < START_SECONDS:
            if self.process.poll() is not None:
                self.fail(f"the server ended by itself at its start with {self.process.returncode}")
                return False
            try:
                if httpx.get(self.url + "/health", timeout=5).json()["status"] == "ok":
                    self.counts["start_seconds"] += time.monotonic() - start
                    return True
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        self.fail("the server did not become ready")
        return False

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def kill(self, during_stop=False):
        if self.process.poll() is not None:
            self.fail(f"the server ended by itself with {self.process.returncode}")
        if during_stop:  # while it writes what is in memory only
            self.process.terminate()
            time.sleep(self.random.uniform(0, 0.3))
            self.count("kills_during_stop")
        self.process.kill()
        self.process.wait()
        self.count("kills")

    # ---- conversations ----

    def begin(self, rng):
        """A new conversation, or a fork of one that is there."""
        with self.lock:
            if self.conversations and rng.random() < 0.3:
                one = rng.choice(self.conversations)
                turns = rng.randint(0, (len(one.messages) - 1) // 2)
                return Conversation(one.messages[: 1 + 2 * turns])
        return Conversation([{"role": "system", "content": rng.choice(SYSTEMS)}])

    def question(self, rng):
        topic = rng.choice(list(TOPICS))
        filler = " ".join(rng.choice(WORDS) for _ in range(rng.choice([3, 20, 90, 400])))
        return topic, {"role": "user", "content": f"{filler} {rng.getrandbits(40)} about {topic}?"}

    def turn(self, client, conversation, rng):
        """True when the turn was answered to its end."""
        topic, question = self.question(rng)
        messages = [*conversation.messages, question]
        body = {"model": "default", "messages": messages, "temperature": 0}
        if rng.random() < 0.15:
            with client.stream("POST", self.url + "/v1/chat/completions", json={**body, "stream": True}) as reply:
                for _, _ in zip(reply.iter_lines(), range(rng.randint(0, 12))):
                    pass
            self.count("cancelled")
            return False
        reply = client.post(self.url + "/v1/chat/completions", json=body)
        if reply.status_code != 200:
            if self.alive:  # a server that stops refuses new requests
                self.fail(f"status {reply.status_code}: {reply.text}")
            return False
        answer, usage = reply.json()["choices"][0], reply.json()["usage"]
        if answer["message"]["content"] != TOPICS[topic] or answer["finish_reason"] != "stop":
            self.fail(f"a wrong answer about {topic}: {answer}")
            return False
        conversation.messages = [*messages, {"role": "assistant", "content": answer["message"]["content"]}]
        conversation.replayed_tokens = replayed_of(reply) + usage["completion_tokens"]
        conversation.settled = False
        conversation.whole_at = self.counts["kills"]
        # The token that ends an answer is sampled and not computed.
        conversation.known_tokens = usage["prompt_tokens"] + usage["completion_tokens"] - 1
        conversation.answered_at = time.monotonic()
        self.count("answers")
        return True

    def talk(self, seed):
        rng = random.Random(seed)
        own = []
        with httpx.Client(timeout=60) as client:
            while self.alive:
                conversation = rng.choice(own) if own and rng.random() < 0.75 else self.begin(rng)
                if len(conversation.messages) > 2 * TURNS_MOST:
                    own = [c for c in own if c is not conversation]  # a fork of a long one is not among them
                    continue
                # A conversation is listed as it was when its last turn was answered: the list's are never changed.
                conversation = copy.copy(conversation)
                try:
                    answered = self.turn(client, conversation, rng)
                except httpx.HTTPError as error:
                    if self.alive:
                        self.fail(f"a request failed before the kill: {error!r}")
                    return
                if not answered:
                    continue
                own = [c for c in own if c.messages != conversation.messages[:-2]] + [conversation]
                with self.lock:
                    self.conversations.append(conversation)
                    del self.conversations[:-KEPT_CONVERSATIONS]
                time.sleep(rng.choice([0, 0, 0.02, 0.2]))

    # ---- checks ----

    def probe(self, client, conversation):
        messages = [*conversation.messages, {"role": "user", "content": "probe"}]
        body = {"model": "default", "messages": messages, "temperature": 0, "max_tokens": 8}
        reply = client.post(self.url + "/v1/chat/completions", json=body)
        if reply.status_code != 200 or reply.json()["choices"][0]["message"]["content"] != "Nothing.":
            self.fail(f"a wrong answer after the restart: {reply.status_code} {reply.text}")
            return
        self.count("probes")
        if self.options.may_evict:
            return
        cached = reply.json()["usage"]["prompt_tokens_details"]["cached_tokens"]
        replayed = replayed_of(reply)
        if conversation.settled and replayed <= conversation.replayed_tokens:
            self.count("settled")
            self.compare(conversation, cached, replayed)
        # Else a kill may have cost it something, or a lost turn has been sampled anew since: then its tokens are others.
        # What there is now must stay, and what has been lost is not told again.
        conversation.known_tokens = min(cached, conversation.known_tokens)
        conversation.replayed_tokens = replayed
        conversation.settled = True
        conversation.whole_at = self.counts["kills"]

    def compare(self, conversation, cached, replayed):
        self.counts["whole"] += cached >= conversation.known_tokens
        since = f"answered {self.killed_at - conversation.answered_at:.2f} s before the last kill, whole at kill {conversation.whole_at}"
        # A turn that is not replayed has other tokens: that their KV is missing is no second loss.
        if replayed < conversation.replayed_tokens:
            self.fail(f"{replayed} of {conversation.replayed_tokens} sampled tokens were replayed, {since}")
        elif cached < conversation.known_tokens // BLOCK_TOKENS * BLOCK_TOKENS:
            self.fail(f"{cached} of {conversation.known_tokens} tokens were found, {since}")

    def check(self):
        self.check_space()
        # The kill's own conversations: those that it may have cost something come last, and are looked at once.
        settled = [c for c in self.conversations if c.settled]
        doubtful = [c for c in self.conversations if not c.settled]
        for conversation in doubtful:
            conversation.settled = conversation.answered_at < self.killed_at - SETTLED_SECONDS
        fresh = [c for c in doubtful if c.settled]
        doubtful = [c for c in doubtful if not c.settled][-2:]
        wanted = fresh[-PROBES_EACH:] + self.random.sample(settled, min(len(settled), PROBES_EACH // 2)) + doubtful
        self.conversations = settled + fresh + doubtful
        with httpx.Client(timeout=60) as client:
            for conversation in wanted:
                self.probe(client, conversation)

    def check_space(self):
        taken = sum(path.stat().st_blocks * 512 for path in self.cache.glob("seg-*.kvs"))
        if taken > 1.05 * self.options.cache_disk:
            self.fail(f"the segments take {taken} bytes of {self.options.cache_disk}")

    # ---- moments ----

    def moment(self):
        self.launch()
        if self.random.random() < 0.1:
            time.sleep(self.random.uniform(0, 0.8))
            self.kill()
            self.count("kills_during_start")
            self.launch()
        if not self.wait_ready():
            return False
        self.check()
        self.alive = True
        with concurrent.futures.ThreadPoolExecutor(self.options.threads) as pool:
            talks = [pool.submit(self.talk, self.random.getrandbits(64)) for _ in range(self.options.threads)]
            time.sleep(self.random.uniform(*self.options.seconds_between))
            self.alive = False
            self.killed_at = time.monotonic()
            self.kill(during_stop=self.random.random() < 0.1)
        for talk in talks:
            talk.result()
        return True

    def run(self):
        self.killed_at = 0.0
        try:
            while self.counts["kills"] < self.moments:
                if not self.moment():
                    return self.counts
                if self.options.verbose and self.counts["kills"] % 20 == 0:
                    print(f"world {self.number}: {self.counts}", file=sys.stderr, flush=True)
            self.launch()
            if self.wait_ready():
                self.check()
                self.process.terminate()
                if self.process.wait(timeout=30) != 0:
                    self.fail(f"a clean stop ended with {self.process.returncode}")
                self.verify()
        except Exception as error:
            self.fail(f"the test itself failed: {error!r}")
            raise
        finally:
            if self.process and self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        return self.counts

    def verify(self):
        command = [self.options.binary, "cache", "verify", "--cache-folder", str(self.cache)]
        verified = subprocess.run(command, capture_output=True, text=True)
        if verified.returncode != 0:
            self.fail(f"cache verify: {verified.stdout}{verified.stderr}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("moments", type=int, help="how often to kill")
    parser.add_argument("--seconds-between", type=float, nargs=2, default=(0.1, 4.0), metavar=("LEAST", "MOST"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=3, help="conversations at a time")
    parser.add_argument("--side-by-side", type=int, default=None, help="servers with folders of their own, which share the moments (default: one, and three for 100 moments or more)")
    parser.add_argument("--delay-ms", type=int, default=2, help="of a step")
    parser.add_argument("--cache-disk", type=int, default=1 << 30, help="bytes")
    parser.add_argument("--may-evict", action="store_true", help="nothing has to be found again")
    parser.add_argument("--binary", default=os.environ.get("KVASIR_BIN", str(ROOT / "build" / "kvasir")))
    parser.add_argument("--model", default=str(MODELS / "smollm2-135m-instruct-q4_1.gguf"), help="for its tokenizer")
    parser.add_argument("--folder", default=None, help="where the caches are made; removed when all is well")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()

    options.side_by_side = options.side_by_side or (3 if options.moments >= 100 else 1)
    violations = Violations()
    shares = [options.moments // options.side_by_side + (i < options.moments % options.side_by_side) for i in range(options.side_by_side)]
    worlds = [World(options, i, share, violations) for i, share in enumerate(shares)]
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(len(worlds)) as pool:
        counts = list(pool.map(World.run, worlds))
    total = {name: sum(c[name] for c in counts) for name in counts[0]}
    if not violations.found:
        for world in worlds:
            shutil.rmtree(world.home)
    starts = max(1, total["kills"] - total["kills_during_start"])
    passed = not violations.found and total["kills"] >= options.moments
    print(
        f"{'PASS' if passed else 'FAIL'}: {total['kills']} kills of {options.moments} ({total['kills_during_start']} during a start, {total['kills_during_stop']} during a stop), "
        f"{total['answers']} answers, {total['cancelled']} cancelled, {total['probes']} conversations looked for, {total['whole']} of {total['settled']} settled ones whole to the token, "
        f"start {total['start_seconds'] / starts:.2f} s, {time.monotonic() - start:.0f} s in all: {len(violations.found)} violations"
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
