#!/usr/bin/env bash
# Makes the environment with the outside judges, where it is not there yet, and prints its python.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=${KVASIR_ORACLE_VENV:-$HOME/.cache/kvasir/oracle}
stamp=$venv/$(sha256sum tools/oracle/requirements.txt | cut -c1-16)
if [ ! -e "$stamp" ]; then
  echo "oracle: installing the judges (llama.cpp is compiled: minutes the first time)" >&2
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  "$venv/bin/pip" install -q -r tools/oracle/requirements.txt >&2
  touch "$stamp"
fi
echo "$venv/bin/python"
