# One virtual environment, .venv, for everything. Stamp files in it record what is installed: .run is the library alone,
# .dev adds the tools for tests, lint and docs. A stamp is touched only after pip has succeeded.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt

# One process per core with one thread each: more PyTorch threads than cores make it ten times slower.
PYTEST_ARGS ?= -n auto --maxprocesses 8
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

.DEFAULT_GOAL := help
.PHONY: help run test test-slow test-faults smoke lint bench docs audit clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 20
	@echo "Variables: PYTHON=python3.12 (creates .venv), PYTEST_ARGS='-k parity' (replaces '$(PYTEST_ARGS)')."
	@echo "On Linux, pip installs PyTorch with CUDA (gigabytes). Without a GPU, first:"
	@echo "  export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu"

run: .venv/.run  ## train a network, watch its iteration head emerge, draw it: about a minute
	@$(BIN)/iterhead run

test: .venv/.dev  ## run the tests, except the slow ones: minutes
	@$(PYTEST)

test-slow: .venv/.dev  ## run the tests that take minutes each
	@$(PYTEST) -m slow --timeout 3600

test-faults: .venv/.dev  ## kill, stop and starve it by the thousand, and count what is lost: many minutes
	@$(PYTEST) -m faults --timeout 1200 --dist worksteal tests/faults

smoke: .venv/.dev  ## run the whole published study at its smallest scale: every figure and claim, in minutes
	@$(BIN)/python -m pytest -m slow tests/studies/test_smoke_study.py --timeout 600

lint: .venv/.dev  ## check style, types, the direction of imports, unused code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/vulture

bench: .venv/.run  ## time the fast paths against their plain twins: minutes
	@$(BIN)/iterhead bench

docs: .venv/.dev  ## build the documentation into docs/_build/html
	@$(BIN)/sphinx-build -q -n -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# --strict: a version that the database does not know is an error, and not silently well.
audit: .venv/.made  ## ask PyPI for known vulnerabilities of every pinned package; needs pypi.org
	@$(BIN)/python -m venv .venv/audit
	@.venv/audit/bin/pip install -q --disable-pip-version-check pip-audit
	@.venv/audit/bin/pip-audit --strict --disable-pip --no-deps -r constraints.txt

clean:  ## remove caches and built pages (keeps .venv and runs/)
	rm -rf build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "iterhead needs Python 3.11 or newer. PYTHON=$(PYTHON) is: $$($(PYTHON) --version 2>&1 | head -n 1)." \
	       "Choose another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "Creating .venv with $$($(PYTHON) --version)."
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.run: .venv/.made pyproject.toml constraints.txt
	@echo "Installing iterhead into .venv: a minute or two the first time, more if PyTorch must be downloaded."
	@$(INSTALL) -e .
	@touch $@

.venv/.dev: .venv/.made pyproject.toml constraints.txt
	@echo "Installing iterhead with its tools into .venv: a minute or two the first time."
	@$(INSTALL) -e '.[dev,docs,hf]'
	@touch .venv/.run $@
