# What a person runs. Each target sets up what it needs: the virtual environment, the compiled engine,
# the sources that the tests build. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first Python that runs and is 3.11 or newer: a version manager's shim exists also where its Python does not.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 /usr/bin/python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
CC ?= cc
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
TESTS ?= tests/unit tests/kernel tests/system tests/fidelity tests/escape tests/races
# One worker a CPU; TEST_JOBS=0 runs the tests one after the other in one process (for --pdb).
TEST_JOBS ?= auto
PARALLEL = -n $(TEST_JOBS) --dist worksteal
PYTEST_ARGS ?=
BENCH_ARGS ?=

C_SOURCES := $(wildcard capwrap/engine/*.[cS] rewriters/*.c)
C_HEADERS := $(wildcard capwrap/engine/*.h rewriters/*.h rewriters/generated/*.h)
TABLES := $(wildcard rewriters/*.tbl)
# The C that people write: no generated file, and no assembly.
OWN_C := $(filter-out rewriters/generated/% capwrap/engine/_% %.S,$(C_SOURCES) $(C_HEADERS))
TEST_C := $(wildcard tests/programs/*/*.[ch] tests/fuzz/*.[ch] bench/programs/*.c examples/*/*.[ch] examples/*/*/*.[ch])
MAN := $(wildcard man/*.[1-8])
INSTALL_STAMP := $(VENV)/.installed
BUILD_STAMP := $(VENV)/.built
PACKAGE := $(wildcard capwrap/*.py capwrap/*/*.py)
PYTHON_SOURCES = $(wildcard capwrap tests bench rewriters examples setup.py)
# rewriters is no package; examples/pytest has a module of the same name as tests, and is checked by itself.
MYPY_SOURCES = $(wildcard capwrap tests bench rewriters/generate.py setup.py)

.PHONY: help
help:
	@echo 'make demo      compile a C program confined, run it confined, see one refusal explained'
	@echo 'make test      unit, kernel, system, fidelity, escape and race tests (PYTEST_ARGS="-k name" for some of them)'
	@echo 'make test-long the same, the suites of other programs, a soak, and a supervisor killed at thousands of moments'
	@echo 'make lint      ruff, mypy, gcc and clang without a warning, clang-format, clang-tidy, generated files, man pages'
	@echo 'make format    bring Python and C into the layout that lint asks for'
	@echo 'make bench     measure capwrap against native and the peers found here (BENCH_ARGS=--quick)'
	@echo 'make fuzz      fuzz the rewriters, the decoders of untrusted bytes, and a target by random calls (FUZZ_SECONDS=60)'
	@echo 'make sanitize  system tests on an engine built with ASan and UBSan'
	@echo 'make man-lint  mandoc lint of the man pages alone'
	@echo 'make build     the virtual environment and the engine only'
	@echo 'make clean     remove everything that was built'

need = command -v $(1) >/dev/null || { echo 'capwrap: $(1) is not on this machine: install the package $(2)' >&2; exit 1; }

# --- the virtual environment and the engine -------------------------------------------------------------------------

.PHONY: build
build: $(BUILD_STAMP)

.PHONY: check-tools
check-tools:
	@[ -n '$(PYTHON)' ] || { echo 'capwrap: no Python 3.11 or newer found: install one (Debian: python3 python3-dev python3-venv), or make PYTHON=/path/to/python3' >&2; exit 1; }
	@[ "$$(uname -sm)" = 'Linux x86_64' ] || { echo "capwrap: this is $$(uname -sm), and capwrap runs on Linux x86_64 only" >&2; exit 1; }
	@command -v $(CC) >/dev/null || { echo 'capwrap: no C compiler "$(CC)": install one (Debian: gcc), or make CC=clang' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo 'capwrap: $(PYTHON) cannot make virtual environments: install its venv module (Debian: python3-venv)' >&2; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || { echo 'capwrap: Python.h of $(PYTHON) is missing: install its headers (Debian: python3-dev)' >&2; exit 1; }
	@echo '#include <linux/seccomp.h>' | $(CC) -E -o /dev/null - 2>/dev/null || { echo 'capwrap: the kernel headers are missing: install them (Debian: linux-libc-dev)' >&2; exit 1; }

$(VENV)/pyvenv.cfg: | check-tools
	$(PYTHON) -m venv $(VENV)

# setup.py regenerates nothing: generated files are in the repository, and `make lint` proves them fresh.
$(INSTALL_STAMP): $(VENV)/pyvenv.cfg pyproject.toml $(wildcard setup.py) $(C_SOURCES) $(C_HEADERS) $(TABLES) capwrap/engine/build.py
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@

# Bytecode, for where PYTHONDONTWRITEBYTECODE is set, as it is in many containers: without it every start compiles
# what it imports. Python passes over what is older than its source, so an edit needs no build.
$(BUILD_STAMP): $(INSTALL_STAMP) $(PACKAGE)
	$(BIN)/python -m compileall -q capwrap
	touch $@

SOURCES_DIR = $(or $(CAPWRAP_SOURCES),.cache/sources)

.PHONY: sources
sources:
	@.ci/sources '$(SOURCES_DIR)'

# --- what a person runs ---------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(BUILD_STAMP)
	@PATH="$$PWD/$(BIN):$$PATH" examples/demo/demo.sh

.PHONY: test
test: $(BUILD_STAMP) sources
	$(PYTEST) $(PARALLEL) -m 'not suites' $(PYTEST_ARGS) $(wildcard $(TESTS))

.PHONY: test-long
test-long: $(BUILD_STAMP) sources
	@$(call need,bash,bash)
	@$(call need,perl,perl)
	@$(call need,git,git)
	CAPWRAP_CHANGED=20000 CAPWRAP_FUZZ_SECONDS=75 CAPWRAP_LINKS=10000 CAPWRAP_MOMENTS=60 CAPWRAP_SOAK_SECONDS=300 \
		$(PYTEST) $(PARALLEL) $(PYTEST_ARGS) $(wildcard $(TESTS))

.PHONY: bench
bench: $(BUILD_STAMP)
	$(BIN)/python -m bench $(BENCH_ARGS)

# Each tests/fuzz/NAME.c is a libFuzzer target over the rewriters, which are freestanding. Inputs that were found stay in
# build/fuzz/NAME, so that the next run goes on from them; a crash is written there and ends the run. Those in
# tests/fuzz/found/NAME failed once, and are tried first. Random calls of a confined process are a test, made here for longer.
# Each run begins from another seed, unless FUZZ_SEED names one. With FUZZ_RUNS a fuzzer makes so many inputs, whatever time
# they take and whatever earlier runs found: of one seed, one compiler and one source always the same.
FUZZ_SECONDS ?= 60
FUZZ_SEED ?= $(shell date +%s)
FUZZ_RUNS ?=
# Addresses are among what a fuzzer learns from: there they are to be the same, too, where the machine permits it.
FUZZ_STILL = $(if $(FUZZ_RUNS),env -i $(shell setarch -R true 2>/dev/null && echo setarch -R))
FUZZ_NAMES := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
FUZZ_FLAGS := -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
FUZZED := $(wildcard rewriters/*.c)

build/fuzz/%.bin: tests/fuzz/%.c $(wildcard tests/fuzz/*.h) $(FUZZED) $(C_HEADERS)
	@$(call need,clang,clang)
	mkdir -p build/fuzz/$*
	clang $(FUZZ_FLAGS) -I. $< $(FUZZED) -o $@

# Real policies, with a path to look up, as the image fuzzer wants its input.
build/fuzz/image/seed: $(BUILD_STAMP)
	mkdir -p $(@D)
	$(BIN)/capwrap compile --profile base --deny '/usr/**/*.key' -o build/fuzz/seed.cap
	{ printf '/usr/include/stdio.h\0'; cat build/fuzz/seed.cap; } >$@

.PHONY: fuzz $(FUZZ_NAMES:%=fuzz-%)
$(FUZZ_NAMES:%=fuzz-%): fuzz-%: build/fuzz/%.bin build/fuzz/image/seed
	found=(tests/fuzz/found/$*/*); [ ! -e "$${found[0]}" ] || $< "$${found[@]}"
	mkdir -p build/fuzz/$*
	$(FUZZ_STILL) $< -seed=$(FUZZ_SEED) -timeout=10 -max_len=200000 -print_final_stats=1 -artifact_prefix=build/fuzz/$*/ \
		$(if $(FUZZ_RUNS),-runs=$(FUZZ_RUNS) -reload=0 $(addprefix -seed_inputs=,$(wildcard build/fuzz/$*/seed)), \
			-max_total_time=$(FUZZ_SECONDS) build/fuzz/$*)

fuzz: $(FUZZ_NAMES:%=fuzz-%)
	CAPWRAP_FUZZ_SECONDS=$(FUZZ_SECONDS) CAPWRAP_FUZZ_SEED=$(FUZZ_SEED) $(PYTEST) -q tests/races/test_fuzz_calls.py

# --- the engine under sanitizers ------------------------------------------------------------------------------------

SANITIZED := build/sanitize/capwrap-exec
SANITIZE_FLAGS := -std=gnu11 -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
SANITIZE_TESTS ?= tests/system/test_real_files.py tests/system/test_real_binutils.py tests/system/test_real_compilers.py \
	tests/system/test_run_pointers.py tests/system/test_run_exec.py

$(SANITIZED): $(C_SOURCES) $(C_HEADERS)
	mkdir -p $(@D)
	$(CC) $(SANITIZE_FLAGS) -I. -pthread $(filter-out capwrap/engine/_%,$(C_SOURCES)) -o $@

.PHONY: sanitize
sanitize: $(BUILD_STAMP) $(SANITIZED)
	CAPWRAP_EXEC="$$PWD/$(SANITIZED)" ASAN_OPTIONS=abort_on_error=1 $(PYTEST) $(PARALLEL) $(PYTEST_ARGS) $(SANITIZE_TESTS)

# --- lint -----------------------------------------------------------------------------------------------------------

WARNED := -std=gnu11 -O2 -pthread -Wall -Wextra -Wshadow -Wconversion -Werror -I.
# clang-tidy --quiet still counts the warnings that it does not show, those of the system's headers.
# Every source by itself, as many at a time as there are processors.
own_sources = printf '%s\n' $(filter %.c,$(OWN_C)) | xargs -P "$$(nproc)" -I '{}'

.PHONY: lint
lint: $(BUILD_STAMP) man-lint
	@$(call need,gcc,gcc)
	@$(call need,clang,clang)
	@$(call need,clang-format,clang-format)
	@$(call need,clang-tidy,clang-tidy)
	$(BIN)/ruff check $(PYTHON_SOURCES)
	$(BIN)/ruff format --check $(PYTHON_SOURCES)
	$(BIN)/mypy --strict $(MYPY_SOURCES)
	$(BIN)/mypy --strict examples/pytest
	$(BIN)/python rewriters/generate.py --check
	$(BIN)/python tests/attacks.py --check
	clang-format --dry-run -Werror $(OWN_C) $(TEST_C)
	$(own_sources) gcc $(WARNED) -S -o /dev/null '{}'
	$(own_sources) clang $(WARNED) -S -o /dev/null '{}'
	$(own_sources) clang-tidy --quiet '{}' -- -std=gnu11 -I. -pthread 2>&1 | \
		{ grep -vE '^[0-9]+ warnings? generated\.$$' || true; }

.PHONY: format
format: $(BUILD_STAMP)
	$(BIN)/ruff check --fix-only --quiet $(PYTHON_SOURCES)
	$(BIN)/ruff format $(PYTHON_SOURCES)
	clang-format -i $(OWN_C) $(TEST_C)

# Not -W style: that looks every reference up in the machine's database of manual pages, which need not be there.
.PHONY: man-lint
man-lint:
	@$(call need,mandoc,mandoc)
	mandoc -T lint -W warning $(MAN)

.PHONY: clean
clean:
	rm -rf $(VENV) build dist *.egg-info .hypothesis .pytest_cache .mypy_cache .ruff_cache examples/demo/build
	rm -f capwrap/engine/_*.so capwrap/engine/_*.c
	find capwrap tests bench rewriters -name __pycache__ -type d -prune -exec rm -rf {} +
