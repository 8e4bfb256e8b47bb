# Every target sets up what it needs. Start with `make demo`.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo up test lint format docs bench soak notebook lock clean

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	2>/dev/null && command -v $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv/ with the locked dependencies

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed; none was found"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -c 'import lightgbm' || { \
		echo "LightGBM needs the OpenMP runtime of GCC: install the package libgomp1 (Debian) or libgomp"; exit 1; }
	@touch $@

demo: $(READY) ## Start the platform, send a sample through it, show the result
	@$(BIN)/fulfillment demo

up: $(READY) ## Start the platform and keep it running until Ctrl-C
	@$(BIN)/fulfillment up

test: $(READY) ## Run the whole test suite
	$(BIN)/pytest -n auto --dist worksteal

lint: $(READY) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## Mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## Write the generated documents anew: schemas, tables, OpenAPI
	$(BIN)/python -m fulfillment_assets.documentation
	$(BIN)/python -m fulfillment_api.documentation

bench: $(READY) ## Measure the batch path, the model and the stream on this machine
	$(BIN)/fulfillment bench batch --rows 100000
	$(BIN)/fulfillment bench batch --rows 1000000 --repeats 1
	$(BIN)/fulfillment bench model
	$(BIN)/fulfillment bench stream --rate 100 --duration 60
	$(BIN)/fulfillment bench stream --rate 2000 --duration 60
	$(BIN)/fulfillment bench stream --backlog 500000

soak: $(READY) ## Stream for half an hour and kill a process every minute; nothing may be lost
	$(BIN)/python -m benchmarks.soak

notebook: $(READY) ## Execute the notebook and the model card's tables anew: DATA=file of outcomes
	@test -f "$(DATA)" || { echo "Say which file: make notebook DATA=orders-with-outcomes.csv"; exit 1; }
	FULFILLMENT_TRAINING_FILE=$(DATA) $(BIN)/python notebooks/execute.py
	$(BIN)/python -m fulfillment_assets.documentation --data $(DATA)

lock: ## Resolve the dependencies anew (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-emit-index-url --no-annotate --no-header --no-strip-extras \
		--output-file requirements.lock

clean: ## Remove .venv/ and caches; data/ stays
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
