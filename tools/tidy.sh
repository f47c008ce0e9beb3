#!/usr/bin/env bash
# clang-tidy over every source of src/, both cores; unchanged files are remembered by the hash of what they preprocess to.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${KVASIR_TIDY_CACHE:-$HOME/.cache/kvasir/tidy}
mkdir -p "$cache"
export cache
config=$(sha256sum .clang-tidy | cut -c1-16)
export config
check() {
  local file=$1 key extra=
  # The analyzer loses its way in Asio's coroutine frames, and Asio's error_code overloads return what they also write.
  if [ "$file" = src/server/http_server.cpp ]; then
    extra='--checks=-clang-analyzer-*,-bugprone-unused-return-value,-bugprone-empty-catch'
  fi
  key=$(clang++-19 -std=c++20 -E -P -Isrc -Ibuild/generated -Itext-ffi/include "$file" 2>/dev/null | sha256sum | cut -c1-40)
  [ -e "$cache/$config-$key" ] && return 0
  if clang-tidy-19 --quiet --extra-arg=-Wno-unknown-warning-option $extra -p build "$file" 2>/dev/null | grep -E "warning:|error:"; then return 1; fi
  touch "$cache/$config-$key"
}
export -f check
# The per-instruction-set files are the generic headers again under other flags: one of them is enough.
git ls-files 'src/*.cpp' | grep -v -E 'src/kernels/(avx2|avxvnni|avx512vnni|avx512bf16|avx512amx|neon)\.cpp' |
  xargs -P "$(nproc)" -I{} bash -c 'check {}' || { echo "tidy: faults above" >&2; exit 1; }
echo "tidy: clean"
