"""From starting the program to the first token that it answers, files in the page cache; and what it then has in memory.

    bench/run.sh start [--rounds 5]

The client asks again and again until it is answered, as an agent's launcher does. The first start on a model, which may prepare what later ones
use, is shown apart. Memory: what is resident after the answer, at most 1.1 times the file, the KV blocks that hold something, and 150 MB.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time

import httpx

from bars import Bars, head, spread
from serving import KVASIR, QWEN, SMOLLM2, THREADS, Folder, free_port

LIMIT_S = {SMOLLM2: 0.3, QWEN: 0.6}
SHARE, FIXED_BYTES = 1.1, 150_000_000
BODY = json.dumps({"model": "default", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "temperature": 0}).encode()


def answer(client, url, end):
    while time.perf_counter() < end:
        try:
            reply = client.post(url + "/v1/chat/completions", content=BODY, headers={"Content-Type": "application/json"})
            if reply.status_code == 200:
                return time.perf_counter()
        except httpx.TransportError:
            pass
        time.sleep(0.002)
    raise RuntimeError("the server did not answer")


def start(model, folder):
    """(seconds to the first answer, resident bytes after it, bytes of the KV blocks that hold something)"""
    port = free_port()
    with (folder / f"{port}.log").open("w") as log:
        began = time.perf_counter()
        process = subprocess.Popen([KVASIR, "serve", "-m", model, "--port", str(port), "--threads", str(THREADS), "--cache-folder", folder / "kv"], stdout=log, stderr=log)
    try:
        with httpx.Client(timeout=60) as client:
            url = f"http://127.0.0.1:{port}"
            seconds = answer(client, url, began + 60) - began
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            resident = int(status.split("VmRSS:")[1].split()[0]) << 10
            metrics = dict(line.split() for line in client.get(url + "/metrics").text.splitlines() if line and line[0] != "#" and "{" not in line)
    finally:
        process.terminate()
        process.wait()
    blocks = float(metrics["kvasir:kv_blocks"]) - float(metrics["kvasir:kv_blocks_free"])
    return seconds, resident, blocks * float(metrics["kvasir:kv_block_bytes"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    bars = Bars()
    head("Start to first answered token", QWEN)
    with Folder() as folder:
        for model, limit in LIMIT_S.items():
            first, *_ = start(model, folder)
            rounds = [start(model, folder) for _ in range(options.rounds)]
            seconds = [r[0] for r in rounds]
            print(f"{model.name}: first start {first:.2f} s, later ones {spread(seconds)} s", flush=True)
            bars.check(f"{model.name}: first token", sorted(seconds)[len(seconds) // 2] <= limit, f"{spread(seconds)} s, at most {limit}")
            allowed = SHARE * model.stat().st_size + rounds[-1][2] + FIXED_BYTES
            resident = max(r[1] for r in rounds)
            bars.check(f"{model.name}: resident memory", resident <= allowed, f"{resident / 1e6:.0f} MB, at most {allowed / 1e6:.0f}")
    return bars.finish()


if __name__ == "__main__":
    sys.exit(main())
