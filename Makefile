# Two commands matter: `make demo` and `make test`. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REQUIREMENTS := infra/requirements
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test faults lint format types bench native up generate clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

$(BIN)/uv: $(REQUIREMENTS)/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Millrace needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(REQUIREMENTS)/uv.txt
	@touch $@

INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python

$(VENV)/.run: $(REQUIREMENTS)/run.txt pyproject.toml $(BIN)/uv
	@echo "Installing what running needs (about 1 GB, once) ..."
	$(INSTALL) --require-hashes -r $(REQUIREMENTS)/run.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(REQUIREMENTS)/dev.txt $(VENV)/.run
	@echo "Installing what developing needs ..."
	$(INSTALL) --require-hashes -r $(REQUIREMENTS)/dev.txt
	@touch $@

# An environment of its own: the peers want older versions of some packages.
$(VENV)/.bench: $(REQUIREMENTS)/bench.txt pyproject.toml $(BIN)/uv
	@echo "Installing the benchmarks and the peers that they measure beside ours ..."
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(VENV)/bench
	$(BIN)/uv pip install --quiet --python $(VENV)/bench/bin/python --require-hashes -r $(REQUIREMENTS)/bench.txt
	$(BIN)/uv pip install --quiet --python $(VENV)/bench/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(VENV)/.dev ## create .venv with everything a developer needs

demo: $(VENV)/.run ## set up what running needs and run the main job on real data
	$(BIN)/millrace demo

up: $(VENV)/.run ## start the embedded stack with all roles and stay up
	$(BIN)/millrace up

test: $(VENV)/.dev ## run all tests but the long faults (native ones where `make native` has run)
	$(BIN)/pytest --numprocesses 2 --dist loadfile -m "not long" $(PYTEST_ARGS)

faults: native $(VENV)/.dev ## break real servers in every way: all of tests/faults
	MILLRACE_TEST_REQUIRE_NATIVE=1 MILLRACE_TEST_KILLS=20 $(BIN)/pytest tests/faults $(PYTEST_ARGS)

lint: $(VENV)/.dev ## ruff, and its format check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy

native: $(VENV)/.run ## get and cache the real servers outside the tree
	$(BIN)/python -m infra.stack.native

bench: $(VENV)/.bench ## run the benchmarks and print their tables
	$(VENV)/bench/bin/python -m tests.bench

generate: $(VENV)/.dev ## rewrite the generated docs and code
	$(BIN)/python -m tests.generated

clean: ## remove the environment and local data
	rm -rf $(VENV) .millrace .coverage* htmlcov
