"""Memory while a model is loaded, in every format: at most 1.1 times its files and 150 MB.

    bench/loading.py MODEL...        GGUF files (of a split set, the first) and folders; prints PASS or MISS for each

The program is started on each model, and the most memory that it has had by the time it is ready is read from /proc.
"""

import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARE, FIXED_MB = 1.1, 150
GRAMMARS_SECONDS = 1.5  # they are set up while the first requests come, and count


def file_bytes(model):
    path = pathlib.Path(model)
    if path.is_dir():
        return sum(f.stat().st_size for f in path.glob("*.safetensors")) or sum(f.stat().st_size for f in path.glob("*.gguf"))
    first, _, of = path.name.partition("-00001-of-")
    files = path.parent.glob(f"{first}-*-of-{of}") if of else [path]
    return sum(f.stat().st_size for f in files)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def is_ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return b'"ok"' in answer.read()
    except OSError:
        return False


def peak_bytes(model):
    """Most resident memory until the server is ready."""
    port = free_port()
    with tempfile.TemporaryFile() as log:
        command = [ROOT / "build/kvasir", "serve", "-m", model, "-p", str(port), "--cache-disk", "0", "--no-idle-prefill"]
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            while not is_ready(port):
                if server.poll() is not None:
                    log.seek(0)
                    sys.exit(f"{model}: {log.read().decode().strip().splitlines()[-1]}")
                time.sleep(0.1)
            time.sleep(GRAMMARS_SECONDS)
            status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
        finally:
            server.terminate()
            server.wait()
    (line,) = [s for s in status.splitlines() if s.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    missed = 0
    for model in sys.argv[1:]:
        size, peak = file_bytes(model), peak_bytes(model)
        bound = SHARE * size + FIXED_MB * 1e6
        missed += peak > bound
        print(f"{'PASS' if peak <= bound else 'MISS'}  {pathlib.Path(model).name}: {peak / 1e6:.0f} MB at most, "
              f"{size / 1e6:.0f} MB of files, bound {bound / 1e6:.0f} MB", flush=True)
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
