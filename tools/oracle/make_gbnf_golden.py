"""Remakes tests/chat/golden/gbnf.json: which texts llama.cpp's own matcher admits under the grammars of
tests/chat/golden/*.gbnf. With a folder of other grammars and a file to write as arguments, the same for those
(KVASIR_GBNF_GOLDEN=FILE makes chat_test compare with it).

llama.cpp is the one that `make bench` has built; KVASIR_LLAMA_SOURCE and KVASIR_LLAMA_LIB name another."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEERS = pathlib.Path.home() / ".cache" / "kvasir" / "peers"
SOURCE = pathlib.Path(os.environ.get("KVASIR_LLAMA_SOURCE", PEERS / "llama_cpp_python-0.3.36" / "vendor" / "llama.cpp"))
LIBRARY = pathlib.Path(os.environ.get("KVASIR_LLAMA_LIB", PEERS / "llama-0.3.36" / "bin"))
WALKS = 40


def main(grammars, out):
    with tempfile.TemporaryDirectory() as folder:
        judge = pathlib.Path(folder) / "judge"
        subprocess.run(
            ["c++", "-std=c++20", "-O1", ROOT / "tools/oracle/gbnf_judge.cpp", "-o", judge,
             *(f"-I{SOURCE / part}" for part in ("src", "include", "ggml/include")),
             f"-L{LIBRARY}", f"-Wl,-rpath,{LIBRARY}", "-lllama", "-lggml", "-lggml-base"], check=True)
        cases = []
        for path in sorted(grammars.glob("*.gbnf")):
            ran = subprocess.run([judge, path, str(WALKS)], capture_output=True, text=True, timeout=600)
            assert ran.returncode == 0, f"{path}: {ran.stderr}"
            lines = [(line + " ").split(" ")[:2] for line in ran.stdout.splitlines()]
            cases.append({
                "name": path.name,
                "grammar": path.read_text(),
                "texts": [{"hex": text, "admitted": verdict == "1"} for verdict, text in lines],
            })
    body = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    out.write_text("[" + body + "]\n")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
    else:
        main(ROOT / "tests/chat/golden", ROOT / "tests/chat/golden/gbnf.json")
