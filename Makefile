# Every target works on a fresh clone: it installs what it needs into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Extra arguments for pip, for example an index with CPU-only builds of torch.
PIP_ARGS ?=
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install up demo test test-quick gpu-test bench bench-long lint format clean

help: ## List every target with a sentence
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 12)) and "Python 3.11 or 3.12 is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip -c constraints.txt $(PIP_ARGS)

$(VENV)/.local: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing pinned packages into $(VENV) (minutes, once) …"
	$(BIN)/python -m pip install --quiet -c constraints.txt $(PIP_ARGS) -e '.[local]'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing pinned packages for the tests into $(VENV) (minutes, once) …"
	$(BIN)/python -m pip install --quiet -c constraints.txt $(PIP_ARGS) -e '.[local,ja,zh,test]'
	@touch $@ $(VENV)/.local

install: $(VENV)/.local ## Install everything that `make up` needs into .venv

up: $(VENV)/.local ## Run the whole cluster on this machine until Ctrl-C
	@exec $(BIN)/kokoro-cluster up

demo: $(VENV)/.local ## Run the cluster, speak one text into ./out, and end
	@exec $(BIN)/kokoro-cluster demo

test: $(VENV)/.test ## Run every test that needs no GPU, against real Redis, Celery and HTTP
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

test-quick: $(VENV)/.test ## Run the unit tests only
	$(BIN)/python -m pytest -n 2 tests/unit $(PYTEST_ARGS)

gpu-test: $(VENV)/.test ## Run the tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu tests/gpu $(PYTEST_ARGS)

bench: bench-long ## Reproduce every figure the README quotes

bench-long: $(VENV)/.local ## Measure the memory a text of 2,000,000 characters needs
	$(BIN)/python -m benchmarks.long_text

lint: $(VENV)/.test ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.test ## Rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the virtual environment and caches; jobs and audio in ./data stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
