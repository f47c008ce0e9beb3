#!/usr/bin/env bash
# `make oracle`: remakes every golden file with outside judges, in a Python environment of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=${KVASIR_ORACLE_VENV:-$HOME/.cache/kvasir/oracle}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
echo "oracle: installing the judges (llama.cpp is compiled: minutes the first time)"
"$venv/bin/pip" install -q -r tools/oracle/requirements.txt
for script in tools/oracle/make_*_golden.py; do
  echo "oracle: $script"
  "$venv/bin/python" "$script"
done
git status --short tests
