#!/usr/bin/env python3
"""Fails when a file of src/ includes one of a layer above its own. The order is ARCHITECTURE.md's."""

import re
import sys
from pathlib import Path

LAYERS = ["base", "kernels", "weights", "models", "hub", "text", "kv", "executor", "engine", "chat", "api", "server", "cli"]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([a-z_]+)/')


def main() -> int:
    root = Path(__file__).resolve().parent.parent / "src"
    faults = []
    for path in sorted(root.rglob("*")):
        if path.suffix not in (".h", ".cpp"):
            continue
        layer = path.relative_to(root).parts[0]
        if layer not in LAYERS:
            faults.append(f"{path.relative_to(root.parent)}: '{layer}' is no layer; add it to tools/check_layers.py")
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if match is None:
                continue
            included = match.group(1)
            if included in LAYERS and LAYERS.index(included) > LAYERS.index(layer):
                faults.append(f"{path.relative_to(root.parent)}:{number}: {layer} includes {included}, a layer above it")
    print("\n".join(faults) if faults else f"layers: no file includes a layer above its own ({len(LAYERS)} layers)")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
