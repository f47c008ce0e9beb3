#!/usr/bin/env bash
# End-to-end tests: the official Python clients and Claude Code itself against build/kvasir. Extra arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${KVASIR_E2E_CACHE:-$HOME/.cache/kvasir/e2e}
python=$(tools/python.sh)
claude_version=2.1.328
export KVASIR_CLAUDE=$cache/claude-$claude_version/node_modules/.bin/claude
if ! [ -x "$KVASIR_CLAUDE" ]; then
  echo "e2e: installing Claude Code $claude_version"
  npm install --silent --no-audit --no-fund --prefix "$cache/claude-$claude_version" "@anthropic-ai/claude-code@$claude_version"
fi
# The other agents that `kvasir codex|opencode|qwen` launch, pinned as well.
for client in codex:@openai/codex@0.169.0 opencode:opencode-ai@1.18.33 qwen:@qwen-code/qwen-code@0.24.4; do
  name=${client%%:*} package=${client#*:}
  folder=$cache/$name-${package##*@}
  if ! [ -x "$folder/node_modules/.bin/$name" ]; then
    echo "e2e: installing $package"
    npm install --silent --no-audit --no-fund --prefix "$folder" "$package"
  fi
  export "KVASIR_${name^^}=$folder/node_modules/.bin/$name"
done
[ -x build/kvasir ] || { echo "e2e: build first (make build)" >&2; exit 1; }
"$python" -m pytest tests/e2e -q -p no:cacheprovider "$@"
