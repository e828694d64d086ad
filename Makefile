# LLM Cloud Trainer: one command each. `make help` lists them.
SHELL := /bin/bash
.DELETE_ON_ERROR:
PYTHON ?= python3
export TRAINER_HOME ?= $(CURDIR)/var
export TRAINER_ENGINES_DIR ?= $(TRAINER_HOME)/engines
HOST ?= 127.0.0.1
PORT ?= 8000
# How workloads run on this machine: process or docker.
RUNNER ?= $(or $(TRAINER_RUNNER),process)
export TRAINER_RUNNER := $(RUNNER)
PIP := .venv/bin/pip install --quiet --disable-pip-version-check
RUN := .venv/bin/python manage.py
SCRIPTS := $(shell find static/src static/build.mjs -type f 2>/dev/null)
MESSAGES := $(wildcard locale/*/LC_MESSAGES/django.po)

.PHONY: help setup engine database demo run node backup restore test chaos check format lock images image-platform bench-overhead bench-logs bench-chat bench-start bench-web bench-nodes bench-data bench-recipes bench-versions

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

.venv/runtime: requirements.txt pyproject.toml
	@echo "· Python packages"
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@$(PIP) --require-hashes -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/development: requirements-dev.txt .venv/runtime
	@echo "· Python packages for tests and checks"
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@

node_modules/installed: package.json package-lock.json
	@echo "· front-end packages"
	@npm ci --silent --no-audit --no-fund
	@touch $@

static/dist/built: node_modules/installed $(SCRIPTS)
	@echo "· styles and scripts"
	@npm run --silent build
	@touch $@

locale/compiled: .venv/runtime $(MESSAGES)
	@for file in $(MESSAGES); do .venv/bin/pybabel --quiet compile --input-file $$file --output-file $${file%.po}.mo; done
	@touch $@

static/collected/staticfiles.json: .venv/runtime static/dist/built
	@echo "· static files"
	@$(RUN) collectstatic --noinput --verbosity 0
	@touch $@

database: .venv/runtime static/collected/staticfiles.json locale/compiled
	@echo "· database"
	@$(RUN) migrate --verbosity 0
	@$(RUN) createcachetable

engine: .venv/runtime ## install the training engine in an environment of its own and test it
	@.venv/bin/python deploy/engines/llamafactory/install.py --target $(TRAINER_ENGINES_DIR)/llamafactory

images: database ## build the engines' images; BASE=, BUILD_BASE=, VARIANT=, NETWORK=, ENGINE=
	@$(RUN) image_build $(ENGINE) $(if $(BASE),--base $(BASE)) $(if $(BUILD_BASE),--build-base $(BUILD_BASE)) $(if $(VARIANT),--variant $(VARIANT)) $(if $(NETWORK),--network $(NETWORK))

image-platform: ## build the platform's own image for compose.yaml; BASE=, NODE_BASE=, NETWORK=
	@docker build --quiet --file deploy/images/platform/Dockerfile $(if $(NETWORK),--network $(NETWORK)) $(if $(BASE),--build-arg BASE=$(BASE)) $(if $(NODE_BASE),--build-arg NODE_BASE=$(NODE_BASE)) --tag $(or $(PLATFORM_IMAGE),llm-cloud-trainer/platform:0.1.0) .

setup: database $(if $(filter docker,$(RUNNER)),images,engine) ## everything that demo, run and test need
	@$(RUN) catalogue_import
	@$(RUN) demo_model_create

demo: setup ## the main job from data to chat, through the REST API; RUNNER=docker runs it in containers
	@.venv/bin/python deploy/demo/run.py

run: setup ## serve the platform (web, control worker, one local node) until Ctrl-C; RUNNER=docker
	@$(RUN) serve --host $(HOST) --port $(PORT)

node: export TRAINER_NODE_TOKEN := $(TOKEN)
node: .venv/runtime locale/compiled $(if $(filter docker,$(RUNNER)),,engine) ## make this machine a node: URL=… TOKEN=… the first time; NAME=, RUNNER=docker
	@$(RUN) node_join --once --url "$(URL)" $(if $(NAME),--name "$(NAME)")
	@$(RUN) node_run

backup: .venv/runtime ## database, files and secret key into a new folder: TO=…; nothing has to be stopped
	@test -n "$(TO)" || { echo "Say where to: make backup TO=/backups/today"; exit 2; }
	@$(RUN) backup "$(TO)"

restore: .venv/runtime static/collected/staticfiles.json locale/compiled ## a backup into a new TRAINER_HOME and an empty database: FROM=…
	@test -n "$(FROM)" || { echo "Say where from: make restore FROM=/backups/today"; exit 2; }
	@$(RUN) restore "$(FROM)"

test: setup .venv/development ## all tests; TRAINER_REQUIRE_ALL=1 makes a missing part a failure
	@.venv/bin/python tests/run.py $(TESTS)

chaos: setup .venv/development ## strike a small cluster under load and count what was lost: SEED=…, BLOWS=…, ONLY=…
	@.venv/bin/python -m tests.chaos.run $(if $(SEED),--seed $(SEED)) $(if $(BLOWS),--blows $(BLOWS)) $(if $(ONLY),--only $(ONLY))

check: .venv/development node_modules/installed ## lint, types, imports, migrations, templates
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy .
	.venv/bin/lint-imports
	$(RUN) makemigrations --check --dry-run
	.venv/bin/djlint --lint --quiet templates

format: .venv/development
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

lock: .venv/development ## write the locked requirements anew
	.venv/bin/uv pip compile --quiet requirements.in --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes --no-header --output-file requirements.txt
	.venv/bin/uv pip compile --quiet requirements-dev.in --constraint requirements.txt --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes --no-header --output-file requirements-dev.txt

bench-overhead: setup .venv/development ## a training through the platform against the same YAML by hand
	@.venv/bin/python benchmarks/overhead.py

bench-logs: setup .venv/development ## 100,000 log lines in 10 s to a browser-like client
	@.venv/bin/python benchmarks/logs.py

bench-chat: setup .venv/development ## chat through the gateway against the engine's own port
	@.venv/bin/python benchmarks/chat.py

bench-start: setup .venv/development ## submitting a job over HTTP, and from there to the engine's process
	@.venv/bin/python benchmarks/start_latency.py

bench-web: setup .venv/development ## the web process' memory with big datasets, logs and archives
	@.venv/bin/python benchmarks/web_memory.py

bench-data: setup .venv/development ## a JSONL of 1 GB read, checked and counted, and pages of its rows; SIZE=megabytes
	@.venv/bin/python benchmarks/data.py $(if $(SIZE),--size-mb $(SIZE))

bench-nodes: setup .venv/development ## 500 running and 5,000 waiting workloads on 20 nodes
	@.venv/bin/python benchmarks/nodes.py
	@.venv/bin/python benchmarks/containers.py

bench-versions: .venv/development ## versions of a million rows compared, and decisions on rows saved; ROWS=number
	@.venv/bin/python benchmarks/versions.py $(if $(ROWS),--rows $(ROWS))

bench-recipes: .venv/development ## what recipes mask and find twice of what was planted, and how fast
	@.venv/bin/python benchmarks/masking.py
	@.venv/bin/python benchmarks/dedup.py
