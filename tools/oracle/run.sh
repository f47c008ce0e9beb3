#!/usr/bin/env bash
# `make oracle`: remakes every golden file with outside judges, in a Python environment of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$(tools/oracle/python.sh)
for script in tools/oracle/make_*_golden.py; do
  echo "oracle: $script"
  "$python" "$script"
done
git status --short tests
