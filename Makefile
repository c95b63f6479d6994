# Two commands do everything: make demo, make test.
PYTHON ?= python3
BIN := .venv/bin
# Empty on purpose for CI machines with their own package index settings.
PIP := $(BIN)/pip --disable-pip-version-check
# A file at a time on each core, in the order conftest.py puts them.
AT_ONCE := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: demo up test test-fast check format screenshots clean

demo: .venv/ready
	@$(BIN)/mlops-assets demo

up: .venv/ready
	@$(BIN)/mlops-assets up

test: .venv/dev check
	$(BIN)/pytest $(AT_ONCE)

test-fast: .venv/dev
	$(BIN)/pytest $(AT_ONCE) -m "not slow and not browser"

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

screenshots: .venv/dev
	$(BIN)/python docs/images/take.py

.venv/ready: pyproject.toml constraints.txt
	@command -v $(PYTHON) > /dev/null || { echo "python3 is needed, 3.11 to 3.13"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "Python 3.11 to 3.13 is needed; set PYTHON=python3.12 or the like"; exit 2; }
	@echo "Installing into .venv (once, one to three minutes)"
	@$(PYTHON) -m venv .venv
	@$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/dev: .venv/ready
	@echo "Installing what tests need"
	@$(PIP) install --quiet --upgrade "pip>=25.1"
	@$(PIP) install --quiet --constraint constraints.txt --group dev --editable ".[k8s]"
	@touch $@

clean:
	rm -rf .venv .mlops
