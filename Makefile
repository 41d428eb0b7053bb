# Needs python3 (3.11 or newer) with venv, and make; everything else is installed into .venv.
#   make bench                          the quick sweep on every CPU backend, and its report
#   make bench BACKENDS="numpy jax"     the same with those two only; PIP_ARGS are passed on to pip
#   make gpu MINUTES=8 RESUME=last      every CUDA backend checked, then measured, or on with a run
#   make tax                            what portability costs on NumPy, PyTorch and JAX
#   make libraries                      check dpnp, ndonnx, Cubed and Sparse, for the table in the docs
#   make peers                          NumPy beside ONNX Runtime, OpenCV, scikit-image, SciPy, Pillow
#   make test / lint                    the whole test suite / ruff, mypy, numpydoc, English, figures
#   make coverage / docs                the tests with their coverage / the documentation
#   make pages                          every page of the documentation in a browser; make test has a few
#   make figures                        fill the README's figures in from committed rows
#   make dist / test-dist               build a release and check it / test it on every Python here
#   make faults                         every fault of a worker at every stage; make test has a few
#   make mutate                         break the planning code in every way, see the tests fail
#   make fuzz SECONDS=60 SEED=0         random arguments on every library, beside torch and onnxruntime
#   make fuzz-rows FILES=1000 SEED=0    damaged files of rows through compare and report
#   make test-lowest                    the tests with the oldest versions allowed
#   make gate BASE=main                 is it slower than main? BACKENDS, OPERATIONS, BUDGET narrow it
#   make gate-proof RUNS=10             does the gate find slowdowns that were planted?
#   make truth                          the harness compared with pyperf and torch.utils.benchmark
#   make asv                            the panel for HEAD by asv; ASV_ARGS are those of asv run
#   make dashboard [OFFLINE=1]          asv's page of results/asv; make preview serves it
#   make smoke                          a few cells by asv and pytest-benchmark: do both still run?

PYTHON ?= python3
BACKENDS ?= numpy torch jax dask
PRESET ?= quick
VENV ?=
# Such as --extra-index-url https://download.pytorch.org/whl/cpu, where PyTorch has no CUDA.
PIP_ARGS ?=
# Of the newer of the two CUDA versions that libraries are built for; for the older: cupy12,jax-cuda12
GPU_EXTRAS ?= torch,cupy13,jax-cuda13
PYTEST ?=
# One more than two cores: many tests wait for a process, a timer or a browser.
WORKERS ?= 3

comma := ,
empty :=
space := $(empty) $(empty)
# A backend's library, and the extra that installs it (numpy comes with the package).
libraries = $(sort $(foreach label,$(BACKENDS),$(firstword $(subst :, ,$(subst /, ,$(label))))))
extras = bench $(patsubst array_api_strict,strict,$(filter-out numpy cupy,$(libraries)))
bin := .venv/bin
lowest := .venv/lowest
pip = -m pip install --quiet --disable-pip-version-check $(PIP_ARGS)
# What people import: numpydoc checks its docstrings.
api := $(patsubst %,unpool_xp/%.py,pooling unpooling resizing convolution indices capabilities backends/registry)
# Compiled on all cores, where pip takes one; a few packages have files that are no Python of this
# version.
define install
$(bin)/python $(pip) --constraint constraints.txt --no-compile --editable ".[$(1)]"
@$(bin)/python -m compileall -q -j 0 .venv/lib > /dev/null || true
@touch $@
endef
schema = $(bin)/check-jsonschema --quiet --builtin-schema
forms = $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
bench_stamp = .venv/installed-$(subst $(space),-,$(extras))

# A GPU machine has its libraries already as a rule: make gpu VENV=--system-site-packages uses those.
.PHONY: bench gpu tax libraries peers test lint coverage faults mutate fuzz fuzz-rows test-lowest truth figures dist test-dist gate gate-proof asv dashboard preview smoke docs pages clean
.DELETE_ON_ERROR:

$(bin)/python:
	$(PYTHON) -m venv $(VENV) .venv

$(bench_stamp): pyproject.toml constraints.txt | $(bin)/python
	@echo "Installing into .venv: $(extras)"
	$(call install,$(subst $(space),$(comma),$(strip $(extras))))

.venv/installed-test: pyproject.toml constraints.txt | $(bin)/python
	@echo "Installing into .venv: every CPU backend, the tests' and the linters' needs"
	$(call install,test$(comma)cubed$(comma)lint$(comma)docs)

bench: $(bench_stamp)
	$(bin)/unpool-xp sweep --preset $(PRESET) $(foreach label,$(BACKENDS),--backend $(label)) --report

gpu: $(bin)/python
	@echo "Installing into .venv: the benchmarks, and what of $(GPU_EXTRAS) is missing"
	$(bin)/python $(pip) --editable ".[bench,$(GPU_EXTRAS)]"
	$(bin)/unpool-xp gpu $(if $(MINUTES),--minutes $(MINUTES)) $(if $(RESUME),--resume $(RESUME)) $(GPU)

tax: $(bench_stamp)
	$(bin)/unpool-xp tax $(TAX)
	$(bin)/python benchmarks/limits/run.py

# Libraries of the standard that nothing else here needs, in an environment of their own: 3 GB.
OTHERS ?= dpnp:cpu ndonnx cubed sparse
.venv/others/installed: pyproject.toml
	$(PYTHON) -m venv .venv/others
	@echo "Installing into .venv/others: dpnp, ndonnx, Cubed and Sparse"
	.venv/others/bin/python $(pip) \
	  --editable ".[bench,dpnp,cubed]" ndonnx sparse
	@touch $@

# A mismatch, which check answers with 1, is an entry of the table.
libraries: .venv/others/installed
	mkdir -p results/checks
	.venv/others/bin/unpool-xp check --json $(foreach label,$(OTHERS),--backend $(label)) \
	  > results/checks/others.json || test $$? = 1

.venv/installed-peers: pyproject.toml constraints.txt | $(bin)/python
	@echo "Installing into .venv: what make peers sets beside ours"
	$(call install,peers)

peers: .venv/installed-peers
	$(bin)/python -m benchmarks.peers $(PEERS)

test: .venv/installed-test
	$(bin)/python -m pytest --numprocesses $(WORKERS) --dist worksteal --doctest-modules --durations 25 $(PYTEST)

lint: .venv/installed-test
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/lint-imports
	$(bin)/numpydoc lint $(api)
	$(bin)/python docs/_ext/english.py
	$(bin)/python docs/_ext/figures.py --check
	$(schema) vendor.github-workflows .github/workflows/*.yml
	$(schema) custom.github-workflows-require-timeout .github/workflows/*.yml
	$(schema) vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(schema) vendor.github-issue-forms $(forms)

$(lowest)/installed: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv $(lowest)
	@echo "Installing into $(lowest): the oldest versions allowed"
	$(lowest)/bin/python $(pip) \
	  --constraint constraints-lowest.txt --editable ".[test,docs]"
	@touch $@

# Not the pages and the types: they need what the package does not. The oldest typer makes the newest click warn.
test-lowest: $(lowest)/installed
	$(lowest)/bin/python -m pytest --numprocesses $(WORKERS) --ignore tests/docs/test_docs.py --ignore tests/docs/test_pages_in_browser.py --ignore tests/test_typing.py \
	  -W "ignore:'click.utils:DeprecationWarning" $(PYTEST)

truth: .venv/installed-test
	$(bin)/python benchmarks/harness_accuracy.py $(TRUTH)

ifneq ($(filter gate,$(MAKECMDGOALS)),)
  $(if $(BASE),,$(error BASE is missing: a branch, a tag or a hash, as in make gate BASE=main))
endif
# The command's exit code, 1 or 2, is in the last line of make, which itself ends with 2 for both.
gate: $(bench_stamp)
	$(bin)/unpool-xp gate $(BASE) $(if $(HEAD),--head $(HEAD)) \
	  $(if $(filter file,$(origin BACKENDS)),,$(foreach label,$(BACKENDS),--backend $(label))) \
	  $(foreach name,$(OPERATIONS),--operation $(name)) $(if $(BUDGET),--budget $(BUDGET)) $(GATE)

RUNS ?= 10
gate-proof: $(bench_stamp)
	$(bin)/python -m tests.support.injected_regression --runs $(RUNS) $(PROOF)

# asv builds an environment of its own, in .asv.
ASV_ARGS ?= HEAD
asv: .venv/installed-test
	$(bin)/python benchmarks/asv_run.py $(ASV_ARGS)

dashboard: .venv/installed-test
	$(bin)/python -m asv publish
	$(if $(OFFLINE),$(bin)/python benchmarks/asv_offline.py .asv/html)
	@echo "The page is in .asv/html. A browser reads it from a server alone: make preview"

preview: .venv/installed-test
	$(bin)/python -m asv preview

smoke: .venv/installed-test
	rm -rf .asv/smoke
	$(bin)/python benchmarks/asv_run.py --results .asv/smoke/asv --quick --python=same \
	  --set-commit-hash HEAD --bench "'nearest_unpool', 'small', 2, '(numpy|torch:cpu|jax:cpu|dask)'"
	$(bin)/python -m pytest benchmarks -q --backend numpy --operation max_unpool --size small \
	  --benchmark-storage=file://$(CURDIR)/.asv/smoke/pytest-benchmark

coverage: .venv/installed-test
	$(bin)/python -m pytest --numprocesses $(WORKERS) --cov --cov-report=term:skip-covered $(PYTEST)

faults: .venv/installed-test
	$(bin)/python -m pytest -m every_fault tests/bench/measure/test_faults.py

.venv/installed-mutate: .venv/installed-test
	$(bin)/python $(pip) --constraint constraints.txt --editable ".[mutate]"
	@touch $@

# Of all mutants at least 95 % must be killed: mutmut itself knows no limit.
score := import json; s = json.load(open("mutants/mutmut-cicd-stats.json")); \
  share = (s["killed"] + s["timeout"]) / (s["total"] - s["skipped"]); \
  print(f"{share:.1%} of the mutants are killed"); exit(share < 0.95)
mutate: .venv/installed-mutate
	$(bin)/mutmut run
	$(bin)/mutmut results
	$(bin)/mutmut export-cicd-stats
	$(bin)/python -c '$(score)'

SECONDS ?= 60
SEED ?= 0
fuzz: .venv/installed-test
	$(bin)/python -m tests.fuzz --seconds $(SECONDS) --seed $(SEED) $(FUZZ)

FILES ?= 1000
fuzz-rows: .venv/installed-test
	$(bin)/python -m tests.fuzz.rows --files $(FILES) --seed $(SEED) $(FUZZ)

docs: .venv/installed-test
	$(bin)/python -m sphinx -W --keep-going -b html docs docs/_build/html

pages: .venv/installed-test
	$(bin)/python -m pytest -m every_page tests/docs/test_pages_in_browser.py

figures: .venv/installed-test
	$(bin)/python docs/_ext/figures.py

.venv/installed-release: pyproject.toml | $(bin)/python
	$(bin)/python $(pip) --constraint constraints.txt build check-wheel-contents twine
	@touch $@

dist: .venv/installed-release
	rm -rf dist
	$(bin)/python -m build --outdir dist
	$(bin)/twine check --strict dist/*
	$(bin)/check-wheel-contents dist/*.whl

# The wheel, away from the checkout: with NumPy alone by the tests of the sdist that need no other
# library, then with what the commands need by what the README says.
PYTHONS ?= python3.11 python3.12 python3.13 python3.14
test-dist:
	set -e; tested=; for python in $(PYTHONS); do \
	  $$python -c "" 2> /dev/null || { echo "$$python is not here"; continue; }; \
	  echo "$$python"; rm -rf dist/test; mkdir dist/test; $$python -m venv dist/test/venv; \
	  tar -xzf dist/*.tar.gz --strip-components 1 -C dist/test; rm -r dist/test/unpool_xp; \
	  dist/test/venv/bin/python $(pip) dist/*.whl hypothesis pytest pytest-timeout; \
	  (cd dist/test && venv/bin/python -m pytest --quiet --noconftest tests/plan \
	    tests/docs/test_readme.py::test_its_five_lines_run --ignore tests/plan/test_cache.py); \
	  dist/test/venv/bin/python $(pip) "$$(echo dist/*.whl)[bench]"; \
	  dist/test/venv/bin/unpool-xp --help > dist/test/help.txt; \
	  (cd dist/test && venv/bin/python -m pytest --quiet --noconftest tests/docs/test_readme.py); \
	  tested=yes; \
	done; test "$$tested"

clean:
	rm -rf .venv .asv .gate build mutants dist docs/_build
