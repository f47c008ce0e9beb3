#!/usr/bin/env bash
# The benchmarks of tool calling: bench/tools.sh calls|bfcl|grammar|claude|lookup [ARGUMENTS]. Each prints its bars and fails when one is missed.
set -euo pipefail
cd "$(dirname "$0")/.."
part=${1:?which: calls, bfcl, grammar, claude or lookup}
shift
if [ "$part" = claude ]; then
  KVASIR_CLAUDE=$(tools/claude.sh)
  export KVASIR_CLAUDE
fi
exec "$(tools/python.sh)" "bench/$part.py" "$@"
