# make demo: the main job on the real scans in data/samples.   make test: every check.
# Other Python: make demo PYTHON=python3.12      Extra options for pip: make demo PIP_ARGS="..."
# Tests side by side: make test WORKERS=4 (each takes about 2 GB of memory and one core)
PYTHON ?= python3
EXTRAS ?= dicom,dev
PIP_ARGS ?=
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OUT := demo_output

LABEL_VENV := .venv-label
LABEL_BIN := $(LABEL_VENV)/bin
LABEL_STAMP := $(LABEL_VENV)/.installed
LABEL_PINS := fetal_monai/label/requirements.txt

.PHONY: demo test test-label label-env format-check lint types unit clean

demo: $(STAMP)
	@$(BIN)/fetal-monai run fetal_head_ultrasound_segmentation data/samples/hc18 --out $(OUT)
	@echo
	@echo "The report: $(CURDIR)/$(OUT)/report.html"

# All four run even if one fails; pytest comes last.
test: $(STAMP)
	@$(MAKE) --no-print-directory --keep-going format-check lint types unit

# A real MONAI Label server over HTTP; `make test` runs these too where the environment is there.
test-label: $(STAMP) label-env
	$(BIN)/python -m pytest --quiet tests/label

label-env: $(LABEL_STAMP)

format-check:
	$(BIN)/ruff format --check --quiet .
lint:
	$(BIN)/ruff check --quiet .
types:
	$(BIN)/mypy
unit:
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --quiet --numprocesses $(WORKERS) --dist loadscope

# Runs again only when the list of dependencies or their pins have changed.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' || \
	  { echo "fetal_monai needs Python 3.10 to 3.13; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make a virtual environment, its modules venv or ensurepip are missing. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing fetal_monai and what it needs into $(VENV); the first time takes minutes"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check $(PIP_ARGS) --constraint constraints.txt --editable ".[$(EXTRAS)]"
	@touch $@

# MONAI Label's own environment: pinned, torch with what it brings, the rest without asking for more; see workarounds.py.
$(LABEL_STAMP): $(LABEL_PINS) fetal_monai/label/workarounds.py
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' || \
	  { echo "MONAI Label is pinned for Python 3.11 and 3.12; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make label-env PYTHON=python3.11"; exit 1; }
	@test -x $(LABEL_BIN)/python || $(PYTHON) -m venv $(LABEL_VENV)
	@echo "Installing MONAI Label and what it needs into $(LABEL_VENV); the first time takes minutes"
	@$(LABEL_BIN)/python -m pip install -qq --disable-pip-version-check $(PIP_ARGS) --constraint $(LABEL_PINS) torch setuptools
	@$(LABEL_BIN)/python -m pip install -qq --disable-pip-version-check $(PIP_ARGS) --no-deps --requirement $(LABEL_PINS)
	@$(LABEL_BIN)/python -m pip install -qq --disable-pip-version-check $(PIP_ARGS) --no-deps --no-build-isolation --editable .
	@$(LABEL_BIN)/python -W ignore -m fetal_monai.label.workarounds >/dev/null
	@touch $@

clean:
	rm -rf $(OUT) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
