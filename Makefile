# Everything a clean clone needs; `make run` and `make test` are all that has to be known.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NEEDS_STAMP := $(VENV)/.installed-needs
TEST_STAMP := $(VENV)/.installed-test
CHECK_STAMP := $(VENV)/.installed-check
BENCH_STAMP := $(VENV)/.installed-bench
NODE_STAMP := tests/clients/node_modules/.installed
CLIENTS_STAMP := tests/clients/cli/node_modules/.installed
SOURCES := $(shell find aibridge twisted -name '*.py') setup.cfg setup.py pyproject.toml
# More than there are cores: a test that talks to a process waits for it.
JOBS ?= 4

.DEFAULT_GOAL := help
.PHONY: help run run-proxy clients test test-all test-sources check format docs bench bench-check bench-overload bench-heeding debian clean

help:
	@echo "make run         start the bridge in the foreground on its embedded default"
	@echo "make run-proxy   start bridge and AI Proxy, with simulated providers under real providers' names"
	@echo "make test        run the tests"
	@echo "make test-all    run the slow ones as well, and all of them on the sources"
	@echo "make clients     install the coding agents that the slow tests use"
	@echo "make test-sources run them on the sources alone, nothing compiled, nothing installed"
	@echo "make check       lint, types, floors, pairing of modules and tests"
	@echo "make bench       measure side by side with nginx and others (see docs/performance.md)"
	@echo "make bench-check measure, and compare the ratios with those to be kept"
	@echo "make bench-overload  ask for more than there is, and see who gets what (see docs/overload.md)"
	@echo "make bench-heeding   see what heeding the provider's limits is worth (see docs/limits.md)"
	@echo "make docs        write the generated pages anew"
	@echo "make clean       forget everything that was built"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# What setup.cfg lists: what the package needs to run, and the extras that are named.
LISTED = $(BIN)/python -c "import configparser, sys; c = configparser.ConfigParser(); c.read('setup.cfg'); \
	print(c['options']['install_requires'], *(c['options.extras_require'][name] for name in sys.argv[1:]))"
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check install

$(NEEDS_STAMP): $(VENV)/bin/python setup.cfg
	$(LISTED) build > $@.txt
	$(PIP) -r $@.txt
	@touch $@

$(TEST_STAMP): $(NEEDS_STAMP)
	$(LISTED) build test > $@.txt
	$(PIP) -r $@.txt
	@touch $@

$(CHECK_STAMP): $(TEST_STAMP)
	$(LISTED) build test check > $@.txt
	$(PIP) -r $@.txt
	@touch $@

$(BENCH_STAMP): $(NEEDS_STAMP)
	$(LISTED) build bench > $@.txt
	$(PIP) -r $@.txt
	@touch $@

# A plain editable install would not register the twistd plugin; the normal one does. What was compiled before stays in
# build/, so that only changes are compiled. What is edited meanwhile is newer than the stamp.
$(STAMP): $(NEEDS_STAMP) $(SOURCES)
	@rm -rf build/bdist* build/lib; find build -name '*.py' -delete 2>/dev/null || true
	@touch $@-begun
	$(PIP) --upgrade --no-build-isolation --no-deps .
	@mv $@-begun $@

# The SDKs for Node, where npm is. Without them their tests are skipped, and the next time it is tried again.
$(NODE_STAMP): tests/clients/package.json
	@if ! command -v npm >/dev/null; then echo "npm is not here: the SDKs for Node are not tested"; \
	elif npm install --prefix tests/clients --no-package-lock --no-audit --no-fund --fetch-retries 1 --silent; \
	then touch $@; else echo "npm could not install the SDKs for Node: they are not tested"; fi

# Coding agents, of some 500 MB, for the slow tests alone; likewise.
$(CLIENTS_STAMP): tests/clients/cli/package.json
	@if ! command -v npm >/dev/null; then echo "npm is not here: coding agents are not tested"; \
	elif npm install --prefix tests/clients/cli --no-package-lock --no-audit --no-fund --ignore-scripts \
	--fetch-retries 1 --silent; then touch $@; else echo "npm could not install coding agents: they are not tested"; fi

clients: $(CLIENTS_STAMP)

run: $(STAMP)
	@exec $(BIN)/twistd -n --pidfile= aibridge $(ARGS)

run-proxy: $(STAMP)
	@exec $(BIN)/aibridge try-proxy $(ARGS)

# On what is installed, which is compiled where there is a C compiler; what is not installed, on the sources. All of it on
# the sources as well, which is what is installed elsewhere, and the slow ones take half an hour.
test: $(STAMP) $(TEST_STAMP) $(NODE_STAMP)
	$(BIN)/pytest -n $(JOBS) -m "not slow" $(ARGS)
	PYTHONPATH=$(CURDIR) $(BIN)/pytest -n $(JOBS) -m "not slow" tests/benchmarks

test-all: $(STAMP) $(TEST_STAMP) $(NODE_STAMP) $(CLIENTS_STAMP)
	$(BIN)/pytest -n $(JOBS) $(ARGS)
	PYTHONPATH=$(CURDIR) $(BIN)/pytest -n $(JOBS) $(ARGS)

# One run on the sources, without installing anything: for when there is work in progress.
test-sources: $(TEST_STAMP)
	PYTHONPATH=$(CURDIR) $(BIN)/pytest -n $(JOBS) -m "not slow" $(ARGS)

check: $(STAMP) $(CHECK_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest tests/test_floors.py tests/test_pairing.py tests/test_packaging.py

format: $(CHECK_STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)
	PYTHONPATH=. $(BIN)/python -m aibridge.daemon.reference
	PYTHONPATH=. $(BIN)/python -m aibridge.daemon.proxy.reference

# What the benchmarks compare with; Debian's, and only where that can be installed.
debian:
	@if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nginx-light haproxy golang-go gcc libc6-dev; \
	else echo "not root on Debian: install nginx, haproxy, go and a C compiler by hand to compare with them"; fi

bench: $(STAMP)
	$(BIN)/python -m benchmarks $(ARGS)

bench-check: $(STAMP)
	$(BIN)/python -m benchmarks --check $(ARGS)

bench-overload: $(STAMP) $(BENCH_STAMP)
	$(BIN)/python -m benchmarks.overload $(ARGS)

bench-heeding: $(STAMP)
	$(BIN)/python -m benchmarks.heeding $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis benchmarks/bin \
	  tests/clients/node_modules tests/clients/cli/node_modules
