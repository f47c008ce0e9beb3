#!/usr/bin/env bash
# Speed beside llama.cpp on the same files, alternating in one run: bench/run.sh [ROUNDS].
set -euo pipefail
cd "$(dirname "$0")/.."
models=${KVASIR_MODELS:-$HOME/.cache/kvasir/models}
bench=$(bench/peer.sh llama-bench)
python3 bench/compare.py "$bench" "${1:-5}" "$models/smollm2-135m-instruct-q4_1.gguf" \
  "$models/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
