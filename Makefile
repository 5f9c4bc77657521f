# make help lists the targets. Shell of more than three lines is in scripts/.

PORT ?= 8080
ROOT ?= var
N ?= 100
SEED ?= 0
ARGS ?=
JOBS ?= $(shell echo $$(($$(nproc) + 1)))

BIN := .venv/bin
BUILD := pyproject.toml scripts/venv.sh scripts/install.sh requirements/build.txt \
	hatch_build.py $(wildcard eventspine/native/*.[ch])
RUNTIME := .venv/stamp-runtime
DEV := .venv/stamp-dev
BROWSER := tests/browser/node_modules/.stamp
FAST := not slow and not root and not browser and not torture

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help serve test check torture simulate sanitize bench coverage format lock setup debian clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(RUNTIME)  ## serve on http://127.0.0.1:8080, data in var/ (PORT= ROOT=)
	@exec sh scripts/serve.sh "$(ROOT)" "$(PORT)"

test: setup  ## every check and every test, set-up included (ARGS= goes to pytest)
	@sh scripts/test.sh $(ARGS)

check: $(DEV)  ## the inner loop: format, lint, types, layers, fast tests (JOBS= at once)
	@$(BIN)/ruff format --check --quiet --output-format concise . && $(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest -q -n $(JOBS) --dist worksteal \
		--hypothesis-profile=inner -m '$(FAST)' $(ARGS)

torture: $(DEV)  ## faults, N rounds of each (N=100), written to docs/EVIDENCE.md
	@PATH="$(CURDIR)/$(BIN):$$PATH" EVENTSPINE_TORTURE_ROUNDS="$(N)" \
		EVENTSPINE_TORTURE_EVIDENCE="$${EVENTSPINE_TORTURE_EVIDENCE-docs/EVIDENCE.md}" \
		$(BIN)/pytest -m torture --timeout=0 $(ARGS)

simulate: $(DEV)  ## one schedule of the simulation again, told line by line (SEED=)
	@$(BIN)/python -m tests.simulation $(SEED) -v

sanitize: $(DEV)  ## the compiled module under AddressSanitizer and UBSan (ARGS= goes to pytest)
	@sh scripts/sanitize.sh $(ARGS)

bench: $(DEV)  ## the benchmarks of bench/, peers installed (ARGS= goes to them)
	@sh scripts/setup-bench.sh
	@$(BIN)/python -m bench $(ARGS)

coverage: $(DEV)  ## the fast tests, with the lines and branches they miss
	@$(BIN)/coverage erase && PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/coverage run -m pytest -q -m '$(FAST)' $(ARGS)
	@$(BIN)/coverage combine --quiet && $(BIN)/coverage report

format: $(DEV)  ## format and mend what ruff can mend
	@$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format .

lock: $(DEV)  ## pin requirements/*.txt anew (UPGRADE=1 takes newer versions)
	@UPGRADE="$(UPGRADE)" sh scripts/lock.sh

setup: debian $(DEV) $(BROWSER)  ## all that the tests need, without running them

clean:  ## remove what make made, and no data
	rm -rf .venv build dist eventspine/native/*.so .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	rm -rf .import_linter_cache tests/browser/node_modules
	find eventspine tests bench -name __pycache__ -prune -exec rm -rf {} +

debian:
	@sh scripts/setup-debian.sh

$(RUNTIME): requirements/runtime.txt $(BUILD)
	@sh scripts/venv.sh && sh scripts/install.sh runtime
	@touch $@

$(DEV): requirements/runtime.txt requirements/test.txt requirements/lint.txt $(BUILD)
	@sh scripts/venv.sh && sh scripts/install.sh runtime test lint
	@touch $(RUNTIME) $@

# Without npm the browser tests say what they miss; the others run.
$(BROWSER): tests/browser/package.json tests/browser/package-lock.json | debian
	@if command -v npm >/dev/null; then cd tests/browser && npm ci --silent --no-audit --no-fund && touch node_modules/.stamp; \
	else echo "set-up: no npm, so no packages for the browser tests"; fi
