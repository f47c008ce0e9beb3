#!/usr/bin/env bash
# Installs Claude Code, pinned, where it is not there yet, and prints its path.
set -euo pipefail
cache=${KVASIR_E2E_CACHE:-$HOME/.cache/kvasir/e2e}
version=2.1.328
claude=$cache/claude-$version/node_modules/.bin/claude
if ! [ -x "$claude" ]; then
  echo "installing Claude Code $version" >&2
  npm install --silent --no-audit --no-fund --prefix "$cache/claude-$version" "@anthropic-ai/claude-code@$version" >&2
fi
echo "$claude"
