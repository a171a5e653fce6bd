# `make demo` and `make test` set up whatever they need, and are quick the second time.
#
#   PYTHON     the interpreter that makes the virtual environment (3.10 or newer)
#   VENV       the folder of that environment
#   PIP_ARGS   more options for pip, such as an index that has a build of torch for your device
#   LEGACY     the transformer-lens that `make test-legacy` tests with: 2.18.0, 3.9.0, ...
#   LOCK_ARGS  more options for `make lock`

PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
LOCK_ARGS ?=
LEGACY ?= 2.18.0
VENV_LEGACY ?= .venv-legacy-$(LEGACY)
PY := $(VENV)/bin/python

# Named by the content of what it depends on: switching branches back and forth installs nothing.
INSTALLED := $(VENV)/.installed-$(shell cat pyproject.toml constraints.txt sp_widget/_version.py | cksum | tr ' ' -)
# What builds the bundle is a twentieth of what checks its sources.
NODE_BUILD := js/node_modules/esbuild/package.json
NODE_ALL := js/node_modules/.all
INSTALLED_LEGACY := $(VENV_LEGACY)/$(notdir $(INSTALLED))
BUNDLE := sp_widget/static/panel.js
JS_SOURCES := $(shell find js \( -name node_modules -o -name test \) -prune -o -type f -print)
CHROMIUM := $(VENV)/.chromium

# Where it is set, each of some fifty processes would compile again all that it imports.
unexport PYTHONDONTWRITEBYTECODE

# Not quiet: it takes minutes. What is imported is compiled then, and that is a small part.
PIP_OPTIONS := --disable-pip-version-check --no-compile --progress-bar on

# Two processes with one thread each keep two cores busier than one process with two threads; three
# are not quicker. In the order of the folders: xdist would keep the modules of few tests for the
# end, which take longest.
PYTEST_PARALLEL := OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadscope --no-loadscope-reorder
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout 600 \
	--nbval-sanitize-with tests/nbval_sanitize.cfg

SIDE_BY_SIDE := --no-print-directory -j2
# GNU make 3.81, which macOS has, mixes the outputs.
SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help setup demo test lint types docs test-js test-python test-notebooks test-python-and-notebooks test-browser \
	test-install test-legacy audit format build lock clean distclean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## the virtual environment with everything, for work in an editor

demo: $(INSTALLED) ## open JupyterLab on notebooks/01_quickstart.ipynb
	$(VENV)/bin/sp-widget demo --dir notebooks

# JavaScript is checked while pip installs, which takes a minute of one core, and types while the
# tests begin.
test: ## check everything
	@$(MAKE) $(SIDE_BY_SIDE) $(INSTALLED) test-js
	@$(MAKE) $(SIDE_BY_SIDE) $(SYNC) lint docs
	@$(MAKE) $(SIDE_BY_SIDE) types test-python-and-notebooks
	@$(MAKE) --no-print-directory test-browser
	@echo
	@echo "sp_widget: every check passed: format, lint, floors, types, JavaScript, documentation,"
	@echo "Python, notebooks, browser."

lint: $(INSTALLED) ## format and lint of the Python code and the notebooks, and the floors
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/lint-imports --no-cache

docs: $(INSTALLED) ## the documentation as a site in site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

types: $(INSTALLED) ## static types of the package
	$(VENV)/bin/mypy

test-js: $(NODE_ALL) ## types, lint, format and unit tests of js/
	cd js && npm run check

test-python: $(INSTALLED) ## the Python tests, those of the wheel and the command line included
	$(PYTEST_PARALLEL)

test-notebooks: $(INSTALLED) ## run the tutorials and compare their outputs with the stored ones
	$(PYTEST_PARALLEL) $(NBVAL) notebooks

# The notebooks first: they take longest, and the rest fills up what they leave.
test-python-and-notebooks: $(INSTALLED) # both at once, as `make test` runs them
	$(PYTEST_PARALLEL) $(NBVAL) notebooks tests

# Three at once, because a test waits for the page half of its time.
test-browser: $(INSTALLED) $(NODE_ALL) $(CHROMIUM) ## drive JupyterLab and Notebook in a real Chromium
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 3 --dist worksteal -m browser tests/browser

test-install: $(INSTALLED) ## the wheel and all it needs in an empty environment (minutes, not in test)
	SP_WIDGET_FULL_INSTALL=1 $(PY) -m pytest tests/package/test_distribution.py -k "demo or installed"

test-legacy: $(INSTALLED_LEGACY) ## models of an older transformer-lens, in another environment (not in test)
	OMP_NUM_THREADS=1 $(VENV_LEGACY)/bin/python -m pytest -m legacy tests/legacy

audit: $(INSTALLED) $(NODE_ALL) ## known weaknesses in what is installed; asks the indices of advisories (not in test)
	$(PY) -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) 'pip-audit>=2.9,<3'
	@failed=0; \
	$(VENV)/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip || failed=1; \
	(cd js && npm audit) || failed=1; \
	[ $$failed = 0 ] || echo "SECURITY.md judges each finding; add those that it does not know." >&2; \
	exit $$failed

format: $(INSTALLED) $(NODE_ALL) ## format all code, and mend what the linters can mend
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	cd js && npm run format

build: $(INSTALLED) ## the sdist and the wheel, in dist/
	$(PY) -m build

lock: | $(PY) ## renew constraints.txt; LOCK_ARGS=--upgrade takes the newest of everything
	$(PY) -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) 'uv>=0.9,<1'
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.10 --extra dev \
		--no-annotate --custom-compile-command 'make lock' $(LOCK_ARGS) \
		--output-file constraints.txt pyproject.toml

clean: ## remove what was built and what test runs left behind
	rm -rf dist site sp_widget/static test-artifacts .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -not -path './js/node_modules/*' \
		-prune -exec rm -rf {} +

distclean: clean ## remove the virtual environment and node_modules too
	rm -rf $(VENV) $(VENV_LEGACY) js/node_modules

$(PY):
	@command -v $(PYTHON) > /dev/null || \
		{ echo "Python 3.10 or newer is needed: '$(PYTHON)' was not found. Try: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The bundle comes first, so that the build hook finds it fresh.
$(INSTALLED): | $(BUNDLE) $(PY)
	@echo "Installing into $(VENV): minutes the first time, nothing when pyproject.toml is the same."
	$(PY) -m pip install $(PIP_OPTIONS) $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	@rm -f $(VENV)/.installed-*
	@touch $@

# Older versions of most things, but the same torch: its newest may be built for another device.
$(INSTALLED_LEGACY): | $(BUNDLE)
	$(PYTHON) -m venv $(VENV_LEGACY)
	$(VENV_LEGACY)/bin/pip install $(PIP_OPTIONS) $(PIP_ARGS) \
		-c tests/legacy/constraints.txt $(shell grep '^torch==' constraints.txt) \
		'transformer-lens==$(LEGACY)' 'pytest>=9,<10' -e .
	@rm -f $(VENV_LEGACY)/.installed-*
	@touch $@

$(NODE_BUILD): js/package.json js/package-lock.json
	@command -v node > /dev/null && command -v npm > /dev/null || \
		{ echo "Node.js 20.19 or newer is needed to build the widgets: 'node' or 'npm' was not found." >&2; exit 1; }
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(a * 100 + +b < 2019 ? 1 : 0)' || \
		{ echo "Node.js 20.19 or newer is needed to build the widgets; this is $$(node --version)." >&2; exit 1; }
	cd js && npm ci --omit=dev --no-audit --no-fund
	@touch $@

# After the bundle, for which it would take the tools away for a moment.
$(NODE_ALL): js/package.json js/package-lock.json | $(BUNDLE)
	cd js && npm ci --no-audit --no-fund
	@touch $(NODE_BUILD) $@

# The panel has docs/method.md in it, for its links.
$(BUNDLE): $(JS_SOURCES) docs/method.md | $(NODE_BUILD)
	cd js && npm run build
	@touch $@

$(CHROMIUM): tests/chromium.py | $(INSTALLED)
	$(PY) tests/chromium.py --install > $@
