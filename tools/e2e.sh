#!/usr/bin/env bash
# End-to-end tests: the official Python clients and Claude Code itself against build/kvasir. Extra arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$(tools/python.sh)
KVASIR_CLAUDE=$(tools/claude.sh)
export KVASIR_CLAUDE
[ -x build/kvasir ] || { echo "e2e: build first (make build)" >&2; exit 1; }
"$python" -m pytest tests/e2e -q -p no:cacheprovider "$@"
