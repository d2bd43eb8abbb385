# One virtual environment, .venv, for everything. Its stamps say what is installed in it: .run the library alone,
# .dev the tools for tests, lint and docs as well. A stamp is touched only after pip has succeeded.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt

# One process per core with one thread each: PyTorch's threads, when they outnumber the cores, slow it tenfold.
PYTEST_ARGS ?= -n auto --maxprocesses 8
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

.DEFAULT_GOAL := help
.PHONY: help run test test-slow smoke lint bench docs clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 20
	@echo "Variables: PYTHON=python3.12 (makes .venv), PYTEST_ARGS='-k parity' (instead of '$(PYTEST_ARGS)')."
	@echo "On Linux pip takes PyTorch with CUDA (gigabytes); without a GPU, set first:"
	@echo "  export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu"

run: .venv/.run  ## train a network, watch its iteration head emerge, draw it
	@$(BIN)/iterhead run

test: .venv/.dev  ## the tests, all but the slow ones
	@$(PYTEST)

test-slow: .venv/.dev  ## the tests that take minutes
	@$(PYTEST) -m slow --timeout 3600

smoke: .venv/.dev  ## the whole published study at its smallest scale: every figure and claim, in minutes
	@$(BIN)/python -m pytest -m slow tests/studies/test_smoke_study.py --timeout 600

lint: .venv/.dev  ## style, types, the order of imports, unused code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/vulture

bench: .venv/.run  ## speed against the plain twins
	@$(BIN)/iterhead bench

docs: .venv/.dev  ## the pages, into docs/_build/html
	@$(BIN)/sphinx-build -q -n -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean:  ## remove caches and built pages (.venv and runs/ stay)
	rm -rf build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "iterhead needs Python 3.11 or newer, and PYTHON=$(PYTHON) is: $$($(PYTHON) --version 2>&1 | head -n 1);" \
	       "name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "Making .venv with $$($(PYTHON) --version)."
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.run: .venv/.made pyproject.toml constraints.txt
	@echo "Installing iterhead into .venv: a minute or two the first time, more if PyTorch must be downloaded."
	@$(INSTALL) -e .
	@touch $@

.venv/.dev: .venv/.made pyproject.toml constraints.txt
	@echo "Installing iterhead with its tools into .venv: a minute or two the first time."
	@$(INSTALL) -e '.[dev,docs]'
	@touch .venv/.run $@
