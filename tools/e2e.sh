#!/usr/bin/env bash
# End-to-end tests: the official Python and TypeScript clients and Claude Code itself against build/kvasir. Extra arguments go to
# pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${KVASIR_E2E_CACHE:-$HOME/.cache/kvasir/e2e}
python=$(tools/python.sh)
KVASIR_CLAUDE=$(tools/claude.sh)
export KVASIR_CLAUDE
sdk_version=1.13.0
export KVASIR_ANTHROPIC_SDK=$cache/anthropic-sdk-$sdk_version
if ! [ -d "$KVASIR_ANTHROPIC_SDK/node_modules/@anthropic-ai/sdk" ]; then
  echo "e2e: installing Anthropic's TypeScript client $sdk_version"
  npm install --silent --no-audit --no-fund --prefix "$KVASIR_ANTHROPIC_SDK" "@anthropic-ai/sdk@$sdk_version"
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
