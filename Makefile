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
	@$(PYTHON) .ci/check_machine.py
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.PHONY: compiler worker airflow develop infra
# Without a compiler pip installs what loads data sets. Here the reader of recordings, which is in C, has to be there.
READER := .venv/bin/python -c 'import vitalprep.vital._records'
define install
	@$(UV) sync --quiet --locked $(1) --python .uv/bin/python
	@$(READER) 2>/dev/null || $(UV) sync --quiet --locked $(1) --python .uv/bin/python --reinstall-package vitalprep
	@$(READER) 2>/dev/null || { echo "The reader of recordings (preprocessing/vitalprep/vital/_records.c) was not compiled. \
	See why: $(UV) sync --locked $(1) --reinstall-package vitalprep --verbose" >&2; exit 2; }
endef

compiler:
	@$(if $(wildcard .uv/bin/python),.uv/bin/python,$(PYTHON)) .ci/check_machine.py --compiler

worker: compiler $(UV)  ## install the worker alone (.venv)
	$(call install,--inexact --no-default-groups --extra preview --extra aws)

airflow: $(UV)  ## install Airflow (.venv-airflow)
	@UV_PROJECT_ENVIRONMENT=.venv-airflow $(UV) sync --quiet --locked --only-group airflow --python .uv/bin/python

develop: compiler $(UV)  ## install the worker with TensorFlow and the development tools (.venv)
	$(call install,--extra tensorflow --extra preview)

infra: $(UV)  ## install what checks docker/ and terraform/ (.venv-infra)
	@UV_PROJECT_ENVIRONMENT=.venv-infra $(UV) sync --quiet --locked --only-group infra --python .uv/bin/python

.PHONY: images secrets
images:  ## build the container images (vitalprep-worker, vitalprep-airflow, vitalprep-s3)
	@version=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml); revision=$$(git rev-parse HEAD 2>/dev/null || echo unknown); \
	for name in worker airflow s3; do \
	  docker build --quiet --file docker/Dockerfile.$$name --tag vitalprep-$$name \
	    --build-arg VERSION=$$version --build-arg REVISION=$$revision .; \
	done

secrets:  ## write passwords and keys for airflow-docker-compose.yaml into .env, those that are not there yet
	@$(PYTHON) docker/secrets_to_env.py .env

.PHONY: demo up down
demo: worker airflow  ## 24 simulated cases through an embedded Airflow, with a table at the end
	.venv-airflow/bin/python -m local_airflow demo

up: worker airflow  ## keep the same Airflow running on a loopback port (PORT=8080)
	.venv-airflow/bin/python -m local_airflow up --port $(PORT)

down:  ## stop it
	.venv-airflow/bin/python -m local_airflow down

# Tests of whole runs of the worker: minutes each folder.
RUNS := tests/run tests/validate tests/diff tests/publish tests/clean tests/status tests/earlier tests/test_s3.py tests/test_installing.py
# Tests with an environment, an engine, a browser or a tool of their own, and those that kill, measure, exhaust or draw.
LONG := tests/test_benchmarks.py tests/cost/test_real_run.py tests/reliability/hostile/test_giants.py tests/simulate/test_preview.py
APART := tests/airflow tests/containers tests/terraform tests/browser tests/reliability tests/simulate tests/sagemaker tests/report tests/fetch tests/docs $(RUNS) $(LONG)
WHOLE_RUNS := tests/airflow/test_scheduler.py tests/airflow/test_ecs_runs.py tests/airflow/test_sagemaker_runs.py tests/airflow/test_batch_runs.py tests/airflow/test_notify.py

.PHONY: test lint lint-airflow test-worker test-airflow test-apart test-deployment
test: lint test-worker test-airflow  ## lint and the quick tests, on two cores in less than 10 minutes; it says what it leaves out
	@echo "Left out: make test-apart ($(notdir $(filter-out tests/airflow tests/containers tests/terraform,$(APART)) $(WHOLE_RUNS)))" | fold --spaces --width=120
	@echo "Left out: make test-deployment (images in containers, Terraform). .ci/run runs everything."

lint: develop lint-airflow
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

lint-airflow: airflow
	.venv-airflow/bin/mypy plugins dags local_airflow benchmarks/dag_intervals.py

test-worker: develop
	.venv/bin/python -m pytest -n 2 --dist loadfile --doctest-modules $(addprefix --ignore ,$(APART)) tests preprocessing

test-airflow: develop airflow
	.venv-airflow/bin/python -m pytest -n 2 --dist loadfile -m "not deployment" $(addprefix --ignore ,$(WHOLE_RUNS)) tests/airflow

# Sessions of -n 3 wait a good deal, for processes that they start: three at a time on two cores. Without reordering, the
# files of tests/reliability, which take longest, are the first.
test-apart: develop airflow  ## whole runs of the worker and of Airflow, kills and faults, simulator, SageMaker jobs, reports, fetch, snippets of the docs, pages in a browser, a short benchmark, giant files
	.venv/bin/python -m pytest -n 3 --dist loadfile $(RUNS)
	.venv/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(addprefix --ignore ,$(LONG)) tests/reliability tests/simulate tests/sagemaker tests/report tests/fetch tests/docs
	.venv-airflow/bin/python -m pytest -n 3 --dist loadfile -m "not deployment" $(WHOLE_RUNS)
	.venv/bin/python -m pytest -n 2 --dist loadfile tests/browser $(LONG)

test-deployment: develop airflow infra  ## images in real containers, Terraform against the provider's schema; skips what is not at hand
	.venv/bin/python -m pytest tests/containers tests/terraform
	.venv-airflow/bin/python -m pytest -m deployment tests/airflow

.PHONY: docs
docs: develop  ## build the documentation site (docs/_build/html/index.html); warnings are errors
	.venv/bin/python -m sphinx -E -W --keep-going -n -q -b html docs docs/_build/html

.PHONY: bench
bench: develop airflow  ## measure everything against its targets (half an hour; BENCH="build validate" for some)
	.venv/bin/python -m benchmarks $(BENCH) --json .bench/figures.json

.PHONY: soak
soak: develop  ## kill, pair, starve and feed garbage for hours, with a table (SOAK="--only kills" for some)
	.venv/bin/python -m tests.reliability $(SOAK) --json .soak/table.json

.PHONY: clean
clean: ## remove everything that make installed or made
	@if [ -x .venv-airflow/bin/python ]; then .venv-airflow/bin/python -m local_airflow down; fi
	rm -rf .venv .venv-airflow .venv-infra .uv .demo .bench .soak build docs/_build *.egg-info preprocessing/*.egg-info preprocessing/vitalprep/**/*.so .airflow .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: terraform-check push env-from-terraform run-on-aws
terraform-check:  ## check terraform/ with Terraform's own means (no AWS account; fetches the provider)
	terraform fmt -check -recursive terraform
	terraform -chdir=terraform init -backend=false -input=false
	terraform -chdir=terraform validate
	terraform -chdir=terraform test

push:  ## build the worker's image under the name that Terraform gave it, and push it (after terraform apply)
	@environment() { terraform -chdir=terraform output -json environment | $(PYTHON) -c "import json, sys; print(json.load(sys.stdin)['$$1'])"; }; \
	image=$$(environment VITALPREP_SAGEMAKER_IMAGE); region=$$(environment AWS_DEFAULT_REGION); \
	platform=$$(terraform -chdir=terraform output -raw platform); \
	aws ecr get-login-password --region "$$region" | docker login --username AWS --password-stdin "$${image%%/*}"; \
	docker build --platform "$$platform" --file docker/Dockerfile.worker --tag "$$image" .; \
	docker push "$$image"

env-from-terraform:  ## write what Terraform made into .env (after terraform apply)
	@terraform -chdir=terraform output -json | $(PYTHON) terraform/env_from_terraform.py .env
	@grep -q '^VITALPREP_ENV=' .env || echo VITALPREP_ENV=.env >> .env  # what the compose file's containers are told

run-on-aws:  ## do a whole run in one Fargate task (CASES=1-3000; RUN="--dry-run" shows the command, "--spot", "--set ...")
	@terraform -chdir=terraform output -json | $(PYTHON) terraform/run_on_aws.py $(if $(CASES),--cases "$(CASES)") $(RUN)
