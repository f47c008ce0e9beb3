#!/usr/bin/env python3
"""Fetches the chat templates that tests/chat/template_formats_test.cpp is checked against: those in the source package
of llama-cpp-python, by way of pip, into a cache folder. Nothing is done where they are there.

    fetch_templates.py [FOLDER]        default: ~/.cache/kvasir/peers
"""

import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

VERSION = "0.3.36"
INSIDE = f"llama_cpp_python-{VERSION}/vendor/llama.cpp/models/templates/"


def download(folder: pathlib.Path) -> None:
    """pip asks a source package for its metadata, which needs its build backend: that goes into a venv of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sys.executable, "-m", "venv", scratch], check=True)
        pip = [f"{scratch}/bin/pip", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "scikit-build-core"], check=True)
        subprocess.run(
            [*pip, "download", "--no-deps", "--no-build-isolation", "--no-binary", "llama-cpp-python", "-d", str(folder),
             f"llama-cpp-python=={VERSION}"],
            check=True,
        )


def main() -> None:
    default = pathlib.Path(os.environ.get("KVASIR_PEERS", pathlib.Path.home() / ".cache/kvasir/peers"))
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    target = folder / f"templates-{VERSION}"
    if target.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    package = folder / f"llama_cpp_python-{VERSION}.tar.gz"
    if not package.exists():
        print(f"fetching llama-cpp-python {VERSION} for its chat templates", flush=True)
        download(folder)
    unpacked = pathlib.Path(tempfile.mkdtemp(dir=folder))
    with tarfile.open(package) as archive:
        for member in archive.getmembers():
            name = member.name.removeprefix(INSIDE)
            if name == member.name or "/" in name or not name.endswith(".jinja"):
                continue
            (unpacked / name).write_bytes(archive.extractfile(member).read())
    unpacked.chmod(0o755)
    unpacked.rename(target)


if __name__ == "__main__":
    main()
