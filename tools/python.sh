#!/usr/bin/env bash
# Makes the environment with the Python clients that tests and benchmarks use, where it is not there yet, and prints its python.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${KVASIR_E2E_CACHE:-$HOME/.cache/kvasir/e2e}/venv
stamp=$(sha256sum tests/e2e/requirements.txt | cut -c1-16)
if [ ! -e "$venv/$stamp" ]; then
  echo "installing the Python clients" >&2
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check -r tests/e2e/requirements.txt >&2
  touch "$venv/$stamp"
fi
echo "$venv/bin/python"
