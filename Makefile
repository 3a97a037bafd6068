# On a Debian 12 machine with Python 3.11, pip, git and a network, `make demo` and `make test` set up all they need.
# What was set up is remembered under .make/, until pyproject.toml changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# docker.io brings the Docker Engine that tests run images with; skopeo and umoci read what we write; uidmap lets an
# ordinary user enter a user namespace.
TEST_PACKAGES := docker.io docker-registry openssl skopeo umoci uidmap mount runc crun busybox-static mmdebstrap qemu-user-static
BENCH_PACKAGES := docker.io docker-registry mmdebstrap skopeo
# Root needs no help to enter namespaces.
DEMO_PACKAGES := $(if $(filter 0,$(shell id -u)),,uidmap)

export PYTHON

.PHONY: help demo test lint format bench clean

help:
	@echo 'make demo    build examples/hello and run it'
	@echo 'make test    all tests (PYTEST_ARGS="-k word" for some of them)'
	@echo 'make lint    ruff and mypy'
	@echo 'make format  let ruff tidy up'
	@echo 'make bench   measure against docker build (BENCH_ARGS="--only context --runs 1" for a part of it)'
	@echo 'make clean   remove what these made'

demo: .make/demo
	$(BIN)/wherry build -t hello examples/hello
	$(BIN)/wherry run hello

test: .make/test
	@$(BIN)/python -m compileall -q src  # so that the start of the command is measured as users meet it
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: .make/lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .make/lint
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .make/bench
	$(BIN)/python -m bench $(BENCH_ARGS)

clean:
	rm -rf $(VENV) .make build dist bench-results .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/pyvenv.cfg:
	.ci/venv $(VENV)

.make/install: pyproject.toml $(VENV)/pyvenv.cfg
	$(PIP) install --quiet --editable .
	$(BIN)/python -m compileall -q src
	@mkdir -p .make && touch $@

.make/demo: .make/install
	@if [ -n "$(DEMO_PACKAGES)" ]; then .ci/packages $(DEMO_PACKAGES); fi
	@touch $@

.make/test: .make/install .ci/packages .ci/test-user
	.ci/packages $(TEST_PACKAGES)
	.ci/test-user
	$(PIP) install --quiet --editable '.[test]'
	@touch $@

.make/lint: .make/install
	$(PIP) install --quiet --editable '.[test,lint]'
	@touch $@

.make/bench: .make/install .ci/packages
	.ci/packages $(BENCH_PACKAGES)
	@touch $@
