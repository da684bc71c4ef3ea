# Every target makes .venv by itself, from Python 3.11 or newer.
# `make test PYTHON=/path/to/python` chooses the interpreter.

PYTHON ?= python3 python3.13 python3.12 python3.11
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := dev,bench,torch,onnx,keras,plot,density,cloud,cluster
INSTALL := $(BIN)/pip install --quiet --constraint constraints.txt --editable

.PHONY: demo test lint bench clean
.DELETE_ON_ERROR:

# The scan exits with 1 where it refused checkpoints: it is done then, and the zoo holds some on purpose.
demo: $(VENV)/core.stamp
	$(BIN)/jfilters zoo fetch --to zoo
	@echo '$(BIN)/jfilters scan --checkpoints zoo --meta zoo/metadata.csv --out results/zoo'
	@$(BIN)/jfilters scan --checkpoints zoo --meta zoo/metadata.csv --out results/zoo; code=$$?; \
	if [ $$code -ne 1 ]; then exit $$code; fi; \
	echo 'demo: done; the checkpoints that were refused are named above, with the reasons'

test: lint
	$(BIN)/python -m pytest -n auto --maxprocesses 4

lint: $(VENV)/full.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: $(VENV)/full.stamp
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) dist zoo results/zoo .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/core.stamp: pyproject.toml constraints.txt | $(BIN)/pip
	@echo 'installing jfilters into $(VENV)'
	@$(INSTALL) .
	@touch $@

$(VENV)/full.stamp: pyproject.toml constraints.txt | $(BIN)/pip
	@echo 'installing jfilters, every reader and the tools into $(VENV): some minutes the first time'
	@$(INSTALL) '.[$(EXTRAS)]'
	@touch $@

# ensurepip makes pip last, so that an interrupted environment is made again.
$(BIN)/pip:
	@for python in $(PYTHON); do \
	  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  found=$$python; \
	  $$python -c 'import ensurepip, venv' 2>/dev/null || continue; \
	  echo "making $(VENV) with $$($$python --version)"; \
	  exec $$python -m venv $(VENV); \
	done; \
	if [ -n "$$found" ]; then \
	  echo "error: $$found cannot make a virtual environment: install its venv package (on Debian and Ubuntu: apt install python3-venv)" >&2; \
	else \
	  echo 'error: no Python 3.11 or newer among: $(PYTHON); name one with make PYTHON=/path/to/python' >&2; \
	fi; \
	exit 1
