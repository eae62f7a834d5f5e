# Every target sets up what it needs. `make` alone prints the list.

PYTHON ?= python3
PORT ?= 8080

BIN := .venv/bin
INSTALLED := .venv/installed
# Each worker collects all tests, also those that it leaves out by their marks.
PYTEST := $(BIN)/pytest -n 4 --dist worksteal --ignore=tests/acceptance
SWEEPS := tests/relay/test_sweeps.py tests/relay/test_failover_sweep.py tests/relay/test_general_sweep.py
# Tests of the whole from outside, which need not be counted: counting takes three times as long.
OUTSIDE := tests/faults tests/failover tests/vendors tests/benchmarks tests/conversations tests/cli \
	tests/protocols/test_matrix.py
WHOLE := gateway/canonical/*,gateway/framing/*,gateway/protocols/*
STRANGERS := .acceptance/clients/installed .acceptance/servers/installed tests/acceptance/node/node_modules/installed
READY := import urllib.request as u; u.build_opener(u.ProxyHandler({})).open("http://127.0.0.1:$(PORT)/readyz", timeout=1)

# With it each process would compile all that it imports, and pytest rewrite all its files, each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test coverage sweeps lint format acceptance programs bench soak clean

help: ## this list
	@echo "make TARGET [PORT=$(PORT)] [PYTHON=$(PYTHON)]"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(INSTALLED) ## the gateway on 127.0.0.1:PORT with simulated vendors; Ctrl-C ends it
	@$(BIN)/gateway serve --config config/demo.toml --port $(PORT) & gateway=$$!; \
	trap 'kill $$gateway 2>/dev/null; wait $$gateway; exit 0' INT TERM; \
	until $(BIN)/python -c '$(READY)' 2>/dev/null; do kill -0 $$gateway 2>/dev/null || exit 1; sleep 0.1; done; \
	kill -0 $$gateway 2>/dev/null || exit 1; \
	echo; \
	echo "Ready. In another terminal:"; \
	echo; \
	for body in '{"route":"dynamiq","content":"Hello"}' '{"route":"chatbase","content":"Hello"}' \
		'{"route":"dimedove","content":"Hello"}' '{"route":"hardwire","content":"Hello"}' \
		'{"route":"sema4","content":"Hello"}' '{"route":"sema4","content":"Hello","stream":false}'; do \
		echo "  curl -N http://127.0.0.1:$(PORT)/v1/messages -H 'Content-Type: application/json' -d '$$body'"; \
	done; \
	echo; \
	wait $$gateway

test: $(INSTALLED) ## the tests that need no other program
	$(PYTEST) $(SWEEPS:%=--ignore=%)

coverage: $(INSTALLED) ## how much of the code the tests from inside run
	$(BIN)/coverage erase
	$(PYTEST) $(SWEEPS:%=--ignore=%) $(OUTSIDE:%=--ignore=%) --cov --cov-report=term --cov-fail-under=90
	$(BIN)/coverage report --include='$(WHOLE)' --fail-under=100

sweeps: $(INSTALLED) ## every byte of every stream, and many more examples of each property test
	$(PYTEST) -m "sweep or hypothesis" --hypothesis-profile=thorough

lint: $(INSTALLED) ## formatting, ruff, mypy
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(INSTALLED) ## mends what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

acceptance: $(INSTALLED) programs $(STRANGERS) ## tests with official clients, real servers, a browser; installs what they need
	$(BIN)/pytest -m acceptance tests/acceptance

# What others wrote: programs from apt-get, which needs root; clients and servers at the versions of their lock files.
programs:
	@missing=; for each in promtool:prometheus chromium:chromium npm:npm; do \
		command -v "$${each%:*}" >/dev/null || missing="$$missing $${each#*:}"; \
	done; [ -z "$$missing" ] || { \
		[ "$$(id -u)" = 0 ] || { echo "missing: as root, apt-get install$$missing" >&2; exit 1; }; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing; \
	}

.acceptance/%/installed: tests/acceptance/%/requirements.lock | $(INSTALLED)
	$(PYTHON) -m venv --clear .acceptance/$*
	.acceptance/$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

tests/acceptance/node/node_modules/installed: tests/acceptance/node/package-lock.json | programs
	npm ci --prefix tests/acceptance/node --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

bench: $(INSTALLED) ## microseconds of CPU per event and per stream, beside a raw pass-through
	$(BIN)/python tests/benchmarks/bench.py

soak: $(INSTALLED) ## tests that run for minutes
	$(BIN)/pytest -m soak

clean: ## removes what was installed and measured
	rm -rf .venv .acceptance tests/acceptance/node/node_modules
	rm -rf .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find gateway tests -name __pycache__ -prune -exec rm -rf {} +

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is $$($(PYTHON) --version 2>&1), and 3.11 or newer is needed: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make environments: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
