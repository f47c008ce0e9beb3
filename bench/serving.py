"""Servers to measure, started as a user starts them, and one streamed chat request, timed as its client sees it."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

import httpx

ROOT = pathlib.Path(__file__).resolve().parents[1]
KVASIR = pathlib.Path(os.environ.get("KVASIR_BIN", ROOT / "build" / "kvasir"))
MODELS = pathlib.Path(os.environ.get("KVASIR_MODELS", pathlib.Path.home() / ".cache" / "kvasir" / "models"))
QWEN = MODELS / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
SMOLLM2 = MODELS / "smollm2-135m-instruct-q4_1.gguf"
THREADS = len(os.sched_getaffinity(0))
READY_SECONDS = 120


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@dataclasses.dataclass
class Reply:
    """What one request cost, and the assistant's message as a client keeps it."""

    message: dict
    finish: str
    prompt: int  # tokens
    cached: int  # of them, by usage
    completion: int
    first_s: float  # to the first piece of text or of a call
    total_s: float
    prefilled: int  # prompt tokens computed in this request, by the server's counters
    idle: int = 0  # computed between the last request and this one
    loaded: int = 0  # of the cached, those from disk
    server_first_s: float = 0.0  # to the first token, by the server's clock

    @property
    def calls(self):
        return self.message.get("tool_calls") or []


class StreamedMessage:
    """Puts the deltas of a stream together."""

    def __init__(self):
        self.content, self.calls, self.finish, self.first_s = "", [], None, None

    def add(self, choice, now_s):
        delta = choice.get("delta") or {}
        if self.first_s is None and (delta.get("content") or delta.get("tool_calls") or delta.get("reasoning_content")):
            self.first_s = now_s
        self.content += delta.get("content") or ""
        for piece in delta.get("tool_calls") or []:
            while len(self.calls) <= piece["index"]:
                self.calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
            call = self.calls[piece["index"]]
            call["id"] = piece.get("id") or call["id"]
            call["function"]["name"] += piece.get("function", {}).get("name") or ""
            call["function"]["arguments"] += piece.get("function", {}).get("arguments") or ""
        self.finish = choice.get("finish_reason") or self.finish

    def message(self):
        if not self.calls:
            return {"role": "assistant", "content": self.content}
        return {"role": "assistant", "content": self.content or None, "tool_calls": self.calls}


class Server:
    """A process that serves the OpenAI API on a port of its own."""

    name = "server"

    def __init__(self, command, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"{self.name}-{self.port}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen([*map(str, command), "--port", str(self.port)], stdout=log, stderr=subprocess.STDOUT)
        self.client = httpx.Client(base_url=self.url, timeout=1800)
        self.wait_ready()

    def wait_ready(self):
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended at its start:\n{self.log.read_text()[-2000:]}")
            try:
                reply = self.client.get("/health")
                if reply.status_code == 200 and reply.json().get("status") == "ok":
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"{self.name} did not become ready:\n{self.log.read_text()[-2000:]}")

    def stop(self):
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def status_bytes(self, field):
        """VmRSS, VmHWM, RssAnon, ... of the process; 0 when it has ended."""
        try:
            found = re.search(rf"^{field}:\s+(\d+) kB", pathlib.Path(f"/proc/{self.process.pid}/status").read_text(), re.MULTILINE)
        except OSError:
            return 0
        return int(found.group(1)) << 10 if found else 0

    def metrics(self):
        found = re.findall(r"^([\w:]+)(?:\{\})? (\S+)$", self.client.get("/metrics").text, re.MULTILINE)
        return {name: float(value) for name, value in found}

    def stream(self, client, body):
        """(message, usage, last event, seconds to first piece, seconds in all)"""
        body = {"model": "default", "temperature": 0, **body, "stream": True, "stream_options": {"include_usage": True}}
        content = json.dumps(body).encode()
        message, usage, timings = StreamedMessage(), None, None
        began = time.perf_counter()
        with client.stream("POST", "/v1/chat/completions", content=content, headers={"Content-Type": "application/json"}) as reply:
            if reply.status_code != 200:
                raise RuntimeError(f"{self.name}: {reply.status_code} {reply.read().decode()[:500]}")
            for line in reply.iter_lines():
                if not line.startswith("data: {"):
                    continue
                event = json.loads(line[6:])
                if "error" in event:
                    raise RuntimeError(f"{self.name}: {event['error']}")
                for choice in event.get("choices") or []:
                    message.add(choice, time.perf_counter() - began)
                usage = event.get("usage") or usage
                timings = event.get("timings") or timings
        total = time.perf_counter() - began
        return message, usage, timings, total if message.first_s is None else message.first_s, total


class Kvasir(Server):
    name = "kvasir"

    def __init__(self, folder, model, *arguments):
        super().__init__([KVASIR, "serve", "-m", model, "--threads", THREADS, *arguments], folder)
        self.before = self.metrics()

    def request(self, body):
        before = self.metrics()
        message, usage, _, first, total = self.stream(self.client, body)
        after = self.metrics()
        moved = {name: after[name] - before.get(name, 0) for name in after}
        reply = Reply(
            message.message(),
            message.finish,
            usage["prompt_tokens"],
            usage["prompt_tokens_details"]["cached_tokens"],
            usage["completion_tokens"],
            first,
            total,
            prefilled=int(moved["kvasir:prefill_tokens_total"]),
            idle=int(before["kvasir:idle_prefill_tokens_total"] - self.before["kvasir:idle_prefill_tokens_total"]),
            loaded=int(moved["kvasir:loaded_tokens_total"]),
            server_first_s=moved["vllm:time_to_first_token_seconds_sum"],
        )
        self.before = after
        return reply


class LlamaServer(Server):
    """llama-server with what its documentation offers for this: the model's own template with tools, reuse of shifted chunks, a slot for every
    agent, and its cache of prompts in memory, which is on by default."""

    name = "llama-server"

    def __init__(self, folder, model, slot_context, slots):
        built = subprocess.run([ROOT / "bench" / "peer.sh", "llama-server"], check=True, stdout=subprocess.PIPE, text=True)
        command = [built.stdout.strip(), "-m", model, "-t", THREADS, "-c", slot_context * slots, "-np", slots, "--jinja", "--cache-reuse", 256]
        try:
            super().__init__(command, folder)
        except RuntimeError:
            # Its AMX path, built by GCC 12, ends with an illegal instruction in its first prefill.
            super().__init__([*command, "--no-repack"], folder)

    def request(self, body):
        message, usage, timings, first, total = self.stream(self.client, body)
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", timings.get("cache_n", 0))
        return Reply(
            message.message(), message.finish, usage["prompt_tokens"], cached, usage["completion_tokens"], first, total, prefilled=timings["prompt_n"],
            server_first_s=timings["prompt_ms"] / 1e3,
        )


def bench_points(model, points, repeat=3):
    """Seconds that `kvasir bench` needs for (tokens, depth) pairs: a dict."""
    wanted = sorted(set(points))
    command = [KVASIR, "bench", "-m", model, "--threads", THREADS, "--repeat", repeat, "--json"]
    command += ["--points", ",".join(f"{tokens}@{depth}" for tokens, depth in wanted)]
    out = subprocess.run([*map(str, command)], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {(p["tokens"], p["depth"]): p["seconds"] for p in json.loads(out)["points"]}


class Folder:
    """A temporary folder for caches and logs; kept when something failed, so that it can be looked at."""

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="kvasir-bench-"))
        return self.path

    def __exit__(self, kind, *_):
        if kind is None:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            print(f"logs are in {self.path}", flush=True)
