#!/usr/bin/env bash
# The cache's benchmarks: bench/cache.sh session|fork|agents|memory [ARGUMENTS]. Each prints its bars and fails when one is missed.
set -euo pipefail
cd "$(dirname "$0")/.."
part=${1:?which: session, fork, agents or memory}
shift
exec "$(tools/python.sh)" "bench/$part.py" "$@"
