"""A small Hugging Face hub on this machine, which can misbehave in the ways that real ones and the lines to them do."""

import hashlib
import http.server
import json
import threading
import urllib.parse

LFS_BYTES = 10_000  # larger files are LFS ones, with a SHA-256 for an etag and their contents on another host


def etag_of(data):
    if len(data) > LFS_BYTES:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub:
    """`files`: path -> bytes. What goes wrong is set on the object while it runs; requests are in `seen`."""

    def __init__(self, repo="org/model", files=None, commit="c0ffee" + "0" * 34):
        self.repo, self.files, self.commit = repo, files or {}, commit
        self.seen = []  # (host, method, path, headers)
        self.token = None  # the only one that may read
        self.answers = {}  # kind ("api", "resolve", "cdn") -> list of (status, headers), given out first
        self.break_after = []  # for CDN answers, in turn: bytes after which the connection ends
        self.ranges = True
        self.wrong = 0  # CDN answers that come with a flipped byte
        self.gated = False
        self.hub = self.start("hub")
        self.cdn = self.start("cdn")
        self.url = f"http://127.0.0.1:{self.hub.server_address[1]}"
        # Another host, not just another port.
        self.cdn_url = f"http://localhost:{self.cdn.server_address[1]}"

    def start(self, name):
        world = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                world.handle(self, name)

            do_GET = do_HEAD

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def stop(self):
        self.hub.shutdown()
        self.cdn.shutdown()

    def send(self, request, status, headers=None, body=b""):
        request.send_response(status)
        headers = dict(headers or {})
        headers.setdefault("Content-Length", str(len(body)))
        for key, value in headers.items():
            request.send_header(key, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

    def handle(self, request, host):
        path = urllib.parse.unquote(request.path.split("?")[0])
        self.seen.append((host, request.command, path, dict(request.headers)))
        kind = "cdn" if host == "cdn" else "api" if path.startswith("/api/") else "resolve"
        if self.answers.get(kind):
            status, headers = self.answers[kind].pop(0)
            return self.send(request, status, headers)
        if host == "cdn":
            return self.contents(request, self.files[path.removeprefix("/")])
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return self.send(request, 401, {"X-Error-Code": "GatedRepo" if self.gated else "RepoNotFound"})
        if path == f"/api/models/{self.repo}/revision/main":
            listing = {"id": self.repo, "sha": self.commit, "siblings": [{"rfilename": f} for f in self.files]}
            return self.send(request, 200, {"Content-Type": "application/json"}, json.dumps(listing).encode())
        if path in (f"/api/models/{self.repo}/tree/{revision}" for revision in (self.commit, "main")):
            return self.send(request, 200, {"Content-Type": "application/json"}, json.dumps(self.tree()).encode())
        for revision in (self.commit, "main"):
            prefix = f"/{self.repo}/resolve/{revision}/"
            if path.startswith(prefix) and path.removeprefix(prefix) in self.files:
                return self.resolve(request, path.removeprefix(prefix))
        return self.send(request, 404, {"X-Error-Code": "EntryNotFound"})

    def tree(self):
        """What Python asks for besides."""
        entries = []
        for path, data in self.files.items():
            entry = {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}
            if len(data) > LFS_BYTES:
                entry["lfs"] = {"oid": etag_of(data), "size": len(data), "pointerSize": 130}
            entries.append(entry)
        return entries

    def resolve(self, request, name):
        data = self.files[name]
        headers = {"X-Repo-Commit": self.commit, "ETag": f'"{etag_of(data)}"'}
        if len(data) <= LFS_BYTES:
            return self.send(request, 200, headers, data)
        headers |= {"X-Linked-Etag": f'"{etag_of(data)}"', "X-Linked-Size": str(len(data)), "ETag": '"other"',
                    "Location": f"{self.cdn_url}/{urllib.parse.quote(name)}"}
        return self.send(request, 302, headers)

    def contents(self, request, data):
        if self.wrong:
            self.wrong -= 1
            data = data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]
        first, status, headers = 0, 200, {"ETag": '"of-the-cdn"'}
        asked = request.headers.get("Range")
        if asked and self.ranges:
            first = int(asked.removeprefix("bytes=").split("-")[0])
            if first >= len(data):
                return self.send(request, 416, {"Content-Range": f"bytes */{len(data)}"})
            status, headers["Content-Range"] = 206, f"bytes {first}-{len(data) - 1}/{len(data)}"
        body = data[first:]
        if not self.break_after:
            return self.send(request, status, headers, body)
        # The whole is promised, and some of it comes.
        headers["Content-Length"] = str(len(body))
        self.send(request, status, headers, body[: self.break_after.pop(0)])
        request.wfile.flush()
        request.close_connection = True
        request.connection.shutdown(2)

    def requests(self, host, method="GET"):
        return [entry for entry in self.seen if entry[0] == host and entry[1] == method]
