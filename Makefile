# One verb a task. `make` lists them. Everything runs in .venv, which follows pyproject.toml.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help check test fast format docs site oracle dist release clean

help:  ## List the verbs.
	@sed -n 's/^\([a-z]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 12

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1' 'uv>=0.9'
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable . --group dev \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@

test: $(VENV)/installed  ## Run all tests in two processes; coverage must not fall below its floor. ARGS go to pytest.
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal --cov --cov-report=term:skip-covered $(ARGS)

fast: $(VENV)/installed  ## Run what coverage is measured of, but for slow tests: one in eight of tests with many parameters. ARGS go to pytest.
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m 'not slow and not uncovered' $(ARGS)

check: $(VENV)/installed  ## Lint, format, spelling, types, and generated files that are current.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/typos
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python scripts/docs.py --check

format: $(VENV)/installed  ## Sort imports and format.
	$(BIN)/ruff check --fix --select I .
	$(BIN)/ruff format .

docs: $(VENV)/installed  ## Write the generated files: index of specs, rules, glossary, architecture page.
	$(BIN)/python scripts/docs.py

site: $(VENV)/installed  ## Make the site of docs/ in build/site, a static folder for any host.
	$(BIN)/sphinx-build --quiet --fail-on-warning --builder html docs build/site

oracle:  ## Write the fixtures that transformers makes, in an environment of its own (tests/oracle/README.md).
	scripts/oracle $(ARGS)

dist: $(VENV)/installed  ## Build what a release publishes into dist/: wheel, sdist, list of components, notes.
	$(BIN)/python scripts/distribution.py

release: $(VENV)/installed  ## Make a release: make release ARGS=0.2.0 (docs/design/release.md).
	$(BIN)/python scripts/release.py $(ARGS)

clean:  ## Remove .venv, caches and builds.
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .coverage dist build
