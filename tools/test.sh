#!/usr/bin/env bash
# Every test, check and sanitizer; `make test` and CI run this. Stages can be named: tools/test.sh unit e2e
set -euo pipefail
cd "$(dirname "$0")/.."
export KVASIR_MODELS=${KVASIR_MODELS:-$HOME/.cache/kvasir/models}
export CCACHE_DIR=${CCACHE_DIR:-$HOME/.cache/kvasir/ccache} CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=$PWD
stages=${*:-checks unit speed e2e asan fuzz tsan arm64 tidy}
started=$(date +%s)
say() { printf '\n== %s (after %d s)\n' "$*" $(($(date +%s) - started)); }

configure() {  # a build folder's first configuration takes a while and says nothing: keep its output for failures
  cmake --preset "$1" -DKVASIR_TESTS=ON >"/tmp/kvasir-configure-$$.log" 2>&1 || { cat "/tmp/kvasir-configure-$$.log"; exit 1; }
  rm -f "/tmp/kvasir-configure-$$.log"
}
build() { configure "$1"; cmake --build "$2" ${3:+--target $3} -- --quiet; }
early=
end_early() { [ -z "$early" ] || kill -- "-$early" 2>/dev/null || true; early=; }
trap end_early EXIT
tidy_early() {
  if command -v setsid >/dev/null && command -v chrt >/dev/null; then
    setsid chrt --idle 0 tools/tidy.sh >/dev/null 2>&1 &
    early=$!
  fi
}
tests() { ctest --test-dir "$1" --output-on-failure --no-label-summary "${@:2}" | grep -v '^ *Start'; }

for stage in $stages; do
  case $stage in
    checks)
      say "checks: layers, format"
      python3 tools/check_layers.py
      git ls-files --cached --others --exclude-standard '*.h' '*.cpp' | xargs clang-format-19 --dry-run -Werror
      echo "format: clean"
      ;;
    unit)
      say "unit tests, release build"
      python3 tools/fetch_templates.py
      build release build
      tests build
      ;;
    speed)
      say "speed: shares of this machine's limits"
      build release build kvasir
      bench/run.sh quick
      ;;
    e2e)
      say "end to end: the official clients and Claude Code against the real binary"
      # Clients wait more than they work: what they leave of the CPUs goes to the last stage, which remembers what is done.
      [[ $stages != *tidy* ]] || tidy_early
      tools/e2e.sh
      ;;
    asan)
      say "unit tests under AddressSanitizer and UBSan"
      python3 tools/fetch_templates.py
      build asan build-asan
      # Kernel variants are compared over whole models in the release build; here every kernel runs, once.
      ASAN_OPTIONS=detect_leaks=1 tests build-asan
      ;;
    fuzz)
      say "fuzzing, a short run of each target"
      tools/fuzz.sh 20
      ;;
    tsan)
      say "engine, kv and server under ThreadSanitizer"
      build tsan build-tsan "base_test kv_test engine_test server_test"
      tests build-tsan -R '^(base|kv|engine|server)$'
      ;;
    arm64)
      say "the layers below text, cross-built for arm64 and run under qemu"
      build arm64 build-arm64
      # Cut, batched and threaded prompts are compared over whole models in the release build: emulated, that takes ten minutes.
      GTEST_FILTER='-*Families.LogitsDoNotDependOn*' tests build-arm64
      ;;
    tidy)
      say "clang-tidy"
      end_early
      tools/tidy.sh
      ;;
    *)
      echo "tools/test.sh: no stage '$stage'" >&2
      exit 2
      ;;
  esac
done
say "all passed"
