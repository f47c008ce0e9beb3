#!/usr/bin/env bash
# Speed beside the peers on the same files, alternating in one run: bench/run.sh [ARGUMENTS of speed.py].
set -euo pipefail
cd "$(dirname "$0")/.."
exec "$(tools/python.sh)" bench/speed.py "$@"
