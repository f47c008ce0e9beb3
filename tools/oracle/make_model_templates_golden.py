#!/usr/bin/env python3
"""Writes tests/text/golden/template_scenarios.json and model_templates.json: what Python's jinja2, set up as
transformers sets it up, makes of every scenario with every template of llama.cpp's collection. Needs transformers; the
templates come with tools/fetch_templates.py.

  tools/oracle/make_model_templates_golden.py                     writes the files
  tools/oracle/make_model_templates_golden.py TEMPLATE SCENARIO   prints one render, to compare a failure with

A render is kept as its length in bytes and its FNV-1a hash: the texts would take a megabyte.
"""

import datetime
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from template_scenarios import NOW, SCENARIOS  # noqa: E402

GOLDEN = HERE.parents[1] / "tests" / "text" / "golden"
PEERS = pathlib.Path(os.environ.get("KVASIR_PEERS", pathlib.Path.home() / ".cache/kvasir/peers"))


def fnv1a(data: bytes) -> str:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def render(source: str, context: dict) -> str:
    from transformers.utils.chat_template_utils import _compile_jinja_template
    clock = datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).replace(tzinfo=None)
    # Through JSON, as a client's request comes.
    return _compile_jinja_template(source).render(**json.loads(json.dumps(context)), strftime_now=clock.strftime)


def main() -> None:
    subprocess.run([sys.executable, HERE.parent / "fetch_templates.py"], check=True)
    (folder,) = PEERS.glob("templates-*")
    if len(sys.argv) > 2:
        sys.stdout.write(render((folder / f"{sys.argv[1]}.jinja").read_text(), SCENARIOS[sys.argv[2]]))
        return
    lines = []
    refused = 0
    for path in sorted(folder.glob("*.jinja")):
        results = {}
        for name, context in SCENARIOS.items():
            try:
                data = render(path.read_text(), context).encode()
                results[name] = f"{len(data)} {fnv1a(data)}"
            except Exception as error:  # a refusal is a result
                results[name] = "refused"
                refused += 1
        lines.append(f"{json.dumps(path.stem)}: {json.dumps(results)}")
    GOLDEN.mkdir(parents=True, exist_ok=True)
    (GOLDEN / "template_scenarios.json").write_text(json.dumps(SCENARIOS, ensure_ascii=True, indent=0) + "\n")
    (GOLDEN / "model_templates.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{len(lines)} templates, {len(lines) * len(SCENARIOS)} renders, {refused} of them refused by Python")


if __name__ == "__main__":
    main()
