#!/usr/bin/env python3
"""Writes tests/cli/golden/mlx_textgen_config.yaml: what MLX-Textgen 0.2.1's own `createconfig -n 2` writes. Needs
pydantic and pyyaml; the package comes from PyPI, and its command runs without the rest of it, which needs a Mac.

  tools/oracle/make_textgen_config_golden.py
"""

import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import types

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "tests" / "cli" / "golden" / "mlx_textgen_config.yaml"


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "download", "--no-deps", "--no-binary", ":all:", "mlx-textgen==0.2.1"], check=True)
        with tarfile.open("mlx_textgen-0.2.1.tar.gz") as archive:
            archive.extractall(scratch, filter="data")
        package = types.ModuleType("mlx_textgen")  # its own __init__ loads MLX
        package.__path__ = [f"{scratch}/mlx_textgen-0.2.1/src/mlx_textgen"]
        sys.modules["mlx_textgen"] = package
        from mlx_textgen.cli import main as mlx_textgen
        sys.argv = ["mlx_textgen", "createconfig", "-n", "2"]
        mlx_textgen()
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_bytes(pathlib.Path("model_config.yaml").read_bytes())


if __name__ == "__main__":
    main()
