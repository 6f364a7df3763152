# The commands of the project. `make demo` and `make test` need Python 3.11+ and make; the rest is installed into .venv.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
# How many tests run at a time: most wait for Slurm. JOBS=0 runs them in one process (for a debugger).
JOBS ?= 4
# What runs a command in another system than this one; empty for this one.
SYSTEM :=
PIP := $(SYSTEM) $(BIN)/python -m pip --quiet --disable-pip-version-check
VENV13 := .venv-24.11

# Every process would compile what it imports, of which a test run starts tens of thousands.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-24.11 lint fidelity bench bench-quick differential properties mutants clean
.DEFAULT_GOAL := test

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer on PATH; set PYTHON=/path/to/python3" >&2; exit 1; }
	@$(SYSTEM) $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "make: $(PYTHON) cannot make a virtual environment (Debian: apt-get install python3-venv)" >&2; exit 1; }

$(VENV)/demo.stamp: $(BIN)/python pyproject.toml
	@$(PIP) install --editable '.[rich]'
	@touch $@

$(VENV)/dev.stamp: $(BIN)/python pyproject.toml
	@$(PIP) install --editable '.[dev]'
	@touch $@ $(VENV)/demo.stamp

demo: $(VENV)/demo.stamp  ## the main job on the embedded fake: ranks, a batch followed live, a remote traceback
	@$(BIN)/python examples/demo.py

test: $(VENV)/dev.stamp  ## all tests; the contract suite on the fake, through its commands, and on a real Slurm where its daemons are installed
	$(SYSTEM) $(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

test-24.11: $(VENV)/dev.stamp  ## the same on Slurm 24.11 and Python 3.13, in a Debian 13 system; skipped, with the reason and the count, where there can be none
	@tools/debian13 true || { test $$? = 69 || exit 1; \
		echo "SKIPPED on Slurm 24.11: $$($(BIN)/python -m pytest --collect-only -q $(ARGS) | tail -n 1)"; exit; }; \
	$(MAKE) --no-print-directory test SYSTEM=tools/debian13 PYTHON=python3 VENV=$(VENV13) ARGS='--slurm-version=24.11 $(ARGS)'

lint: $(VENV)/dev.stamp  ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fidelity: $(VENV)/dev.stamp  ## write docs/fidelity.md: what of Slurm's manual the fake supports
	$(BIN)/python -m fakeslurm.fidelity docs/fidelity.md

$(VENV)/bench.stamp: $(VENV)/dev.stamp
	@$(PIP) install --editable '.[bench]'
	@touch $@

bench: $(VENV)/bench.stamp  ## the benchmarks, side by side with the peers from PyPI in one run, into docs/performance.md; ROW=3: one of them
	$(BIN)/python -m benchmarks $(ROW)

bench-quick: $(VENV)/bench.stamp  ## the same with few rounds, in less than three minutes; writes nothing
	$(BIN)/python -m benchmarks --quick $(ROW)

EXAMPLES ?= 1000
CLUSTERS ?= 2
differential: $(VENV)/dev.stamp  ## generated commands on the fake and on a real Slurm: EXAMPLES=5000 [SEED=7] [VERSION=24.11] [CLUSTERS=4]
	$(BIN)/python -m fakeslurm.differential --examples $(EXAMPLES) --clusters $(CLUSTERS) $(if $(SEED),--seed $(SEED)) $(if $(VERSION),--version $(VERSION))

properties: $(VENV)/dev.stamp  ## every property test, with many examples (for the night): EXAMPLES=1000 [SEED=7]; a failure prints the line that replays it
	$(SYSTEM) $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m hypothesis tests --timeout=0 --examples=$(EXAMPLES) $(if $(SEED),--hypothesis-seed=$(SEED)) $(ARGS)

MUTANTS ?= slurmkit.* fakeslurm.*
mutants: $(VENV)/dev.stamp  ## change the code at random and see whether a test notices: MUTANTS="slurmkit.polling.*"; takes hours for all of it
	@$(PIP) install --editable '.[mutants]'
	$(BIN)/mutmut run $(foreach part,$(MUTANTS),"$(part)")
	@$(BIN)/mutmut results

clean:  ## remove what make made
	rm -rf $(VENV) $(VENV13) .venv-peers mutants
