"""A proxy between a client and the server that writes down every request and what came back for it."""

import dataclasses
import http.server
import json
import threading
import time

import httpx

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "accept-encoding", "expect"}


@dataclasses.dataclass
class Exchange:
    """One request of /v1/messages and its answer."""

    headers: dict  # of the request, names in lower case
    body: dict
    cache: dict  # its kvasir_cache: prompt_tokens, cached_tokens, new_from, ...
    cache_header: str  # the same in x-kvasir-cache
    usage: dict  # the answer's last word on its tokens
    stop: str | None  # stop_reason; None where the client went away first
    content: list  # the answer's blocks
    status: int = 200
    began: float = dataclasses.field(default_factory=time.perf_counter)
    first_s: float | None = None  # to the first piece of the answer

    @property
    def prompt(self):
        return self.usage["input_tokens"] + self.usage["cache_read_input_tokens"] + self.usage.get("cache_creation_input_tokens", 0)

    @property
    def cached(self):
        return self.usage["cache_read_input_tokens"]

    @property
    def read(self):
        return self.prompt - self.cached

    @property
    def known_after(self):
        """Tokens of the conversation whose KV is there once it is answered: the last one sampled is not always read."""
        return self.prompt + self.usage["output_tokens"] - (self.stop == "max_tokens")

    @property
    def new_from(self):
        """The part of the request that the first token not found belongs to."""
        return (self.cache["new_from"] or {}).get("part")

    @property
    def session(self):
        return self.headers["x-claude-code-session-id"]

    @property
    def agent(self):
        return self.headers.get("x-claude-code-agent-id", "")

    @property
    def tools(self):
        return [tool["name"] for tool in self.body.get("tools", [])]


class StreamedAnswer:
    """Puts the events of a stream together."""

    def __init__(self):
        self.usage, self.cache, self.stop, self.content, self.rest = {}, {}, None, [], b""

    def feed(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data: {"):
                self.event(json.loads(line[6:]))

    def event(self, event):
        kind = event["type"]
        if kind == "message_start":
            self.usage |= event["message"]["usage"]
        elif kind == "content_block_start":
            self.content.append(dict(event["content_block"], json=""))
        elif kind == "content_block_delta":
            self.delta(event["delta"])
        elif kind == "message_delta":
            self.stop = event["delta"]["stop_reason"]
            self.usage |= event["usage"]
            self.cache |= event.get("kvasir_cache", {})

    def delta(self, delta):
        block = self.content[-1]
        if delta["type"] == "input_json_delta":
            block["json"] += delta["partial_json"]
        else:
            field = delta["type"].removesuffix("_delta")
            block[field] = block.get(field, "") + delta[field]


class Recorder:
    """Stands in front of the server at `url`; give its own `url` to the client."""

    def __init__(self, url):
        self.exchanges = []  # in the order in which they began
        self.paths = []  # every request's method and path
        self.lock = threading.Lock()
        self.upstream = httpx.Client(base_url=url, timeout=120, limits=httpx.Limits(max_connections=64))
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                recorder.forward(self)

            do_HEAD = do_POST = do_GET

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.upstream.close()

    def forward(self, handler):
        content = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        sent = {name: value for name, value in headers.items() if name not in HOP_BY_HOP}
        route = handler.path.split("?")[0]
        exchange = None
        with self.lock:
            self.paths.append(f"{handler.command} {route}")
            if handler.command == "POST" and route == "/v1/messages":
                exchange = Exchange(headers, json.loads(content), {}, "", {}, None, [])
                self.exchanges.append(exchange)
        with self.upstream.stream(handler.command, handler.path, headers=sent, content=content) as reply:
            if exchange is not None:
                exchange.status = reply.status_code
                exchange.cache_header = reply.headers.get("x-kvasir-cache", "")
            try:
                self.pass_on(handler, reply, exchange)
            except (BrokenPipeError, ConnectionResetError):
                handler.close_connection = True  # leaving this block leaves the server too

    def pass_on(self, handler, reply, exchange):
        handler.send_response(reply.status_code)
        for name, value in reply.headers.items():
            if name.lower() not in HOP_BY_HOP:
                handler.send_header(name, value)
        if "text/event-stream" not in reply.headers.get("content-type", ""):
            body = reply.read()
            if exchange is not None and reply.status_code == 200:
                message = json.loads(body)
                exchange.usage, exchange.stop, exchange.content = message["usage"], message["stop_reason"], message["content"]
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            if handler.command != "HEAD":
                handler.wfile.write(body)
            return
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        answer = StreamedAnswer()
        exchange.usage, exchange.cache, exchange.content = answer.usage, answer.cache, answer.content
        for data in reply.iter_raw():
            answer.feed(data)
            exchange.stop = answer.stop
            if answer.content and exchange.first_s is None:
                exchange.first_s = time.perf_counter() - exchange.began
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        handler.wfile.write(b"0\r\n\r\n")

    def wait_for(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition(self.exchanges):
            assert time.monotonic() < end, "not seen in time: " + "; ".join(map(repr, self.paths))
            time.sleep(0.02)
