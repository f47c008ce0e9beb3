#!/usr/bin/env bash
# Speed: bench/run.sh [speed|start|neighbours|many|quick] [ARGUMENTS]. Each prints its bars and fails when one is missed.
set -euo pipefail
cd "$(dirname "$0")/.."
part=speed
case ${1:-} in speed | start | neighbours | many | quick) part=$1 && shift ;; esac
exec "$(tools/python.sh)" "bench/$part.py" "$@"
