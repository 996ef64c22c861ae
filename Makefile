# Everything a newcomer needs: `make up`, `make test`. Nothing but Python >= 3.11, make and git is assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help venv needed up down test faults conformance lint types unit integration bench docs clean

help:
	@echo 'make up      a running cluster'
	@echo 'make down    stop it'
	@echo 'make test    lint, types, tests (real binaries are built once and cached)'
	@echo 'make faults  every fault that a check knows, made for real: some ten minutes'
	@echo "make conformance   Kubernetes' own conformance tests on a node of ours: two hours"
	@echo 'make venv    .venv with kubedoctor (editable) and the development tools'

$(VENV)/.made: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	touch $@

venv: $(VENV)/.made

# As root, what the machine lacks for a node is installed; an ordinary user is told, and gets what is possible.
up: venv
	-@if [ "$$(id -u)" = 0 ]; then $(BIN)/kubedoctor setup --yes --quiet; fi
	$(BIN)/kubedoctor up

down: venv
	$(BIN)/kubedoctor down

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/mypy

# Two at a time: more would not be sooner on the smallest machines, and some look at what the whole machine has.
unit: venv
	$(BIN)/pytest --ignore tests/integration --numprocesses 2 --dist loadfile

# Two workers, each on a machine of its own: tests compare all of it before and after. There is no network in there.
APART := --dist loadfile --no-loadscope-reorder --tx '2*popen//python=$(BIN)/python tests/support/apart.py'

needed: venv
	PYTHONPATH=tests $(BIN)/python -m support.provided

integration: needed
	$(BIN)/pytest tests/integration --ignore tests/integration/faults -m 'not faults' $(APART)

test: lint types unit integration

faults: needed
	$(BIN)/pytest tests/integration -m faults $(APART)

conformance: venv
	$(BIN)/python tests/conformance/run.py

bench: venv
	$(BIN)/python benchmarks/up.py

docs: venv
	$(BIN)/python -m kubedoctor.reference

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache
