# Two commands matter: `make run` starts the studio, `make test` checks everything.
# Both install what they need into .venv first. Paths are relative, so spaces in them are fine.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
BIND ?= 127.0.0.1:8080

.DEFAULT_GOAL := help
.PHONY: help run test lint bench install constraints clean

help:
	@echo "make run     install into $(VENV) and start the studio on http://$(BIND)"
	@echo "make test    install, then linters, types, import contracts and the whole test suite"
	@echo "make bench   install, then the benchmarks (ratios against named baselines)"
	@echo "make lint    only linters, types and import contracts"
	@echo "make clean   remove $(VENV) and caches; your data/ stays"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Atelier needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "==> Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "==> Installing Atelier into $(VENV) (PyTorch is the large part; once only)"
	@$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[all]"
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp
	@echo "==> Installing the test tools"
	@$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[all,dev]"
	@touch $@

install: $(VENV)/run.stamp

run: $(VENV)/run.stamp
	@echo "==> Starting the studio (Ctrl-C stops it; everything is kept in data/)"
	@ATELIER_WEB_BIND="$${ATELIER_WEB_BIND:-$(BIND)}" exec $(PY) -m bot up

lint: $(VENV)/test.stamp
	@echo "==> ruff (style and mistakes)"
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@echo "==> mypy (types)"
	@$(PY) -m mypy
	@echo "==> import-linter (who may import whom)"
	@$(PY) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"

test: lint
	@echo "==> pytest"
	@$(PY) -m pytest

bench: $(VENV)/test.stamp
	@echo "==> benchmarks"
	@$(PY) -m pytest tests/benchmarks --timeout 1200 -q -s --benchmark-disable-gc

constraints: $(VENV)/test.stamp
	@( echo "# Exact versions of everything Atelier installs. Regenerate with: make constraints"; \
	   $(PY) -m pip freeze --exclude-editable | sed 's/+cpu$$//' ) > constraints.txt

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
