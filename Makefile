# Needs python3 (3.11 or newer) with venv, and make; everything else is installed into .venv.
#   make bench                          the quick sweep on every CPU backend, and its report
#   make bench BACKENDS="numpy jax"     the same with those two alone, installed and measured
#   make test / lint                    the whole test suite / ruff, mypy and numpydoc
#   make coverage / docs                the tests with their coverage / the documentation
#   make mutate                         break the planning code in every way, see the tests fail

PYTHON ?= python3
BACKENDS ?= numpy torch jax dask
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
# What people import: its docstrings are held to numpydoc.
api := $(patsubst %,unpool_xp/%.py,pooling unpooling convolution indices backends capabilities)
bench_stamp = .venv/installed-$(subst $(space),-,$(extras))

.PHONY: bench test lint coverage mutate docs clean
.DELETE_ON_ERROR:

$(bin)/python:
	$(PYTHON) -m venv .venv

$(bench_stamp): pyproject.toml constraints.txt | $(bin)/python
	@echo "Installing into .venv: $(extras)"
	$(pip) --editable ".[$(subst $(space),$(comma),$(strip $(extras)))]"
	@touch $@

.venv/installed-test: pyproject.toml constraints.txt | $(bin)/python
	@echo "Installing into .venv: every CPU backend, the tests' and the linters' needs"
	$(pip) --editable ".[test,lint,docs]"
	@touch $@

bench: $(bench_stamp)
	$(bin)/unpool-xp sweep --preset $(PRESET) $(foreach label,$(BACKENDS),--backend $(label)) --report

test: .venv/installed-test
	$(bin)/python -m pytest --numprocesses 2 $(PYTEST)

lint: .venv/installed-test
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/numpydoc lint $(api)

coverage: .venv/installed-test
	$(bin)/python -m pytest --numprocesses 2 --cov --cov-report=term:skip-covered $(PYTEST)

.venv/installed-mutate: .venv/installed-test
	$(pip) --editable ".[mutate]"
	@touch $@

mutate: .venv/installed-mutate
	$(bin)/python -m tests.mutation

docs: .venv/installed-test
	$(bin)/python -m sphinx -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf .venv build dist docs/_build
