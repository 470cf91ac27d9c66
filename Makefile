# `make` lists the targets. ARGS goes to the program: make run ARGS="--port 9000"
.DEFAULT_GOAL := help
ARGS ?=
MINUTES ?= 10
comma := ,

.PHONY: help bootstrap bootstrap-test build run test test-swift test-integration lint format readme bench tokenizer-check function-order soak chaos fuzz clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

bootstrap: ## install what building and running lack (apt-get, with sudo when needed); quick when all is there
	@scripts/bootstrap.sh

bootstrap-test: ## install what the tests lack, too
	@scripts/bootstrap.sh test

build: bootstrap ## release products: .build/release/tollgate and .build/release/mock-openai
	@echo "==> building release (minutes, the first time)"
	@scripts/build_release.sh

TOKENIZER_DIR ?= var/tokenizer

run: build ## the private stack: Postgres, Redis, a mock of OpenAI, and Tollgate; Ctrl-C ends it
	@python3 scripts/fetch_vocabulary.py "$(TOKENIZER_DIR)" || echo "warning: no vocabularies: holds are made of bytes, and are larger" >&2
	@exec .build/release/tollgate dev $(ARGS)

test: ## every test, with real private Postgres and Redis
	@scripts/test.sh

test-swift: ## only the Swift tests; ARGS="--filter RedisHoldsTests" narrows them
	@scripts/test.sh swift $(ARGS)

test-integration: ## only the black-box tests in Python; ARGS="-k sdk" narrows them
	@scripts/test.sh integration $(ARGS)

lint: ## formatting, unfinished marks, dependencies, and the arrows between targets
	@scripts/lint.sh

format: ## rewrite the sources in the project's style
	@swift format --in-place --parallel --recursive Package.swift Sources Tests bench

readme: ## run the commands that README.md shows (after make test)
	@python3 scripts/readme_commands.py

bench: build ## against nginx, in less than five minutes; ARGS="compare hot-account --rounds 7" says otherwise
	@scripts/bootstrap.sh bench
	@bench/function_order.py --check || true # Slower, not wrong.
	@mkdir -p var/bench
	@.build/release/tollgate-bench $(or $(ARGS),compare chat-small chat-stream chat-500 --lanes direct$(comma)nginx$(comma)governed \
	  --rounds 3 --duration 4 --json var/bench/short.json --html var/bench/short.html)

tokenizer-check: build ## the tokenizer against tiktoken: the same ids, and how much faster; ARGS="--texts DIR" adds text
	@scripts/venv.sh
	@.build/venv/bin/pip install --quiet --disable-pip-version-check tiktoken==0.14.0
	@python3 scripts/fetch_vocabulary.py "$(TOKENIZER_DIR)"
	@.build/release/tollgate tokenizer build --dir "$(TOKENIZER_DIR)"
	@.build/venv/bin/python bench/tokenizer_check.py --vocabulary "$(TOKENIZER_DIR)" --tables "$(TOKENIZER_DIR)" \
	  --bench .build/release/token-bench identity prompt speed $(ARGS)

function-order: build ## the order of functions in the program, from a profile of it (needs valgrind); then build again
	@bench/function_order.py $(ARGS)

soak: build ## the traffic of two hours at full speed: memory must not grow
	@scripts/venv.sh
	@.build/venv/bin/python bench/soak.py $(ARGS)

chaos: build ## crash tests on real processes for MINUTES=10 or more; prints lost, doubled and overspent for each fault
	@scripts/venv.sh
	@PYTHONPATH=Tests/IntegrationTests PYTHONDONTWRITEBYTECODE=1 TOLLGATE_BIN=$(CURDIR)/.build/release \
	  .build/venv/bin/python -m chaos $(MINUTES) $(ARGS)

fuzz: ## ten minutes of the differential fuzzer of the wire; TOLLGATE_FUZZ_SECONDS says otherwise
	@TOLLGATE_FUZZ_SECONDS=$${TOLLGATE_FUZZ_SECONDS:-600} scripts/test.sh swift --filter FuzzTests

clean: ## remove what was built; the data of `make run` in var/dev stay
	@rm -rf .build
