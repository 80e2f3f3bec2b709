# The one door to this project: `make help` lists what it can do.
# The first call builds .venv/; nothing else on the machine is changed.

SHELL := /bin/sh
VENV := .venv/bin
.DEFAULT_GOAL := help

.PHONY: help
help:  ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup:  ## Build .venv/ from requirements/dev.txt (Python 3.11 or newer); the other targets do it when needed
	@scripts/setup.sh

.PHONY: demo
demo: setup  ## Run everything against the bundled sandbox and send mail through it; ONCE=1 ends after the proof
	@$(VENV)/python scripts/demo.py $(if $(filter-out 0,$(ONCE)),--once)

.PHONY: test
test: setup  ## Run the tests; T=tests/smtp chooses some, REQUIRE_SERVICES=1 fails what would be skipped
	$(VENV)/pytest -m "not soak" $(T)

.PHONY: run
run: setup  ## Run the gateway in one process with the environment's settings, and those of .env if there is one
	@$(VENV)/python scripts/run.py

.PHONY: lint
lint: setup  ## Check style, formatting and types
	$(VENV)/ruff check
	$(VENV)/ruff format --check
	$(VENV)/mypy

.PHONY: fmt
fmt: setup  ## Format the code and mend what can be mended
	$(VENV)/ruff check --fix-only
	$(VENV)/ruff format

.PHONY: lock
lock: setup  ## Compile requirements/*.in to *.txt with hashes; U=--upgrade takes newer versions
	$(LOCK) requirements/run.in --output-file requirements/run.txt
	$(LOCK) requirements/dev.in --output-file requirements/dev.txt
	$(LOCK) requirements/deploy.in --output-file requirements/deploy.txt

LOCK = $(VENV)/uv pip compile $(U) --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.PHONY: docs
docs: setup  ## Write what is made from sources: docs/settings.md, and the alert rules of deploy/
	$(VENV)/python manage.py settingsdoc
	$(VENV)/python scripts/write_rules.py

.PHONY: bench
bench: setup  ## Measure how fast mail is taken, beside Postfix and a bare aiosmtpd; B="--help" lists the choices
	$(VENV)/python -m scripts.bench.accept $(B)

.PHONY: soak
soak: setup  ## Run the long tests: kills, floods and hours of traffic
	$(VENV)/pytest -m soak $(T)

.PHONY: services-test
services-test: setup  ## Run the tests that need Redis, RabbitMQ and PostgreSQL programs, or say what to install
	@scripts/services.sh
	REQUIRE_SERVICES=1 $(VENV)/pytest -m "services and not soak" $(T)
