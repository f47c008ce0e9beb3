#!/usr/bin/env bash
# bench/peer.sh PROGRAM [llama|ik]: builds llama-bench, llama-batched-bench or llama-server natively, of llama.cpp (llama-cpp-python's
# source package) or of ik_llama.cpp (ik-llama-cpp-python's), where it is not there yet (ten to thirty minutes), and prints its path.
set -euo pipefail
program=$1
case ${2:-llama} in
  llama) package=llama-cpp-python version=0.3.36 vendor=llama.cpp options="-DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF" ;;
  ik) package=ik-llama-cpp-python version=0.1.5 vendor=ik_llama.cpp options="-DLLAMA_BUILD_EXAMPLES=ON" ;;
  *) echo "bench/peer.sh: there is no peer '$2'; llama and ik are known" >&2 && exit 2 ;;
esac
peers=${KVASIR_PEERS:-$HOME/.cache/kvasir/peers}
build=$peers/${2:-llama}-$version
archive=${package//-/_}-$version
source=$peers/$archive
if [ ! -x "$build/bin/$program" ]; then
  echo "bench: building $program from $package $version" >&2
  mkdir -p "$peers"
  exec 9>"$peers/build.lock"
  flock 9
  if [ ! -d "$source" ]; then
    cd "$peers"
    if [ ! -f "$archive.tar.gz" ]; then
      # Without isolation, since a download builds nothing; in a venv with the build's own parts where pip asks for them all the same.
      python3 -m pip download --quiet --no-deps --no-binary :all: --no-build-isolation "$package==$version" >&2 2>/dev/null ||
        { python3 -m venv venv && venv/bin/pip -q install scikit-build-core >&2 && venv/bin/pip download --quiet --no-deps --no-binary "$package" "$package==$version" >&2; }
    fi
    tar xzf "$archive.tar.gz"
  fi
  # ik's package leaves out the script that writes its build's number and commit.
  stamp=$source/vendor/$vendor/common/cmake/build-info-gen-cpp.cmake
  if [ "${2:-llama}" = ik ] && [ ! -e "$stamp" ]; then
    mkdir -p "${stamp%/*}"
    printf '%s\n' 'set(BUILD_NUMBER 0)' "set(BUILD_COMMIT $version)" 'set(BUILD_COMPILER native)' 'set(BUILD_TARGET native)' \
      'set(common ${CMAKE_CURRENT_LIST_DIR}/..)' 'configure_file(${common}/build-info.cpp.in ${common}/build-info.cpp)' >"$stamp"
  fi
  # shellcheck disable=SC2086
  cmake -S "$source/vendor/$vendor" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DLLAMA_CURL=OFF \
    -DLLAMA_BUILD_TESTS=OFF $options >&2
  cmake --build "$build" --target "$program" -- ${KVASIR_PEER_JOBS:+-j"$KVASIR_PEER_JOBS"} --quiet >&2
fi
echo "$build/bin/$program"
