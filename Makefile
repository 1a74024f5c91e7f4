# Each target makes .venv from the pins when it is needed: a fresh clone needs python >= 3.11 and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := .venv-extras
EXTRAS_BIN := $(EXTRAS)/bin
DEMO ?= demo

# Compiled files are kept: without them each of the processes that tests start compiles the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: app demo weights test test-all test-processors sse41 avx2 native native-2 lint package bench docs clean

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@

$(EXTRAS)/.ready: requirements-extras.lock requirements.lock pyproject.toml
	$(PYTHON) -m venv $(EXTRAS)
	$(EXTRAS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements-extras.lock
	$(EXTRAS)/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@

demo: $(VENV)/.ready  ## predict a real clip; train a small model for 3 minutes, compare it with baselines, write a report
	rm -rf $(DEMO) $(DEMO)-clip.gif
	$(BIN)/nextframe predict docs/media/stream-of-water.mp4 -n 10 --compare -o $(DEMO)-clip.gif
	$(BIN)/nextframe quickstart -o $(DEMO)

app: $(VENV)/.ready  ## the web page: give it a clip, see what comes next
	$(BIN)/nextframe app $(APP)

WEIGHTS ?= motion
MINUTES ?= 8
OUT ?= runs/weights-$(WEIGHTS)

weights: $(VENV)/.ready  ## train the weights that come with the package again: WEIGHTS=, MINUTES=, OUT=, MOTION_DATA=
	$(BIN)/python -m nextframe.recipes.weights $(WEIGHTS) --minutes $(MINUTES) --out $(OUT) $(ARGS)

test: $(VENV)/.ready  ## the tests that take seconds
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-all: $(EXTRAS)/.ready  ## every test, those that need the libraries of requirements-extras.lock too
	$(EXTRAS_BIN)/python -m pytest

test-processors: sse41 avx2 native native-2  ## the tests that compute, with other processors' kernels: up to 40 minutes

NUMERIC = $(BIN)/python -m pytest -m "numeric and not slow"
NATIVE = env -u ONEDNN_MAX_CPU_ISA -u ATEN_CPU_CAPABILITY

sse41: $(VENV)/.ready
	@echo "== the kernels of SSE4.1, 1 thread"
	ONEDNN_MAX_CPU_ISA=SSE41 ATEN_CPU_CAPABILITY=default $(NUMERIC) -n 2 --dist worksteal

avx2: $(VENV)/.ready
	@echo "== the kernels of AVX2, 1 thread"
	ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 $(NUMERIC) -n 2 --dist worksteal

native: $(VENV)/.ready
	@echo "== this processor's kernels, 1 thread"
	$(NATIVE) $(NUMERIC) -n 2 --dist worksteal

native-2: $(VENV)/.ready
	@echo "== this processor's kernels, 2 threads"
	TEST_THREADS=2 OMP_WAIT_POLICY=passive $(NATIVE) $(NUMERIC) -n 2 --dist worksteal

lint: $(VENV)/.ready  ## style, types, import direction, words, links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_words.py
	$(BIN)/python scripts/check_links.py

package: $(VENV)/.ready  ## sdist and wheel in dist/: built, compared, installed into an empty environment, run; ARGS=--borrow
	$(BIN)/python scripts/check_package.py $(ARGS)

bench: $(VENV)/.ready  ## speed against named peers, in venvs of their own
	bash bench/run.sh

docs: $(EXTRAS)/.ready  ## the pages that are written from the code, then the site in site/, strict and offline
	$(EXTRAS_BIN)/nextframe models --markdown docs/models.md
	$(EXTRAS_BIN)/python scripts/formats_table.py
	if [ -d ../shared/data/malformed ]; then $(EXTRAS_BIN)/python scripts/bad_input_table.py ../shared/data/malformed; fi
	$(EXTRAS_BIN)/python scripts/app_boards.py
	$(EXTRAS_BIN)/python scripts/site/command_line.py
	$(EXTRAS_BIN)/python scripts/site/model_pages.py
	$(EXTRAS_BIN)/python scripts/site/quality_plot.py
	NO_MKDOCS_2_WARNING=1 $(EXTRAS_BIN)/python -m mkdocs build --quiet

clean:
	rm -rf $(VENV) $(EXTRAS) .venv-bench dist site $(DEMO) $(DEMO)-clip.gif .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
