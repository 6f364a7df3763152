# The commands of the project. `make demo` and `make test` need Python 3.11+ and make; the rest is installed into .venv.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: demo test lint bench clean
.DEFAULT_GOAL := test

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer on PATH; set PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "make: $(PYTHON) cannot make a virtual environment (Debian: apt-get install python3-venv)" >&2; exit 1; }

$(VENV)/demo.stamp: $(BIN)/python pyproject.toml
	@$(PIP) install --editable '.[rich]'
	@touch $@

$(VENV)/dev.stamp: $(BIN)/python pyproject.toml
	@$(PIP) install --editable '.[dev]'
	@touch $@ $(VENV)/demo.stamp

demo: $(VENV)/demo.stamp  ## the main job on the embedded fake: ranks, a batch followed live, a remote traceback
	@$(BIN)/python examples/demo.py

test: $(VENV)/dev.stamp  ## all tests; the contract suite on the fake, through its commands, and on a real Slurm where its daemons are installed
	$(BIN)/python -m pytest

lint: $(VENV)/dev.stamp  ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/dev.stamp  ## the benchmarks, side by side in one run
	$(BIN)/python -m benchmarks $(ROW)

clean:  ## remove what make made
	rm -rf $(VENV)
