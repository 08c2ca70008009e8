# Yidang 一档. `make help` lists what there is to make.

PYTHON ?= python3.11
HOST   ?= 127.0.0.1
PORT   ?= 8080
# The demonstration's folder, how many residents it has, and files to load beside it as the county hospital's.
DEMO      ?= demo-data
RESIDENTS ?= 60
PEOPLE    ?=
# Extra words for pytest: make test ARGS="tests/search -x"
ARGS   ?=

BIN     := .venv/bin
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes
# Should uv be of no use on this machine, pip does the same, slower.
PIP     := $(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes

.PHONY: help install demo test browser lint format bench lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.installed ## .venv with the command .venv/bin/yidang

demo: install ## build the demonstration alliance and serve it on http://127.0.0.1:8080/fhir
	$(BIN)/yidang demo --data $(DEMO) --residents $(RESIDENTS) --host $(HOST) --port $(PORT) --serve $(PEOPLE)

test: .venv/.test-installed browser ## every test
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

# Where it cannot be installed (no Debian, or not as root) the page tests fail and say so.
browser: ## Chromium and Chinese letters for the tests of the pages, installed where they are missing
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
		|| { apt-get update -qq && apt-get install -y -qq chromium fonts-wqy-microhei; } >/dev/null 2>&1 \
		|| echo "Chromium is missing and could not be installed: apt-get install chromium fonts-wqy-microhei (as root)" >&2

lint: .venv/.test-installed ## format, lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.test-installed ## put the code into the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.test-installed ## the benchmark (at most 5 minutes); see docs/performance.md
	$(BIN)/python -m bench
	$(BIN)/python -m bench --consent

# Pins every dependency, with hashes, after pyproject.toml was changed. UPGRADE=--upgrade takes newer versions.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links $(UPGRADE) pyproject.toml
lock: .venv/.installed ## pin the dependencies anew after a change of pyproject.toml
	$(COMPILE) -o requirements.txt
	$(COMPILE) --extra test -o requirements-test.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --no-emit-find-links $(UPGRADE) --group build -o requirements-build.txt

clean: ## remove what make made (the demonstration's store too)
	rm -rf .venv $(DEMO) build .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/.created:
	@command -v $(PYTHON) >/dev/null || { echo "python3.11 or newer is needed; name it with make PYTHON=…" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.build-installed: requirements-build.txt .venv/.created
	$(PIP) -r requirements-build.txt
	@touch $@

.venv/.installed: requirements.txt pyproject.toml .venv/.build-installed
	$(INSTALL) -r requirements.txt || $(PIP) -r requirements.txt
	$(PIP:--require-hashes=) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.test-installed: requirements-test.txt .venv/.installed
	$(INSTALL) -r requirements-test.txt || $(PIP) -r requirements-test.txt
	@touch $@
