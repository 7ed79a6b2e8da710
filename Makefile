# SPDX-FileCopyrightText: 2026 dhq_brevitas contributors
# SPDX-License-Identifier: BSD-3-Clause
#
# make demo: a bundled picture through to the checked dataflow graph, in runs/demo.
# make test: lint, types and tests, with FINN and, for the core, with the newer Brevitas and PyTorch.
# make test-rtl: the benches of the RTL kernels in full, of which make test runs a part.
# make prove: what is proved of the RTL kernels, of which make test runs a part.
# make test-exhaustive: every test that make test leaves out (marker exhaustive).
# make docs: the documentation as a site, in site/.
# make soak: random runs for MINUTES, killed and on full disks, through to the Verilog, in runs/soak.
# All set up their virtual environments first, and again whenever pyproject.toml or the lines
# below change what they hold; PYTHON chooses the interpreter (3.11 or newer).

PYTHON ?= python3
VENV := .venv
CORE_VENV := .venv-core
REQUIREMENTS := --editable '.[docs,explore,finn,signals,synth,test]'
CORE_REQUIREMENTS := --editable '.[test]' torch==2.13.0 brevitas==0.13.4
CONTENT := $(shell (cat pyproject.toml; echo $(REQUIREMENTS) $(CORE_REQUIREMENTS)) | cksum | tr ' ' -)
READY := $(VENV)/ready-$(CONTENT)
CORE_READY := $(CORE_VENV)/ready-$(CONTENT)
# worksteal gives each process neighboring tests, which share what their module sets up.
PYTEST := -m pytest -q -n 2 --dist worksteal --durations=20
RTL_TESTS := $(addprefix tests/finn_flow/,rtl rtlsim stitching)
# What other versions of Brevitas and PyTorch can change: quantizers and their proxies, activations,
# training, calibration, export. The other tests are of this package's own Python, or need FINN.
CORE_TESTS := $(addprefix tests/,export inr nn quantization tracing test_models.py)
export OMP_NUM_THREADS ?= 1
MINUTES ?= 120
SEED ?= 0

ifndef SIDE_BY_SIDE
.NOTPARALLEL:
endif
.PHONY: help demo docs test environments lint types test-finn test-core test-rtl test-exhaustive \
	prove soak clean

help:
	@echo "make demo   fit, quantize, export, map to FINN and check a bundled picture (runs/demo)"
	@echo "make docs   these and other words as a site in site/; warnings are errors"
	@echo "make test   lint, types, all tests"
	@echo "make lint types test-finn test-core   the parts of make test"
	@echo "make test-rtl  kernel benches with every variant and width (a quarter of an hour)"
	@echo "make prove  proofs of the RTL kernels, and faults that they must find (minutes)"
	@echo "make test-exhaustive  all that make test leaves out: these, networks of every width"
	@echo "make soak   random runs, killed and on full disks, for MINUTES (120), from SEED (0) on"
	@echo "make clean  remove the virtual environments and runs/"

# Two cores do one job here, so PyTorch gets both.
demo: $(READY)
	OMP_NUM_THREADS=2 $(VENV)/bin/dhq run astronaut --size 128 --hidden 128 --layers 3 --out runs/demo

# MkDocs Material says that it has a successor; with --quiet, warnings would not count.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict
	@echo "site/index.html; to search in it, serve it: python3 -m http.server -d site"

test: environments lint types test-finn test-core

# Both at once, since each mostly unpacks files on one processor.
environments:
	@$(MAKE) --no-print-directory --jobs=2 SIDE_BY_SIDE=yes $(READY) $(CORE_READY)

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

# The checker does not follow an editable install that maps folders, so it gets them laid out.
types: $(READY)
	rm -rf .typecheck && mkdir .typecheck
	cp -r dhq_brevitas .typecheck/ && cp -r export finn_flow .typecheck/dhq_brevitas/
	cd .typecheck && ../$(VENV)/bin/mypy --config-file ../pyproject.toml

test-finn: $(READY)
	$(VENV)/bin/python $(PYTEST)

test-rtl: $(READY)
	$(VENV)/bin/python $(PYTEST) $(RTL_TESTS) -m "exhaustive or not exhaustive"

test-exhaustive: $(READY)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[notebooks]'
	$(VENV)/bin/python $(PYTEST) -m exhaustive

soak: $(READY)
	$(VENV)/bin/python tests/soak/random_runs.py --minutes $(MINUTES) --first $(SEED) --out runs/soak

prove: $(READY)
	$(VENV)/bin/python tests/finn_flow/formal/prove.py

test-core: $(CORE_READY)
	$(CORE_VENV)/bin/python $(PYTEST) $(CORE_TESTS) -m "not exhaustive and not once"

# $(call install,FOLDER,REQUIREMENTS,STAMP)
# Modules are compiled on all processors, which pip does not; some, not meant to be, cannot be.
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer needed")'
	@echo "Installing into $(1): several GB, some minutes the first time"
	@rm -f $(1)/ready-*
	@$(PYTHON) -m venv $(1)
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile $(2)
	@$(1)/bin/python -W ignore -m compileall -qq -j 0 $(1)/lib || true
	@touch $(3)
endef

$(READY):
	$(call install,$(VENV),$(REQUIREMENTS),$@)

$(CORE_READY):
	$(call install,$(CORE_VENV),$(CORE_REQUIREMENTS),$@)

clean:
	rm -rf $(VENV) $(CORE_VENV) .typecheck build site runs
