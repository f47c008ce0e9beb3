#!/usr/bin/env bash
# Speed beside llama.cpp on the same files, alternating in one run: bench/run.sh [ROUNDS]. Builds the peer natively from
# the llama-cpp-python source package the first time (about ten minutes).
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5}
peers=${KVASIR_PEERS:-$HOME/.cache/kvasir/peers}
models=${KVASIR_MODELS:-$HOME/.cache/kvasir/models}
version=0.3.36
bench=$peers/llama-$version/bin/llama-bench
if [ ! -x "$bench" ]; then
  echo "bench: building llama.cpp from llama-cpp-python $version"
  mkdir -p "$peers"
  (cd "$peers" && python3 -m pip download --quiet --no-deps --no-binary :all: --no-build-isolation "llama-cpp-python==$version" 2>/dev/null ||
    { python3 -m venv venv && venv/bin/pip -q install scikit-build-core && venv/bin/pip download --quiet --no-deps --no-binary llama-cpp-python "llama-cpp-python==$version"; }
   tar xzf llama_cpp_python-$version.tar.gz)
  cmake -S "$peers/llama_cpp_python-$version/vendor/llama.cpp" -B "$peers/llama-$version" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DGGML_NATIVE=ON -DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF >/dev/null
  cmake --build "$peers/llama-$version" --target llama-bench -- --quiet
fi
python3 bench/compare.py "$bench" "$rounds" "$models/smollm2-135m-instruct-q4_1.gguf" \
  "$models/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
