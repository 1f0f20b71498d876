# humalign. `make help` lists what can be made; everything lands in .venv/ and build/.

BIN     := .venv/bin
READY   := .venv/.ready
LOG     := build/setup.log
PROFILE ?=
RUN     := $(BIN)/humalign run
MADE    := $(CURDIR)/build/rehearsal-inputs
RECORD  := $(or $(PROFILE),demo)
WITH    := $(if $(PROFILE),--profile $(PROFILE))
# Memory that tests free is kept for the next pictures: to have the system clear it anew takes an eighth of the longest.
KEPT    := MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8589934592
# The first interpreter that is new enough; the pins were locked with 3.11.
NEW     := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON  := $(shell for p in python3.11 python3; do $$p -c '$(NEW)' 2>/dev/null && echo $$p && break; done)

.DEFAULT_GOAL := help
.PHONY: help setup reproduce rehearse book test lint bench notebooks record clean

help: ## list what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 18
	@echo "  PROFILE=demo after reproduce or book picks the profile"

setup: $(READY) ## install everything that is pinned, about 6 GB, into .venv

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "setup: no Python 3.11 or newer: install python3.11, then run the same command again" >&2; exit 1; }
	@mkdir -p build && echo "setup: installing about 6 GB into .venv, about five minutes; the log is $(LOG)" >&2
	@{ $(PYTHON) -m venv .venv && $(BIN)/pip install --no-input --disable-pip-version-check -r requirements.lock \
	   && $(BIN)/pip install --no-deps --no-build-isolation --disable-pip-version-check -e . ; } >$(LOG) 2>&1 || $(STOPPED)
	@touch $@

# What went wrong, in one line; what is installed by then stays.
REASON  = failed to establish a new connection|name resolution|timed out|no space left on device|ensurepip is not available|^error: .*
STOPPED = { echo "setup: stopped ($$(grep -m1 -oiE '$(REASON)' $(LOG) | cut -c1-120)); it needs a network, 10 GB of disk and" \
	"Python's venv module: run the same command again, it continues; the log is $(LOG)" >&2; exit 1; }

reproduce: setup ## run every step that is not up to date by the chapters, and render the book
	@$(RUN) all $(WITH)

rehearse: setup ## run the profile paper in small, on inputs that are made here, and render the book: minutes, without a GPU
	@$(BIN)/python tests/rehearsal_inputs.py $(MADE)
	@HUMALIGN_DATA=$(MADE)/data HUMALIGN_IMAGENET=$(MADE)/imagenet HUMALIGN_WEIGHTS=$(MADE)/weights $(RUN) all --profile rehearsal

book: setup ## render the book from what has been run
	@$(RUN) book $(WITH)

# Files in their own order: those of the chain take longest and come first; by number of tests they would come last.
test: setup lint ## lint, then every test, then every chapter against its committed outputs
	@$(KEPT) $(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder tests
	@$(KEPT) HUMALIGN_BOOK_PICTURES=names $(BIN)/pytest --numprocesses 2 --dist loadfile --nbval --nbval-current-env notebooks

lint: setup ## ruff and mypy
	@$(BIN)/ruff check . && $(BIN)/mypy humalign

bench: setup ## time what takes long
	@for file in benchmarks/*.py; do $(BIN)/python "$$file" || exit 1; done

notebooks: setup ## execute the committed chapters in place, on the recorded runs
	@HUMALIGN_BOOK_PICTURES=names $(BIN)/python -m humalign.show.notebooks

record: ## make a profile's scores and summaries the recorded ones, and redraw the committed chapters from them
	@mkdir -p book/recorded/$(RECORD)
	@cd build/$(RECORD) && cp scores.csv provenance.json steps.json $(CURDIR)/book/recorded/$(RECORD)/
	@test ! -f build/$(RECORD)/illustrations.json || cp build/$(RECORD)/illustrations.json book/recorded/$(RECORD)/
	@$(MAKE) --no-print-directory notebooks

clean: ## remove what was made, but not the environment
	@rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
