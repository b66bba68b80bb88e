# Two commands do everything on a machine with Python 3.11, git and make: `make run`, `make test`.
.DEFAULT_GOAL := help
PYTHON ?= python3
STUDY ?= nafld_diabetes
UV := $(shell command -v uv 2>/dev/null || echo .venv-uv/bin/uv)
IN := $(UV) run --no-sync

# The machine's own Python, never a downloaded one.
export UV_PYTHON = $(PYTHON)
export UV_PYTHON_DOWNLOADS = never
# Compiled once, so that the first run of each process does not pay for it.
export UV_COMPILE_BYTECODE = 1

export DO_NOT_TRACK = 1
export GX_ANALYTICS_ENABLED = false

.PHONY: help setup run test check up down report faults compose-test sbom benchmarks clean

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

# uv itself is fetched with pip where the machine has none.
.venv-uv/bin/uv:
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/python -m pip install --quiet "uv>=0.9"

.venv/.synced: uv.lock pyproject.toml | $(UV)
	$(UV) sync --locked --quiet
	@touch $@

setup: .venv/.synced  ## install everything, locked

run: setup  ## train, audit, release, score, publish STUDY (nafld_diabetes; try sp500_volatility)
	$(IN) equipoise run $(STUDY)

report: setup  ## open the newest report of STUDY
	$(IN) equipoise report $(STUDY)

test: setup  ## the tests
	$(IN) pytest -m "not slow"

faults: setup  ## the long trials: every repetition of killed services, trainings and publishers
	$(IN) pytest -m slow

compose-test: setup  ## docker-compose.yml for real: built, trained, scored, read, taken down (as root)
	$(IN) python -m tests.compose.run

check: setup  ## ruff, mypy, import-linter, lock, known vulnerabilities, workflows
	$(UV) lock --check --quiet
	$(UV) export --locked --no-emit-project --format requirements-txt --quiet --output-file .venv/locked.txt
	$(IN) python -m tests.security.dependency_audit .venv/locked.txt
	$(IN) zizmor --offline --pedantic --quiet .github/workflows
	$(IN) ruff check .
	$(IN) ruff format --check .
	$(IN) mypy
	$(IN) lint-imports

sbom: setup  ## the bill of materials, var/sbom.json
	@mkdir -p var
	$(UV) export --locked --no-emit-project --format cyclonedx1.5 --quiet --output-file var/sbom.json

up: setup  ## start Airflow (scheduler, web page) on this machine
	$(IN) python -m dags.services up

down: setup  ## stop it
	$(IN) python -m dags.services down

benchmarks: setup  ## every figure of README and docs
	$(IN) python -m benchmarks.sequence_building
	$(IN) python -m benchmarks.training_throughput
	$(IN) python -m benchmarks.accuracy_over_splits nafld_diabetes --splits 20
	$(IN) python -m benchmarks.accuracy_over_splits nafld_death --splits 5 --first-seed 5
	$(IN) python -m benchmarks.forecast_accuracy sp500_volatility
	$(IN) python -m benchmarks.forecast_accuracy sp500_price
	$(IN) python -m benchmarks.forecast_accuracy sp500_direction
	$(IN) python -m benchmarks.gate_calibration --runs 2000
	$(IN) python -m benchmarks.audit_speed
	$(IN) python -m benchmarks.disclosure_attack
	$(IN) python -m benchmarks.mutation_score
	$(IN) python -m benchmarks.publication_load
	$(IN) python -m benchmarks.doctor_speed
	$(IN) python -m benchmarks.sharded_events
	$(IN) python -m benchmarks.sharded_events --private
	$(IN) python -m benchmarks.sharded_sequences --home var/benchmarks/sharded

clean:  ## remove environments and caches; var, with records, keys and backups, stays
	rm -rf .venv .venv-uv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@echo "var stays: it holds records, artefacts and keys, a cluster's secrets and backups."
	@echo "To remove them for good: docs/deployment.md, Remove."
