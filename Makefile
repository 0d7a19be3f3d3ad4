# GNU make 3.81 and bash 3.2 suffice. `make` alone prints this list.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

DOCS ?=
TORCH ?= cpu
PYTEST ?=
export TORCH PYTHON

BIN := .venv/bin
RUNTIME := .venv/.runtime-$(TORCH)
TOOLS := .venv/.tools
LONG := quality or crash or hostile or faults or rights or vllm or bench or s3 or moe

.PHONY: help install demo run test check lint types layers format \
        test-crash test-hostile test-faults test-injection test-rights test-ui test-vllm test-bucket test-moe \
        quality bench-ask bench-answer bench-search bench-embed bench-pdf bench-evidence bench-ingest bench-ranking \
        bench-beside bench-giants bench-scale \
        bench-million clean

help:            ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/	/' | expand -t 15

install: $(RUNTIME)  ## put Footnote into .venv (TORCH=cuda for an NVIDIA GPU)
	@echo "Footnote is installed. Next: make demo, make run, or .venv/bin/footnote --help"

demo: $(RUNTIME) ## install, ingest the examples (or DOCS=/a/folder), ask three questions
	@$(BIN)/footnote demo $(if $(DOCS),--docs "$(DOCS:~/%=$(HOME)/%)")

run: $(RUNTIME)  ## start the API and the page on this machine
	@$(BIN)/footnote serve --ui

test: $(TOOLS)   ## all tests that take no special hardware and no long time
	$(BIN)/pytest -n auto --dist loadfile -m 'not ($(LONG))' $(PYTEST)

check: lint types layers  ## style, types, and who may import whom

lint: $(TOOLS)   ## style and likely mistakes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(TOOLS)  ## types, strictly
	$(BIN)/mypy

layers: $(TOOLS) ## who may import whom
	$(BIN)/lint-imports

format: $(TOOLS) ## rewrite the code in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test-crash: $(TOOLS)  ## 500 kill -9 and 100 full disks; prints the histograms
	$(BIN)/pytest -m crash -s $(PYTEST)

test-hostile: $(TOOLS)  ## a thousand damaged and hostile files; prints what became of them
	$(BIN)/pytest -m hostile -s $(PYTEST)

test-faults: $(TOOLS)  ## 26 faults of a model server, 200 times each; prints how they end
	$(BIN)/pytest -m faults -s $(PYTEST)

test-injection: $(TOOLS)  ## 300 documents that give orders, and models that obey them
	$(BIN)/pytest -m quality tests/serving/test_injection.py -s $(PYTEST)

test-rights: $(TOOLS)  ## ten thousand queries by people who may not see all, and twin worlds
	$(BIN)/pytest -m rights -s $(PYTEST)

test-ui: $(TOOLS)  ## drive the page in headless Chromium
	$(BIN)/pytest -m chromium $(PYTEST)

test-vllm: $(TOOLS)  ## build a real vLLM on the CPU and hold the model adapter against it
	$(BIN)/python scripts/vllm_env.py
	$(BIN)/pytest -m vllm -s $(PYTEST)

test-bucket: $(TOOLS)  ## hold the bucket connector against an S3 server on this machine
	test -x .venv/.s3/bin/moto_server || { $(BIN)/python -m venv .venv/.s3 && \
	    .venv/.s3/bin/pip install --quiet 'moto[server]>=5,<6'; }
	$(BIN)/pytest -m s3 -s $(PYTEST)

test-moe: $(TOOLS)  ## gpt-oss' kernels: interpreted, and compiled for a GPU that need not be there
	$(BIN)/python scripts/moe_env.py
	TRITON_INTERPRET=1 .venv-moe/bin/python -m pytest -m moe tests/moe -s $(PYTEST)

quality: $(TOOLS)  ## retrieval and answer metrics on the sets in FOOTNOTE_EVAL_DATA
	$(BIN)/pytest -m quality -s $(PYTEST)

bench-ask: $(TOOLS)  ## how long an extractive answer takes
	$(BIN)/pytest -m bench -k answer -s $(PYTEST)

bench-answer: $(TOOLS)  ## what the service adds to a model's own time
	$(BIN)/pytest -m bench tests/quality/test_answer_speed.py -s $(PYTEST)
	$(BIN)/pytest -m quality tests/quality/test_verifier.py -k quick -s $(PYTEST)

bench-search: $(TOOLS)  ## how many searches a second sixteen clients get
	$(BIN)/pytest -m bench -k search -s $(PYTEST)

bench-pdf: $(TOOLS)  ## our PDF reader beside others, which get an environment each
	$(BIN)/python scripts/peers_env.py docling-parse pdfplumber unstructured
	$(BIN)/pytest -m bench -k side_by_side -s $(PYTEST)

bench-evidence: $(TOOLS)  ## how well evidence is found in what bench-pdf read
	$(BIN)/pytest -m bench -k evidence -s $(PYTEST)

bench-ingest: $(TOOLS)  ## how fast files become findable beside LlamaIndex and unstructured
	$(BIN)/python scripts/peers_env.py llama-index unstructured-store
	$(BIN)/pytest -m bench tests/quality/test_ingest_peers.py -s $(PYTEST)

bench-scale: $(TOOLS)  ## search 100,000 chunks of which one in ten is visible; prints the sizing table
	$(BIN)/pytest -m bench tests/quality/test_scale.py -k large -s $(PYTEST)

bench-million: $(TOOLS)  ## search a million vectors, once their graph is built; that takes long
	$(BIN)/pytest -m bench tests/quality/test_scale.py -k million -s $(PYTEST)

bench-ranking: $(TOOLS)  ## how well is ranked beside LlamaIndex, Haystack, LangChain and txtai
	$(BIN)/python scripts/peers_env.py rank-llama-index rank-haystack rank-langchain rank-txtai
	$(BIN)/pytest -m bench tests/quality/test_ranking_peers.py -s $(PYTEST)

bench-giants: $(TOOLS)  ## how long searches take while files are cut that are huge in tokens or parts
	$(BIN)/pytest -m hostile tests/hostile/test_giants.py -s $(PYTEST)

bench-beside: $(TOOLS)  ## what searching costs while documents come in, and they while it goes on
	$(BIN)/pytest -m bench tests/quality/test_beside.py -s $(PYTEST)

bench-embed: $(TOOLS)  ## how many chunks a CPU second embeds, beside sentence-transformers
	$(BIN)/pytest -m bench tests/quality/test_embedding.py -s $(PYTEST)

clean:           ## remove the environment and all caches; the data folder stays
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
	       .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment is made again only when what it is made from has changed.
$(RUNTIME): pyproject.toml constraints.txt scripts/install.sh
	@scripts/install.sh runtime
	@touch $@

$(TOOLS): $(RUNTIME)
	@scripts/install.sh tools
	@touch $@
