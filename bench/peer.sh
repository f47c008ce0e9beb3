#!/usr/bin/env bash
# bench/peer.sh llama-bench|llama-server: builds that program of llama.cpp natively, from the llama-cpp-python source package, where it
# is not there yet (ten to thirty minutes), and prints its path.
set -euo pipefail
program=$1
peers=${KVASIR_PEERS:-$HOME/.cache/kvasir/peers}
version=0.3.36
build=$peers/llama-$version
source=$peers/llama_cpp_python-$version
if [ ! -x "$build/bin/$program" ]; then
  echo "bench: building $program from llama-cpp-python $version" >&2
  mkdir -p "$peers"
  exec 9>"$peers/build.lock"
  flock 9
  if [ ! -d "$source" ]; then
    cd "$peers"
    if [ ! -f "llama_cpp_python-$version.tar.gz" ]; then
      python3 -m pip download --quiet --no-deps --no-binary :all: --no-build-isolation "llama-cpp-python==$version" >&2 2>/dev/null ||
        { python3 -m venv venv && venv/bin/pip -q install scikit-build-core >&2 && venv/bin/pip download --quiet --no-deps --no-binary llama-cpp-python "llama-cpp-python==$version" >&2; }
    fi
    tar xzf "llama_cpp_python-$version.tar.gz"
  fi
  cmake -S "$source/vendor/llama.cpp" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DLLAMA_CURL=OFF \
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF >&2
  cmake --build "$build" --target "$program" -- ${KVASIR_PEER_JOBS:+-j"$KVASIR_PEER_JOBS"} --quiet >&2
fi
echo "$build/bin/$program"
