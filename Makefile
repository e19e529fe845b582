# Every target sets up what it needs in .venv, from a bare Python 3.11 with pip.
PYTHON ?= python3
BIN := .venv/bin
SHELL := /bin/bash
# Tests wait for servers and solvers more than they compute, so processes share them file by file,
# in the order of tests/conftest.py: those that take longest first.
SHARED := -n 3 --dist loadfile --no-loadscope-reorder
.DEFAULT_GOAL := help

.PHONY: help demo test test-slow check bench serve proto lock clean

help:  ## show this
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

# The last step compiles the kernels, so that the first server starts as fast as the next; two
# processes, since it takes two minutes of a core.
.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -c "import loadloom.engine.services.orderly_kernels, loadloom.engine.services.agency_kernels; from loadloom.models.agency.solve import warm; warm()" & \
	  $(BIN)/python -c "import loadloom.engine.services.response_kernels, loadloom.engine.services.fleet_kernels; from loadloom.models.dispatch.solve import warm; warm()" && wait $$!
	touch $@

.venv-bench/ready: requirements-bench.lock pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# Peers whose libraries do not go with ours, each in an environment of its own.
.venv-%/ready: requirements-%.lock
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-$*.lock
	touch $@

demo: .venv/ready  ## plan real sites with a real server and show what came back
	$(BIN)/python examples/demo.py

test: .venv/ready  ## run the tests
	$(BIN)/python -m pytest -m "not slow" $(SHARED)

test-slow: .venv/ready  ## run every test, the long ones too
	$(BIN)/python -m pytest

check: .venv/ready  ## format, lint, types, protos, stubs up to date
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python proto/generate.py --lint
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python proto/generate.py --check
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python proto/site_schema.py --check

bench: .venv-bench/ready .venv-emhass/ready .venv-flexmeasures/ready  ## measure against peers and write benchmarks/RESULTS.md
	.venv-bench/bin/python -m benchmarks.run --out benchmarks/RESULTS.md

serve: .venv/ready  ## start the engine on 127.0.0.1:8421
	$(BIN)/loadloom serve

proto: .venv/ready  ## write the stubs of the protos and the schema of site files
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python proto/generate.py
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python proto/site_schema.py

lock:  ## renew the lock files (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --extra engine --extra postgres --extra cluster --extra cli --group dev \
	  --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" -o requirements.lock
	uv pip compile pyproject.toml --universal --python-version 3.11 --extra engine --extra cli --extra bench --group build \
	  --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" -o requirements-bench.lock

	echo emhass | uv pip compile - --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" -o requirements-emhass.lock
	echo flexmeasures | uv pip compile - --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" -o requirements-flexmeasures.lock

clean:  ## remove everything that was set up or built
	rm -rf .venv .venv-bench .venv-emhass .venv-flexmeasures dist build out .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
