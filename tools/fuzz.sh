#!/usr/bin/env bash
# Runs every fuzzer for SECONDS over its corpus: tools/fuzz.sh [SECONDS]. New inputs go into build-asan/corpus; one worth
# keeping is copied into tests/fuzz/corpus by hand.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
for target in build-asan/*_fuzz; do
  name=$(basename "$target" _fuzz)
  mkdir -p "build-asan/corpus/$name" "tests/fuzz/corpus/$name"
  if ! "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 -print_final_stats=0 -verbosity=0 \
       -artifact_prefix="build-asan/$name-" "build-asan/corpus/$name" "tests/fuzz/corpus/$name" >"build-asan/$name.log" 2>&1; then
    tail -60 "build-asan/$name.log"
    echo "fuzz: $name failed; the input is build-asan/$name-*" >&2
    exit 1
  fi
  echo "fuzz: $name ran $seconds s, $(ls "build-asan/corpus/$name" | wc -l) inputs"
done
