# Needs python3 (3.11 or newer) with venv, and make; everything else is installed into .venv.
#   make bench                          the quick sweep on every CPU backend, and its report
#   make bench BACKENDS="numpy jax"     the same with those two alone, installed and measured
#   make test / lint                    the whole test suite / ruff, mypy and numpydoc

PYTHON ?= python3
BACKENDS ?= numpy torch jax dask array_api_strict
PRESET ?= quick
PYTEST ?=

comma := ,
empty :=
space := $(empty) $(empty)
# A backend's library, and the extra that installs it (numpy comes with the package).
libraries = $(sort $(foreach label,$(BACKENDS),$(firstword $(subst :, ,$(label)))))
extras = bench $(patsubst array_api_strict,strict,$(filter-out numpy cupy,$(libraries)))
bin := .venv/bin
pip = $(bin)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
bench_stamp = .venv/installed-$(subst $(space),-,$(extras))

.PHONY: bench test lint clean
.DELETE_ON_ERROR:

$(bin)/python:
	$(PYTHON) -m venv .venv

$(bench_stamp): pyproject.toml constraints.txt | $(bin)/python
	@echo "Installing into .venv: $(extras)"
	$(pip) --editable ".[$(subst $(space),$(comma),$(strip $(extras)))]"
	@touch $@

.venv/installed-test: pyproject.toml constraints.txt | $(bin)/python
	@echo "Installing into .venv: every CPU backend, the tests' and the linters' needs"
	$(pip) --editable ".[test,lint]"
	@touch $@

bench: $(bench_stamp)
	$(bin)/unpool-xp sweep --preset $(PRESET) $(foreach label,$(BACKENDS),--backend $(label)) --report

test: .venv/installed-test
	$(bin)/python -m pytest --numprocesses 2 $(PYTEST)

lint: .venv/installed-test
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/numpydoc lint $(wildcard unpool_xp/[a-z]*.py)

clean:
	rm -rf .venv build dist docs/_build
