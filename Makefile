# The one door to this project: `make help` lists what it can do.
# The first call builds .venv/; nothing else on the machine is changed.

SHELL := /bin/sh
VENV := .venv/bin
.DEFAULT_GOAL := help

.PHONY: help
help:  ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup:  ## Build .venv/ from requirements/dev.txt (Python 3.11 to 3.14; PYTHON=… chooses); the other targets do it when needed
	@scripts/setup.sh

.PHONY: demo
demo: setup  ## Run everything against the bundled sandbox and send mail through it; ONCE=1 ends after the proof
	@$(VENV)/python scripts/demo.py $(if $(filter-out 0,$(ONCE)),--once)

.PHONY: test
test: setup  ## Run the tests; T=tests/smtp chooses some, REQUIRE_SERVICES=1 fails what would be skipped
	$(VENV)/pytest $(if $(T),,-n $(N) --dist loadfile --durations 25) -m "not soak and not image" $(T)

# Most tests wait for processes: three at once keep two cores busy.
N ?= 3

.PHONY: test-newest
test-newest: setup  ## Run the unit suites on the newest Python, and compare what both read; as root, on Debian
	@scripts/newest-python.sh

.PHONY: run
run: setup  ## Run the gateway in one process with the environment's settings, and those of .env if there is one
	@$(VENV)/python scripts/run.py

.PHONY: lint
lint: setup  ## Check style, formatting and types
	$(VENV)/ruff check
	$(VENV)/ruff format --check
	$(VENV)/mypy

.PHONY: fmt
fmt: setup  ## Format the code and fix what can be fixed
	$(VENV)/ruff check --fix-only
	$(VENV)/ruff format

.PHONY: lock
lock: setup  ## Compile requirements/*.in to *.txt with hashes; U=--upgrade takes newer versions
	$(LOCK) requirements/run.in --output-file requirements/run.txt
	$(LOCK) requirements/sandbox.in --output-file requirements/sandbox.txt
	$(LOCK) requirements/dev.in --output-file requirements/dev.txt
	$(LOCK) requirements/deploy.in --output-file requirements/deploy.txt
	$(LOCK) requirements/tracing.in --output-file requirements/tracing.txt

LOCK = $(VENV)/uv pip compile $(U) --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.PHONY: docs
docs: setup  ## Write what is made from sources: docs/settings.md, and the alert rules of deploy/
	$(VENV)/python manage.py settingsdoc
	$(VENV)/python scripts/write_rules.py

.PHONY: screenshots
screenshots: setup  ## Make the pictures in docs/images again, from a gateway before the sandbox; needs chromium
	@$(VENV)/python -m scripts.screenshots.take

.PHONY: bench
bench: setup  ## Measure taking mail (beside Postfix and aiosmtpd), sending it, large mail, and the console
	$(VENV)/python -m scripts.bench.accept
	$(VENV)/python -m scripts.bench.delivery
	$(VENV)/python -m scripts.bench.large
	$(VENV)/python -m scripts.bench.console

.PHONY: soak
soak: setup  ## Run the long tests: kills, floods and hours of traffic
	$(VENV)/pytest -m soak $(T)

.PHONY: services-test
services-test: setup  ## Run the tests that need Redis, RabbitMQ and PostgreSQL programs, or say what to install
	@scripts/services.sh
	@scripts/install-test-clients.sh
	@$(VENV)/python scripts/fetch_corpora.py
	REQUIRE_SERVICES=1 $(VENV)/pytest -m "services and not soak" $(T)

.PHONY: ci
ci:  ## All that must hold before a change counts: on Debian as root it installs the programs that tests start
	bash .ci/run

.PHONY: deploy-tools
deploy-tools: setup  ## Install what tests/deploy checks docker/ and deploy/ with, into .venv/tools
	@scripts/deploy-tools.sh

.PHONY: image
image:  ## Build the container image; I="--load --tag NAME" are arguments of docker buildx build
	docker/build.sh $(I)

.PHONY: image-test
image-test: setup  ## Build the image by an engine of its own, and run it as the manifests and compose do; Debian and root
	@scripts/deploy-tools.sh
	$(VENV)/python -m tests.image $(T)

.PHONY: image-scan
image-scan:  ## Look for known weaknesses in IMAGE; fails for those that are serious and have a fix
	docker run --rm --volume /var/run/docker.sock:/var/run/docker.sock aquasec/trivy:0.66.0 image \
		--exit-code 1 --severity HIGH,CRITICAL --ignore-unfixed $(IMAGE)

.PHONY: image-sbom
image-sbom:  ## Write what is inside IMAGE to sbom.cdx.json (CycloneDX); needs syft
	syft scan $(IMAGE) --output cyclonedx-json=sbom.cdx.json

.PHONY: image-sign
image-sign:  ## Sign IMAGE and attach its list of parts, by the identity of the workflow; needs cosign
	cosign sign --yes --recursive $(IMAGE)
	cosign attest --yes --type cyclonedx --predicate sbom.cdx.json $(IMAGE)

.PHONY: release-notes
release-notes:  ## Print the section of CHANGELOG.md for VERSION
	@python3 scripts/release_notes.py $(VERSION)
