# Commands for people and for CI alike; each installs what it needs.

.DEFAULT_GOAL := help
.PHONY: help run test lint doctor bench bench-quick profile chaos soak up test-all-pythons clean

help: ## This list
	@awk -F ":.*## " "/^[a-z-]+:.*## / { printf \"make %-17s %s\\n\", \$$1, \$$2 }" $(MAKEFILE_LIST)

run: ## Everything on this machine; prints the address. Ctrl-C ends it
	@sh .ci/venv run && exec .venv/bin/python -m workers.standalone

test: ## All tests (ARGS="-k name" for some)
	@sh .ci/venv dev && sh .ci/test $(ARGS)

lint: ## All checks: ruff, mypy, import-linter, hadolint, compose schema, HAProxy configuration
	@sh .ci/venv dev && sh .ci/lint

doctor: ## Says what is wrong with a deployment and how to mend it; reads the same environment (REDIS_URL, ...)
	@sh .ci/venv run && { .venv/bin/python -m gateway check; gateway=$$?; .venv/bin/python -m workers check && exit $$gateway; }

bench: ## Measures all, beside yardsticks, in some forty minutes; prints the table, writes .bench/
	@sh .ci/venv dev && .venv/bin/python -m tests.bench $(ARGS)

bench-quick: ## The core of it, in one short round
	@sh .ci/venv dev && .venv/bin/python -m tests.bench --quick $(ARGS)

profile: ## Flame graphs of a gateway and a worker under load, and what costs most, into .bench/
	@sh .ci/venv dev && .venv/bin/python -m tests.bench.flame $(ARGS)

chaos: ## Random deaths under load, and what readers lost by them (ARGS="--minutes 5 --seed 1")
	@sh .ci/venv dev && .venv/bin/python -m tests.chaos $(ARGS)

soak: ## 20,000 short turns, and what they leave behind (ARGS="--turns 2000" for fewer)
	@sh .ci/venv dev && .venv/bin/python -m tests.soak --turns 20000 $(ARGS)

up: ## The whole deployment in containers (needs docker)
	docker compose up --build

test-all-pythons: ## All tests on each of Python 3.11, 3.12 and 3.13 that is installed
	@sh .ci/test-all-pythons $(ARGS)

clean: ## Removes what the commands made, but for .data
	rm -rf .venv .venv-* build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find gateway workers tests -name __pycache__ -type d -prune -exec rm -rf {} +
