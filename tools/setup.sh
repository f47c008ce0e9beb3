#!/usr/bin/env bash
# Installs what is missing on a Debian or Ubuntu machine: tools/setup.sh build|test. Says what it does; does nothing,
# at once, when all is there. On macOS it asks Homebrew.
set -euo pipefail
want=${1:-build}
here=$(cd "$(dirname "$0")" && pwd)

if [ "$(uname)" = Darwin ]; then
  command -v brew >/dev/null || { echo "setup: install Homebrew first (https://brew.sh), then run this again" >&2; exit 1; }
  for p in cmake ninja ccache boost curl openssl cli11 spdlog fmt xxhash tomlplusplus yaml-cpp rust googletest rapidcheck; do
    brew list "$p" >/dev/null 2>&1 || brew install "$p"
  done
  exit 0
fi
command -v apt-get >/dev/null || { echo "setup: no apt-get here; install the packages of tools/packages.txt by hand" >&2; exit 1; }

missing=()
while read -r name what; do
  case "$name" in ''|'#'*) continue ;; esac
  [ "$what" = build ] || [ "$want" = test ] || continue
  # npm may come with another Node.js than Debian's.
  if [ "$name" = npm ] && command -v npm >/dev/null; then continue; fi
  dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
done <"$here/packages.txt"
# A Rust of 1.85 or newer: what is on the PATH, else Debian's.
cargo_runs() { command -v "$1" >/dev/null && "$1" --version >/dev/null 2>&1; }
if ! cargo_runs cargo && ! cargo_runs /usr/bin/cargo; then missing+=(cargo-web rustc-web); fi

if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: installing ${missing[*]}"
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
