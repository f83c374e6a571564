# Each target makes the environment it needs; only Python 3.11+ and make must be there.
#   make quickstart                  train on handwritten digits
#   make test                        lint and the tests (PYTHON=python3.13 for another Python)
#   make test-all                    the slow tests too (full-size networks)
#   make docs                        build the site of docs/ in site/, with links checked
#   make house                       print the folders of the package by floor

PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV := .venv/$(VERSION)
RUN := $(VENV)/bin/python

.PHONY: quickstart test test-all lint format docs house clean

quickstart: $(VENV)/run
	$(RUN) -m inception_jax train --config configs/quickstart.py --workdir runs/quickstart

test: lint
	$(RUN) -m pytest -n auto --dist loadfile

test-all: lint
	$(RUN) -m pytest -n auto --dist loadfile -m 'slow or not slow'

lint: $(VENV)/dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

format: $(VENV)/dev
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

docs: $(VENV)/docs
	$(RUN) tests/helpers/pages.py
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

house: $(VENV)/run
	$(RUN) tests/helpers/house.py

clean:
	rm -rf .venv runs site .cache .pytest_cache .ruff_cache

$(VENV)/run: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or newer is needed, $(PYTHON) is $(VERSION): make PYTHON=python3.12 ...'; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt -e .
	@touch $@

$(VENV)/dev: requirements-dev.txt $(VENV)/run
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(VENV)/docs: requirements-docs.txt $(VENV)/run
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	@touch $@
