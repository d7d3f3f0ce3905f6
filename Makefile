# `make` or `make help` lists what can be made. Everything runs in .venv, which is made on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/dev.txt
# The environment is made again when the lock or the project's own metadata changes in content, not in date.
STAMP := $(VENV)/.made-$(shell cat $(LOCK) pyproject.toml | sha256sum | cut -c1-16)
# What a change must pass; the rest has targets of its own below.
TESTS := not faults and not full and not live and not deploy and not image and (not servers or contracts)
# Every file of a data folder damaged at each place: it computes, while servers and processes are killed beside it.
DAMAGE := tests/faults/test_damage.py
# Where this is set, as in many images, each of the many processes that tests start would compile all of ullage anew.
unexport PYTHONDONTWRITEBYTECODE
# What is written durably waits for the disk: in memory, where 4 GB are free for files, units take a third as long.
IN_MEMORY := $(shell test "$$(df -k --output=avail /dev/shm 2>/dev/null | tail -n 1)" -gt 4000000 2>/dev/null && test -w /dev/shm && echo /dev/shm)
# With SLOWEST=20 each run lists its slowest twenty tests.
ON_DISK = $(BIN)/pytest -q $(if $(SLOWEST),--durations $(SLOWEST))
PYTEST = PYTEST_DEBUG_TEMPROOT=$(IN_MEMORY) $(ON_DISK)
# Everything that a release ships, by name: pip-compile writes where the checkout lies for `all`, which names this project itself.
ALL = $(addprefix --extra ,crawl match parquet formats alert export search oidc intake matrix xmpp telegram kafka elasticsearch timestamp)
PIP_COMPILE = CUSTOM_COMPILE_COMMAND="make lock" .lock_cache/bin/pip-compile --quiet --generate-hashes --no-strip-extras \
	--allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

.DEFAULT_GOAL := help
.PHONY: help env check lint types patterns units flow coverage mutants contracts test-full faults-damage faults-kills test fuzz test-servers test-faults test-live test-deploy test-image docs demo services services-stop bench simulate boards bundle pictures messages lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

env: $(STAMP) ## make .venv with the locked dependencies

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "ullage needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: on Debian, apt install python3-venv"; exit 1; }
	@echo "installing the locked dependencies into $(VENV) …" >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.made-*
	@touch $@

check: env ## lint, format, types, import rules, regular expressions, names
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line lint types patterns naming

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: env
	$(BIN)/mypy

patterns: env ## whether each regular expression takes no longer than its text is long
	$(BIN)/python -m harness.patterns

naming: env ## whether function names, docstrings and variables are plain English (LIST="FOLDER…": where not)
	$(BIN)/python -m harness.naming $(if $(LIST),--list $(LIST))

units: env ## unit tests alone, without sites and servers
	$(PYTEST) -n auto -m "$(TESTS) and not flow and not servers"

flow: env ## tests with real processes and real site software
	$(PYTEST) -n auto -m "flow and not full"

contracts: env ## the contract suites on real Kafka and Elasticsearch (needs Maven and a JDK 21 or newer)
	$(PYTEST) -n auto -m "contracts and not full"

test-full: env ## the tables of which `make test` runs some, and the contracts on every version of Elasticsearch
	$(PYTEST) -n auto -m "full and not faults and not live and (not servers or contracts)"

coverage: env ## which lines and branches units and flow tests run (not part of test: it costs as much again)
	$(ON_DISK) -m "not servers and not faults and not full and not live and not deploy and not image" --cov

fuzz: env ## property tests with random search, then parsers led by coverage, for MINUTES (5 unless told); an issue is resolved after 30 without a find
	$(BIN)/python -m harness.fuzz $(or $(MINUTES),5) $(IN)

mutants: env ## small changes of bus, store, grouping, retention, notification and supervisor: does a test notice? (SAMPLE=300 of them, 0: all; SEED=1; ONLY="area area")
	TMPDIR=$(IN_MEMORY) nice $(BIN)/python -m harness.mutants $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

test-servers: env ## everything else on real servers: security, refusals, privacy, short faults (a quarter of an hour; IN="folder" runs some)
	$(ON_DISK) -m servers $(or $(IN),--ignore tests/contracts --ignore tests/ullage)

test-faults: env ## kills and outages in full length on real servers (half an hour; ONLY="expression" runs some)
ifdef ONLY
	$(ON_DISK) -m faults --timeout 1800 -k "$(ONLY)"
else
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line faults-damage faults-kills
endif

faults-damage: env
	$(PYTEST) -m faults --timeout 1800 $(DAMAGE)

faults-kills: env
	$(ON_DISK) -m faults --timeout 1800 --ignore=$(DAMAGE)

test-live: env ## Prometheus and Alertmanager watch the demo, real boards are crawled, the desk in Chromium (Debian: prometheus, prometheus-alertmanager, fossil, redis-server, npm, chromium, bubblewrap, prosody, dovecot-imapd, nodejs, nginx-light, ikiwiki, chronicle, mhonarc)
	$(ON_DISK) -m live harness/live

test-deploy: env ## wheel, archive, units, compose file and chart, each tried as far as it can be here (needs root; Debian: systemd, nginx-light, libnginx-mod-stream, etcd-server; Helm 3 and kubeconform, or Go that builds them; an API server of python -m tests.deploy.api_server)
	$(ON_DISK) -m deploy --timeout 1200 tests/deploy

test-image: env ## the container's image, built and run without a registry (needs root; Debian: buildah, debootstrap; its base is kept in ULLAGE_DEPLOY_CACHE)
	$(ON_DISK) -m image --timeout 3600 tests/deploy/test_image.py

# The cheapest check fails first. Then one queue of all tests: tests/running/work_queue.py.
test: ## check, units, contracts, flow: all that a change must pass
	@$(MAKE) --no-print-directory check
	@$(PYTEST) -n auto -m "$(TESTS)"

demo: env ## the whole product against real sites on loopback (ONCE=1 exits at the end, BACKEND=distributed: on real servers)
	$(BIN)/ullage --data .demo demo $(if $(ONCE),--once) $(if $(BACKEND),--backend $(BACKEND))

services: env ## start real Kafka and Elasticsearch on loopback, in the background (needs Maven and a JDK 21 or newer)
	@$(BIN)/python -m deploy.local.services start

services-stop: env ## end them; their data stay for the next start
	@$(BIN)/python -m deploy.local.services stop

bench: env ## measure throughput and latency
	$(if $(wildcard harness/bench),$(BIN)/python -m harness.bench,@echo "no benchmarks")

boards: env ## the boards as pictures, of what a real Prometheus answers while the demo runs (TO=folder; Debian: prometheus, prometheus-alertmanager)
	@$(BIN)/python -m harness.live.boards $(or $(TO),docs)

bundle: env ## wheel, sdist and, with KEY=release.key, one signed archive that installs without network, into dist/ (docs/release.md)
	@$(BIN)/python -m deploy.bundle $(if $(KEY),--key $(KEY))

pictures: env ## every page of the desk as a picture, in all widths, colours, languages and states (TO=folder; needs chromium)
	@$(BIN)/python -m harness.live.console.pictures $(or $(TO),.pictures)

docs: env ## the documents as a site, in .site (their generated parts: python -m deploy.documents)
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "open .site/index.html, or serve it: $(BIN)/mkdocs serve"

simulate: env ## nights of the whole product on a virtual clock with faults at every durable step, from SEEDS=1-200, or one with its trace
	@PYTHONHASHSEED=0 $(BIN)/python -m harness.simulate $(or $(SEEDS),1-20) $(if $(BUG),--bug $(BUG))

messages: env ## bring the desk's catalogue up to date, and list what has no Chinese yet
	@$(BIN)/python -m tests.messages

lock: ## choose new versions of the dependencies and write requirements/
	$(PYTHON) -m venv .lock_cache
	.lock_cache/bin/pip install --quiet --disable-pip-version-check pip-tools
	$(PIP_COMPILE) --upgrade $(ALL) --extra docs --extra dev -o $(LOCK) pyproject.toml
	$(PIP_COMPILE) -c $(LOCK) $(ALL) -o requirements/all.txt pyproject.toml
	$(PIP_COMPILE) -c $(LOCK) --extra match -o requirements/assess.txt pyproject.toml
	$(PIP_COMPILE) -c $(LOCK) --extra crawl -o requirements/crawl.txt pyproject.toml
	$(PIP_COMPILE) -c $(LOCK) --extra alert --extra export --extra search --extra oidc -o requirements/search.txt pyproject.toml

clean: ## end the services and remove what make made
	@test ! -x $(BIN)/python || $(BIN)/python -m deploy.local.services stop
	rm -rf $(VENV) .lock_cache .demo .coverage* .mypy_cache .ruff_cache .import_linter_cache .site .wheels_cache build dist
