# Every target does its own set-up on a machine that has Python 3.11, gcc, git and make. Logs: logs/.
#   PYTHON=/path/to/python3.11   interpreter to make .venv with
#   TORCH_INDEX=URL              one more index for torch, e.g. https://download.pytorch.org/whl/cpu
#   MEDCOPILOT_FIXTURES=DIR      real public data for the tests marked `fixtures`
SHELL := /bin/bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:

# one thread per process: OpenMP threads that spin make two busy cores slower, not faster
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false
export HF_HUB_DISABLE_TELEMETRY ?= 1
export PYTHONUNBUFFERED := 1

BIN := .venv/bin
READY := .venv/.ready-$(shell cat requirements/cpu.txt requirements/deepspeed.txt pyproject.toml .ci/setup | sha256sum | cut -c1-16)
JOBS ?= 2
PYTEST := $(BIN)/python -m pytest -q
FAST := not slow and not gpu and not vllm

# `make study nano` reads like `make study NAME=nano`
ifeq ($(firstword $(MAKECMDGOALS)),study)
  NAME ?= $(word 2,$(MAKECMDGOALS))
  ifneq ($(word 2,$(MAKECMDGOALS)),)
    .PHONY: $(word 2,$(MAKECMDGOALS))
    $(word 2,$(MAKECMDGOALS)): study ; @:
  endif
endif

.PHONY: help setup system packages demo test lint check bench study docs lock clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /  make \1|/' | column -t -s '|'

setup: $(READY) system ## .venv from the lock file, system packages

$(READY):
	@.ci/setup

system:
	@.ci/system-packages

packages: setup
	@$(BIN)/medcopilot sandbox packages >/dev/null

demo: setup ## the whole loop, small and real: data, SFT, DPO, GRPO, evaluation, report
	@$(BIN)/python -m medcopilot.demo

study: setup ## a resumable study, e.g. `make study nano`
	@test -n "$(NAME)" || { echo "medcopilot: say which study, e.g. \`make study nano\`" >&2; exit 2; }
	@$(BIN)/python -m medcopilot.studies $(NAME) --commit

lint: $(READY) ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/mypy

test: setup packages lint ## everything that is quick (under 15 minutes on two cores)
	@mkdir -p logs
	@$(PYTEST) -n $(JOBS) --dist loadfile -m "$(FAST)" --durations=10 --junitxml=logs/junit-test.xml

check: setup ## tests, slow tests, vLLM on CPU, Inspect, a newcomer's path; CI=1: the part that CI runs after `make test`
	@.ci/check $(if $(filter 1,$(CI)),ci,full)

bench: setup ## speed of the sandbox, grading, training batches and rollouts (about twelve minutes)
	@$(BIN)/python -m medcopilot.bench

docs: ## the documentation as a site in site/; fails on a link that leads nowhere
	@.ci/setup docs
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --strict
	@echo "site/index.html"

lock: setup ## renew the lock files of the CPU and GPU sets from pyproject.toml (UPGRADE=1: the newest versions that fit)
	@.ci/lock

clean: ## remove environments, logs and caches; data/ and runs/ stay
	rm -rf .venv .venv-vllm .venv-docs .venv-inspect .venv-gpu .venv-lock site logs .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
