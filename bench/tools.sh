#!/usr/bin/env bash
# The benchmarks of tool calling: bench/tools.sh calls|bfcl|grammar [ARGUMENTS]. Each prints its bars and fails when one is missed.
set -euo pipefail
cd "$(dirname "$0")/.."
part=${1:?which: calls, bfcl or grammar}
shift
exec "$(tools/python.sh)" "bench/$part.py" "$@"
