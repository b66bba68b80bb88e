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

.PHONY: help setup run test check up down report faults benchmarks clean

help:  ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

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

faults: setup  ## the long trials: every repetition of killed trainings and publishers
	$(IN) pytest -m slow

check: setup  ## ruff, mypy, import-linter, lock
	$(UV) lock --check --quiet
	$(IN) ruff check .
	$(IN) ruff format --check .
	$(IN) mypy
	$(IN) lint-imports

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

clean:  ## remove environments, artefacts and tables
	rm -rf .venv .venv-uv var .mypy_cache .ruff_cache .pytest_cache .hypothesis
