# Kvasir. `make serve` builds all and serves the default model; `make test` runs every test. Both install what they need.

MODEL  ?= qwen2.5-coder
PORT   ?= 8081
HOST   ?= 127.0.0.1
PREFIX ?= $(HOME)/.local
ARGS   ?=
export KVASIR_MODELS ?= $(HOME)/.cache/kvasir/models
# One compiler cache for every build here, kept over `make clean`.
export CCACHE_DIR ?= $(HOME)/.cache/kvasir/ccache
export CCACHE_NOHASHDIR = 1
export CCACHE_BASEDIR = $(CURDIR)

model_file.qwen2.5-coder = $(KVASIR_MODELS)/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf
model_file.smollm2       = $(KVASIR_MODELS)/smollm2-135m-instruct-q4_1.gguf
# MODEL may also be the path of any GGUF file.
model_path = $(or $(model_file.$(MODEL)),$(MODEL))

.PHONY: serve build test install models oracle formats-table bench bench-start bench-neighbours bench-many bench-cache bench-session bench-fork bench-agents bench-memory bench-loading bench-loading-types bench-calls bench-bfcl bench-grammar bench-claude bench-lookup format tidy clean setup setup-test help
.DEFAULT_GOAL := help

help:
	@echo "make serve [MODEL=smollm2] [PORT=8081] [ARGS='--api-key KEY']   build, get the model, serve it"
	@echo "make test      every test, check and sanitizer that CI runs"
	@echo "make build     build/kvasir and build/mlx_textgen"
	@echo "make install   put them into PREFIX/bin (default ~/.local/bin)"
	@echo "make bench     speed beside llama.cpp and ik_llama.cpp; make bench-start | bench-neighbours | bench-many   more of it"
	@echo "make oracle    remake the golden files"
	@echo "make formats-table   every format of weights with every family, beside mlx-lm and llama.cpp: docs/benchmarks/formats.md"
	@echo "make bench-cache   the cache's bars: bench-session, bench-fork, bench-agents, bench-memory [ARGS=...]"
	@echo "make bench-calls | bench-bfcl | bench-grammar   the bars of tools: generated calls, BFCL beside llama-server, what a grammar costs"
	@echo "make bench-claude   Claude Code with a real model, one tool turn, beside llama-server"
	@echo "make bench-lookup   decode with and without guesses from the conversation"
	@echo "make format | tidy | clean"

setup:
	@tools/setup.sh build

setup-test:
	@tools/setup.sh test

build/build.ninja: CMakeLists.txt CMakePresets.json | setup
	@cmake --preset release >build-configure.log 2>&1 || { cat build-configure.log; exit 1; }
	@rm -f build-configure.log

build: setup build/build.ninja
	@cmake --build build --target kvasir mlx_textgen

$(model_file.qwen2.5-coder) $(model_file.smollm2): | setup
	@python3 tools/fetch_model.py $(if $(findstring smollm2,$@),smollm2,qwen2.5-coder) $(KVASIR_MODELS)

models: $(model_file.qwen2.5-coder) $(model_file.smollm2)

serve: build $(if $(model_file.$(MODEL)),$(model_file.$(MODEL)))
	@exec build/kvasir serve -m $(model_path) --host $(HOST) -p $(PORT) $(ARGS)

test: setup-test models
	@tools/test.sh

install: build
	install -d $(PREFIX)/bin
	install build/kvasir build/mlx_textgen $(PREFIX)/bin
	@echo "installed into $(PREFIX)/bin; put it on your PATH if it is not"

oracle: setup-test models
	@tools/oracle/run.sh

# docs/benchmarks/formats.md: every format of weights with every family, beside mlx-lm and llama.cpp. ARGS=--resume goes on with a
# run that was cut off.
formats-table: setup-test build/build.ninja
	@cmake --build build --target logits
	@"$$(tools/oracle/python.sh)" tools/oracle/formats_table.py $(ARGS)

bench: build models
	@bench/run.sh $(ARGS)

# More of speed: starts, a busy neighbour, long prompts and many streams.
bench-start bench-neighbours bench-many: bench-%: build models
	@bench/run.sh $* $(ARGS)

# The cache's bars (docs/benchmarks/2026-11-cache.md); each fails when one is missed.
bench-session bench-fork bench-agents bench-memory: bench-%: build models
	@bench/cache.sh $* $(ARGS)

# The bars of tools and structured output (docs/benchmarks/2026-11-tools.md).
bench-calls bench-bfcl bench-grammar bench-claude bench-lookup: bench-%: build models
	@bench/tools.sh $* $(ARGS)

# Memory while loading, of the two models or of ARGS (files and folders in any format).
bench-loading: build models
	@python3 bench/loading.py $(or $(ARGS),$(model_file.qwen2.5-coder) $(model_file.smollm2))

# The same for models of random weights of every type (ARGS: --megabytes, --folder, types).
bench-loading-types: build models
	@python3 bench/loading_types.py $(model_file.smollm2) $(ARGS)

bench-cache:
	@failed=0; for part in fork agents memory session; do $(MAKE) --no-print-directory bench-$$part || failed=1; done; exit $$failed

format:
	@git ls-files '*.h' '*.cpp' | xargs clang-format-19 -i

tidy: build
	@tools/tidy.sh

clean:
	rm -rf build build-rust build-asan build-tsan build-arm64
