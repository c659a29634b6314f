# Everything is installed into this clone: uv and its cache under .uv/, the worker in .venv/, Airflow in .venv-airflow/.
PYTHON ?= python3
PORT ?= 8080
UV_VERSION := 0.13.8
UV := .uv/bin/uv
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

export UV_CACHE_DIR ?= $(CURDIR)/.uv/cache
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' \
	  || { echo "vitalprep needs Python 3.11 or 3.12; name one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.PHONY: worker airflow develop
worker: $(UV)  ## install the worker alone (.venv)
	@$(UV) sync --quiet --locked --inexact --no-default-groups --extra preview --python .uv/bin/python

airflow: $(UV)  ## install Airflow (.venv-airflow)
	@UV_PROJECT_ENVIRONMENT=.venv-airflow $(UV) sync --quiet --locked --only-group airflow --python .uv/bin/python

develop: $(UV)  ## install the worker with TensorFlow and the development tools (.venv)
	@$(UV) sync --quiet --locked --extra tensorflow --extra preview --python .uv/bin/python

.PHONY: demo up down
demo: worker airflow  ## 24 simulated cases through an embedded Airflow, with a table at the end
	.venv-airflow/bin/python -m local_airflow demo

up: worker airflow  ## keep the same Airflow running on a loopback port (PORT=8080)
	.venv-airflow/bin/python -m local_airflow up --port $(PORT)

down:  ## stop it
	.venv-airflow/bin/python -m local_airflow down

.PHONY: test lint test-worker test-airflow
test: lint test-worker test-airflow  ## all tests

lint: develop
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

test-worker: develop
	.venv/bin/python -m pytest -n 2 --dist loadfile --doctest-modules --ignore tests/airflow tests preprocessing

test-airflow: develop airflow
	.venv-airflow/bin/python -m pytest tests/airflow

.PHONY: bench
bench: develop airflow  ## measure everything against its targets (a quarter of an hour; BENCH="build validate" for some)
	.venv/bin/python -m benchmarks $(BENCH) --json .bench/figures.json

.PHONY: clean
clean: ## remove everything that make installed or made
	@if [ -x .venv-airflow/bin/python ]; then .venv-airflow/bin/python -m local_airflow down; fi
	rm -rf .venv .venv-airflow .uv .demo .bench build *.egg-info preprocessing/harmonize/*.so .airflow .pytest_cache .mypy_cache .ruff_cache .hypothesis
