# make quick: an environment, then the quick suite to a leaderboard.   make test: the same, then tests.
# EXTRAS: [eeg] reads EEGMAT, which the suite open has; EXTRAS= installs none.
PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= [eeg]
PIP = $(VENV)/bin/python -m pip install --quiet -c constraints.txt

.PHONY: quick test

quick: $(VENV)/run
	$(VENV)/bin/affectbench run quick

test: $(VENV)/dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest -n logical --maxprocesses 8 --dist worksteal

$(VENV)/run: pyproject.toml constraints.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) -e '.$(EXTRAS)'
	touch $@

$(VENV)/dev: $(VENV)/run
	$(PIP) -e '.[dev]'
	touch $@
