# `make train` and `make test` do all set-up on a machine that has Python (>= 3.11), pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
ALL := $(VENV)/.stamp-all
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

.PHONY: setup train test test-gpu lint docs site bench bench-gpu clean

setup: $(ALL)
	@echo "all is there; in each new shell, . $(VENV)/bin/activate makes cogames and python those of this folder"

# What training needs, installed and compiled once; again when the pins or the project's metadata change.
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@echo "installing into $(VENV) ..."
	@$(INSTALL) -e .
	@$(BIN)/python -m metta.cli.cogames setup
	@touch $@

# All extras, and what tests, checks and documentation need.
$(ALL): $(STAMP)
	@echo "installing extras, tests and documentation into $(VENV) ..."
	@$(INSTALL) -e '.[dev]'
	@touch $@

train: $(STAMP)
	@$(BIN)/python tools/first_run.py $(if $(MINUTES),trainer.max_minutes=$(MINUTES))

# What has changed is compiled first. A file of tests to each process (how many: tests/conftest.py), torch with one
# thread in each.
test: $(ALL)
	@$(BIN)/python -m metta.cli.cogames setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

# What needs a CUDA device; without one it is skipped and says so.
test-gpu: $(ALL)
	@$(BIN)/python -m pytest -m gpu -rs

lint: $(ALL)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright

# Runs every command of docs/cli.md and writes down what it prints now.
docs: $(ALL)
	@$(BIN)/python -m tests.cli.page

# The documentation as pages, in build/site; any warning is an error.
site: $(ALL)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict --config-file devops/site/mkdocs.yml
	@echo "open build/site/index.html; its search works where a server shows it: $(BIN)/python -m http.server -d build/site"

bench: $(ALL)
	@$(BIN)/python benchmarks/env_throughput.py
	@$(BIN)/python benchmarks/train_throughput.py

bench-gpu: $(ALL)
	@PYTHON=$(BIN)/python benchmarks/gpu.sh

clean:
	rm -rf $(VENV) build *.egg-info
