.PHONY: app demo test torture coverage docs screenshots lint types bench clean
# Everything is set up from here: a virtual environment of the project's own,
# with the versions pinned in constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.stamp-venv: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("tokenkeep needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[cli,zoho,testing,mysql,postgres,redis,aws,otel,web]' --requirement requirements-dev.txt
	@touch $@

# The older generations of the official SDK, each in a folder of its own:
# they all install the same package name, so they can't be together.
.stamp-sdk: .stamp-venv constraints.txt
	@for n in 5 6 7; do \
	  $(BIN)/python -m pip install --quiet --no-deps --upgrade --constraint constraints.txt --target .sdk/$${n}_0 zohocrmsdk$${n}_0 || exit 1; \
	done
	# 5_0 imports its MySQL driver at once.
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --constraint constraints.txt --target .sdk/5_0 mysql-connector-python
	@touch $@

# The sample application: make app WORKERS=2 PORT=8418
WORKERS ?= 1
PORT ?= 8418
app: .stamp-venv
	PYTHONPATH=examples $(BIN)/python -m crm_desk --workers $(WORKERS) --port $(PORT)

demo: .stamp-venv
	$(BIN)/tokenkeep demo

# The servers and the browser the tests start: installed where that can be done without asking.
# What is missing is skipped, and named at the end.
.stamp-servers:
	@tests/support/install-servers $@

TESTED = .stamp-venv .stamp-sdk .stamp-servers

test: $(TESTED)
	$(BIN)/python -m pytest --numprocesses 2 -m 'not slow'

# What waits or kills in real time on purpose; with PART=ci, the two minutes of it that .ci/run runs.
torture: $(TESTED)
	$(BIN)/python -m pytest --numprocesses 2 -m 'slow$(if $(PART),(part="$(PART)"))'

# As test, with the lines that no test has run. It takes twice as long.
coverage: $(TESTED)
	@rm -f .coverage .coverage.*
	$(BIN)/python -m coverage run -m pytest --numprocesses 2 -m 'not slow'; status=$$?; \
	  $(BIN)/python -m coverage combine --quiet; $(BIN)/python -m coverage report; exit $$status

# The pictures of the sample application's README, made anew.
screenshots: .stamp-venv .stamp-servers
	SCREENSHOTS=yes $(BIN)/python -m pytest tests/browser/test_screenshots.py

# The site, into site/; a link that leads nowhere is an error.
docs: .stamp-venv
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: .stamp-venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .stamp-venv
	$(BIN)/mypy
	# Without the second folder it takes what SQLAlchemy and boto3 bring for unknown.
	PYTHONPATH=src:$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') $(BIN)/pyright --pythonpath $(CURDIR)/$(BIN)/python --ignoreexternal --verifytypes tokenkeep

bench: .stamp-venv
	@for each in bench/bench_*.py; do echo "== $$each"; $(BIN)/python $$each || exit 1; done

clean:
	rm -rf site .venv .sdk .stamp-* .pytest_cache .mypy_cache .ruff_cache .coverage .coverage.*
