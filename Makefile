# Every target works on a fresh clone: it installs what it needs into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Extra arguments for pip, for example an index with CPU-only builds of torch.
PIP_ARGS ?=
PYTEST_ARGS ?=
# Extra arguments for pip-audit, for example --ignore-vuln with one that has no remedy yet.
AUDIT_ARGS ?=
# make bench QUICK=1: a short run of each, to see that it works.
QUICK ?=
SEED ?= 1
ROWS ?=
MINUTES ?= 10
day: MINUTES = 5
LEAK_KIB ?= 0
# make observability: where your operators read docs/runbooks.md, and where the files go.
RUNBOOKS ?=
OBSERVABILITY ?= out/observability
bench = @mkdir -p out/bench && $(BIN)/python -m benchmarks.$(1) --json out/bench/$(1)$(2).json $(3)
short = $(if $(QUICK),--quick)

.DEFAULT_GOAL := help
.PHONY: help install up demo cluster day test test-quick gpu-test faults screenshots soak observability bench bench-engine bench-system bench-gateway \
	bench-latency bench-traces bench-scaling bench-scale bench-growth bench-claim bench-busy bench-eta bench-long bench-gpu lint format clean

help: ## List every target with a sentence
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

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

cluster: $(VENV)/.test ## Run a cluster with two gateways behind one port, S3 over HTTP and Prometheus until Ctrl-C
	@sh tests/observability/fetch_programs.sh
	@exec $(BIN)/python -m tests.day --stay

day: $(VENV)/.test ## Live through a day of such a cluster (six minutes): burst, death, upgrade, restart; MINUTES=5 SEED=1 QUICK=1
	@sh tests/observability/fetch_programs.sh
	@mkdir -p out/day && $(BIN)/python -m tests.day --minutes $(MINUTES) --seed $(SEED) --json out/day/day-$(SEED).json --keep out/day/kept-$(SEED) $(short)

test: $(VENV)/.test ## Run every test that needs no GPU, against real Redis, Celery, HTTP and Chromium
	@sh tests/browser/install_chromium.sh
	@sh tests/observability/fetch_programs.sh
	@sh tests/integration/operations/fetch_redis_cli.sh
	@sh tests/integration/secure_redis/fetch_redis.sh
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

test-quick: $(VENV)/.test ## Run the unit tests only
	$(BIN)/python -m pytest -n 2 tests/unit $(PYTEST_ARGS)

gpu-test: $(VENV)/.test ## Run the tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu tests/gpu $(PYTEST_ARGS)

faults: $(VENV)/.test ## Try twenty faults against real processes (half an hour); SEED=n, ROWS="1 2"
	@mkdir -p out/faults && $(BIN)/python -m tests.faults --json out/faults/faults-$(SEED).json --keep out/faults/kept-$(SEED) --seed $(SEED) $(short) $(if $(ROWS),--rows $(ROWS))

screenshots: $(VENV)/.test ## Take the README's pictures anew, in the browser of the page's tests
	@sh tests/browser/install_chromium.sh
	$(BIN)/python -m tests.browser.screenshots

soak: $(VENV)/.test ## Submit jobs under random kills and see what grows; MINUTES=10 SEED=1 LEAK_KIB=0
	@mkdir -p out/soak && $(BIN)/python -m tests.faults.soak --minutes $(MINUTES) --seed $(SEED) --leak-kib $(LEAK_KIB) --json out/soak/soak.json --keep out/soak/kept --png out/soak/soak.png

observability: ## Write alert rules and a dashboard that link to your runbooks; RUNBOOKS=https://…
	$(if $(RUNBOOKS),,@echo 'Say where your operators read docs/runbooks.md: make observability RUNBOOKS=https://…'; exit 1)
	@$(PYTHON) -m deploy.alert_links '$(RUNBOOKS)' --to '$(OBSERVABILITY)'

bench: bench-engine bench-system bench-gateway bench-latency bench-traces bench-scaling bench-scale bench-growth bench-claim bench-busy bench-eta bench-long ## Reproduce every figure the README quotes but those of a GPU; QUICK=1 for a short run

bench-engine: $(VENV)/.local ## Measure the engine alone: batches of every size
	$(call bench,engine,,$(short))

bench-system: $(VENV)/.local ## Measure the whole system beside its engine alone, and with a sleeping device
	$(call bench,system,,$(short))
	$(call bench,system,-sleeping,$(short) --engine scripted:sleep_per_audio_s=0.01 --texts $(if $(QUICK),20,200))

bench-gateway: $(VENV)/.local ## Measure accepted jobs a second beside Celery's .delay, and p99 at 200 a second
	@sh benchmarks/install_wrk.sh
	$(call bench,gateway,,$(short))

bench-latency: $(VENV)/.local ## Measure a job that costs nothing, from POST to succeeded
	$(call bench,latency,,$(short))

bench-traces: $(VENV)/.test ## Measure what traces cost the gateway and a lone job
	$(call bench,traces,,$(short))

bench-scaling: $(VENV)/.local ## Measure 1 to 8 synth workers on one backlog
	$(call bench,scaling,,$(short))

bench-scale: $(VENV)/.local ## Measure what one Redis carries: 1 to 64 claimants, 1 to 16 workers
	$(call bench,scale,,$(short))

bench-growth: $(VENV)/.local ## Measure jobs of up to 2,000,000 characters, and up to 100,000 waiting
	$(call bench,growth,,$(short))

bench-claim: $(VENV)/.local ## Measure what a claim costs Redis, and how well batches are filled
	$(call bench,claim,,$(short))

bench-busy: $(VENV)/.local ## Measure the share of the time that a worker's device works
	$(call bench,busy,,$(short))

bench-eta: $(VENV)/.local ## Measure how near a job's estimated end is to its end, alone and beside others
	$(call bench,eta,,$(short))

bench-long: $(VENV)/.local ## Measure the memory a text of 2,000,000 characters needs
	$(call bench,long_text,,$(short))

bench-gpu: $(VENV)/.local ## Measure the engine on this machine's GPU
	$(call bench,gpu,,$(short))

lint: $(VENV)/.test ## Check style, types, the direction of imports and known vulnerabilities
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.audit $(AUDIT_ARGS)

format: $(VENV)/.test ## Rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the virtual environment and caches; jobs and audio in ./data stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
