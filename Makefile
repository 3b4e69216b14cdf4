# Two commands are all a reader needs:   make lab   and   make test
# Each makes its own .venv the first time (a few minutes) and finds it ready afterwards (seconds).

PYTHON   ?= python3
VENV     ?= .venv
WORK     ?= work
PORT     ?= 8888
# Two workers, a file each: tests of one file share a kernel, a browser or a trained model.
PYTEST_ARGS ?= -n 2 --dist loadfile

BIN  = $(VENV)/bin
PIP  = $(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -c constraints.txt
TESTS = tests notebooks

.PHONY: help lab start-over test lint notebooks site clean

help:
	@echo "make lab         open JupyterLab on your own copy of the notebooks (folder $(WORK)/)"
	@echo "make start-over NOTEBOOK=05_meta_optimization   a fresh copy of one notebook; yours is kept beside it"
	@echo "make test        lint, types, all tests, all notebooks"
	@echo "make lint        lint and types only"
	@echo "make notebooks   run the shipped notebooks and write their outputs into them"
	@echo "make site        the executed course as web pages, to be read without a kernel (folder site/)"
	@echo "make clean       remove $(VENV) and caches (never $(WORK)/)"

lab: $(VENV)/.lab-ready
	$(BIN)/python -m metadialog_lite.lab.launch --work "$(WORK)" --port $(PORT) $(LAB_ARGS)

start-over: $(VENV)/.lab-ready
	@test -n "$(NOTEBOOK)" || { echo "Say which one: make start-over NOTEBOOK=05_meta_optimization"; exit 2; }
	$(BIN)/python -m metadialog_lite.lab.launch --work "$(WORK)" start-over "$(NOTEBOOK)"

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --nbval-lax --nbval-current-env $(PYTEST_ARGS) $(TESTS)

lint: $(VENV)/.test-ready
	$(BIN)/ruff check .
	$(BIN)/mypy

notebooks: $(VENV)/.test-ready
	$(BIN)/python scripts/regenerate_notebooks.py

site: $(VENV)/.lab-ready
	$(BIN)/metadialog-lite course site site

# The stamps are written last, so an interrupted installation is simply taken up again.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
	  echo "MetaDialog Lite needs Python 3.10 or newer; '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)."; \
	  echo "Install one (https://www.python.org/downloads), then for example: make lab PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "This Python cannot make virtual environments; on Debian or Ubuntu: apt install python3-venv"; exit 2; }
	@echo "Making the virtual environment $(VENV) with $$($(PYTHON) --version)"
	$(PYTHON) -m venv "$(VENV)"

$(VENV)/.lab-ready: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing what the notebooks need into $(VENV) (once; PyTorch is the large one)"
	$(PIP) -e ".[corpora,classroom,sweep]"
	@touch $@

$(VENV)/.test-ready: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing what the notebooks and the tests need into $(VENV) (once; PyTorch is the large one)"
	$(PIP) -e ".[corpora,classroom,sweep,dev]"
	@touch $@ $(VENV)/.lab-ready

clean:
	rm -rf "$(VENV)" .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist site
