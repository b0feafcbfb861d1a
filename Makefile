# make demo | test | check | reproduce | overhead | plots: each makes .venv first when it is missing or older than what it is made from.
PYTHON := $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
STAMP := .venv/.installed
OLDEST := .venv-oldest
# One process a core, each with one thread; a module's tests stay together, for they share their models.
PYTEST := -q -n auto --maxprocesses 4 --dist loadscope

.PHONY: demo test slow browser oldest check format reproduce overhead plots

demo: $(STAMP)
	$(BIN)/stitch demo

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest $(PYTEST)

slow: $(STAMP)
	$(BIN)/pytest -q -m 'slow and not gpu and not vllm and not browser' || [ $$? -eq 5 ]  # 5: there are no slow tests

browser: $(STAMP)
	$(BIN)/pytest -q -m browser

oldest: $(OLDEST)/.installed
	OMP_NUM_THREADS=1 $(OLDEST)/bin/pytest $(PYTEST)

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The checked-in tables and figures under results/; goes on where it stopped. Seconds need an otherwise idle machine.
reproduce: $(STAMP)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-2} $(BIN)/python benchmarks/reproduce.py

# What the data path itself costs and saves: results/guide_overhead.json and results/pruned_prefill.json, about ten minutes.
overhead: $(STAMP)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-2} $(BIN)/python benchmarks/guide_overhead.py
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-2} $(BIN)/python benchmarks/pruned_prefill.py

# The figures alone, from the tables that are checked in.
plots: $(STAMP)
	$(BIN)/python benchmarks/reproduce.py --plots

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "stitch needs Python 3.11 or newer, and none was found: install one" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

# The oldest supported transformers beside the pinned versions of everything else.
$(OLDEST)/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "stitch needs Python 3.11 or newer, and none was found: install one" >&2; exit 1; }
	test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	sed 's/^transformers==.*/transformers==5.17.0/; s/^huggingface_hub==.*/huggingface_hub==1.33.0/' constraints.txt > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -c $(OLDEST)/constraints.txt -e '.[dev]'
	touch $@
