# Everything runs in an environment of its own, .venv, made on first use from constraints.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Where `make bench` finds the folder magnetic_tile (see benchmarks/README.md): in data/, here or beside this folder.
DATA ?= $(firstword $(wildcard data ../data ../*/data) data)

# The benchmarks lie beside the package and are found from this folder.
BENCH := $(BIN)/python -m benchmarks
FIGURES := benchmarks/results
BROWSERS := chromium chromium-browser google-chrome google-chrome-stable chrome

.PHONY: help docs demo demo-golden test test-slow check bench bench-peers bench-sets bench-resplits bench-cost \
    bench-deep-svdd bench-pretrained bench-doc bench-templates backbone browser servers clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e .
	@touch $@

$(VENV)/.demo: $(VENV)/.installed
	$(INSTALL) -e .[demo]
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(INSTALL) -e .[dev]
	@touch $@

$(VENV)/.bench: $(VENV)/.installed
	$(INSTALL) -e .[bench]
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(INSTALL) -e .[docs]
	@touch $@

$(VENV)/.backbone: $(VENV)/.dev
	$(INSTALL) -e .[backbone]
	@touch $@

demo: $(VENV)/.demo ## fit on real solar cells, inspect others, leave images and a summary in demo-output/
	$(BIN)/python scripts/demo.py demo-output
	$(BIN)/python scripts/golden_demo.py demo-output/golden

demo-golden: $(VENV)/.bench ## learn one golden image with two methods, one of them in torch; leaves demo-output/golden
	$(BIN)/python scripts/golden_demo.py demo-output/golden --methods patch,deep-svdd

# On Debian, root installs the distribution's; elsewhere Playwright fetches its own.
browser: $(VENV)/.dev ## install Chromium, in which tests open every page, unless there is one
	@for name in $(BROWSERS); do if command -v $$name > /dev/null; then exit 0; fi; done; \
	if [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; \
	then exit 0; fi; \
	$(BIN)/python -m playwright install chromium

# Debian starts Mosquitto when it installs it: the tests start their own.
servers: ## install a broker and a database, which tests start, and a compiler of C for a camera, unless they are there
	@if [ -n "$$(command -v mosquitto || ls /usr/sbin/mosquitto 2> /dev/null)" ] && \
	    [ -n "$$(command -v postgres || ls -d /usr/lib/postgresql/*/bin/postgres 2> /dev/null)" ] && \
	    [ -n "$$(command -v cc || command -v gcc)" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	    apt-get install -y -qq --no-install-recommends mosquitto postgresql gcc libc6-dev; \
	then service mosquitto stop > /dev/null 2>&1 || true; exit 0; fi; \
	echo "install Mosquitto and PostgreSQL, or the tests that need them are left out"

# One thread of OpenMP each: two processes that train on all cores would wait for one another most of the time.
test: $(VENV)/.dev ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: $(VENV)/.backbone ## run also the slow tests
	$(BIN)/python -m pytest

docs: $(VENV)/.docs ## build the documentation site into docs/_build/html; a warning is an error
	$(BIN)/python -m sphinx -b html -q -W --keep-going docs docs/_build/html

check: $(VENV)/.dev ## lint, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.bench ## measure, on the magnetic tiles in $(DATA); writes benchmarks/results/
	$(BENCH).studies.magnetic_tile --data $(DATA)/magnetic_tile --output $(FIGURES)/magnetic_tile.json
	$(BENCH).studies.evaluate --data $(DATA)/magnetic_tile --output $(FIGURES)/evaluate.json
	$(BENCH).studies.report --data $(DATA)/magnetic_tile --output $(FIGURES)/report.json

bench-sets: $(VENV)/.bench ## the default settings on the sets of parts in $(DATA); writes benchmarks/RESULTS-SETS.md
	$(BENCH).studies.sets --data $(DATA) --seeds 3 --few-shot \
	    --output $(FIGURES)/sets.jsonl --table benchmarks/RESULTS-SETS.md

bench-resplits: $(VENV)/.bench ## false alarms and misses over many draws of the good images; writes benchmarks/RESULTS-RESPLITS.md
	$(BENCH).studies.resplits --data $(DATA) --output $(FIGURES)/resplits.jsonl \
	    --table benchmarks/RESULTS-RESPLITS.md

bench-cost: $(VENV)/.bench ## what one image and a fit of the default detector cost; writes benchmarks/results/patch_cost.json
	$(BENCH).studies.patch_cost --data $(DATA)/casting --output $(FIGURES)/patch_cost.json

# One class each of the sets with many: a full table takes a day. anomalib joins with PEERS=anomalib:padim,anomalib:patchcore
# and PEER_OPTIONS="--peer-python PYTHON --peer-weights FILE" (see benchmarks/README.md).
PEERS ?= sklearn:ocsvm,sklearn:iforest,sklearn:lof
PEER_OPTIONS ?=
bench-peers: $(VENV)/.bench ## run methods and peers on the data sets in $(DATA); writes benchmarks/RESULTS.md
	$(BENCH) run -o $(FIGURES)/runs.jsonl --methods patch --peers $(PEERS) $(PEER_OPTIONS) \
	    --data magnetic-tile=$(DATA)/magnetic_tile --data elpv --classes elpv=mono,poly --seeds 3
	$(BENCH) run -o $(FIGURES)/runs.jsonl --methods patch --peers sklearn:ocsvm,sklearn:iforest,sklearn:lof \
	    --data mnist=$(DATA)/mnist --data fashion-mnist --data cifar10=$(DATA)/cifar10/cifar10_jpeg.zip \
	    --classes mnist=3 --classes fashion-mnist=sneaker --classes cifar10=airplane
	$(BENCH) table $(FIGURES)/runs.jsonl --published benchmarks/published.json \
	    --notes benchmarks/notes/runs.md -o benchmarks/RESULTS.md

# Ten digits, two objectives: about two and a half hours on two cores.
DEEP_SVDD := deep-svdd@network=lenet-mnist+calibration_fraction=0.02
bench-deep-svdd: $(VENV)/.bench ## train Deep SVDD on MNIST as its paper does; joins benchmarks/RESULTS.md
	$(BENCH).studies.golden_fit --output $(FIGURES)/golden_fit.json
	$(BENCH).studies.deep_svdd_epoch --data $(DATA)/mnist --output $(FIGURES)/deep_svdd_epoch.json
	$(BENCH) run -o $(FIGURES)/runs.jsonl --methods $(DEEP_SVDD),$(DEEP_SVDD)+objective=soft-boundary \
	    --data mnist=$(DATA)/mnist
	$(BENCH) table $(FIGURES)/runs.jsonl --published benchmarks/published.json \
	    --notes benchmarks/notes/runs.md -o benchmarks/RESULTS.md

# Ten classes, an hour or two on two cores.
bench-pretrained: $(VENV)/.bench ## fine-tuned beside frozen features on CIFAR-10; writes benchmarks/RESULTS-2000.md
	$(BENCH) run -o $(FIGURES)/runs-2000.jsonl --max-train 2000 --max-test 2000 \
	    --methods deep-svdd@network=pretrained+calibration_fraction=0.1,knn@metric=cosine \
	    --data cifar10=$(DATA)/cifar10/cifar10_jpeg.zip
	$(BENCH) table $(FIGURES)/runs-2000.jsonl --notes benchmarks/notes/2000.md -o benchmarks/RESULTS-2000.md

# DOC beside frozen features with the same head, the rest as its issue has it. About an hour on two cores.
DOC := doc@calibration_fraction=0.1
DOC_RUN := $(BENCH) run -o $(FIGURES)/runs-doc.jsonl
CIFAR10 := $(DATA)/cifar10/cifar10_jpeg.zip
SNEAKERS := --data fashion-mnist --classes sneaker \
    --reference t-shirt,trouser,pullover,dress,coat,sandal,shirt,bag --max-reference 6000
bench-doc: $(VENV)/.bench ## DOC on Fashion-MNIST, CIFAR-10 and magnetic tiles; writes benchmarks/RESULTS-DOC.md
	$(DOC_RUN) $(SNEAKERS) --seeds 3 \
	    --methods $(DOC)+input_size=96+metric=euclidean,$(DOC)+input_size=96+metric=euclidean+head=lof,knn@input_size=96+metric=euclidean,lof@input_size=96+metric=euclidean,$(DOC)+input_size=96+metric=whitened+taps=stage5,knn@input_size=96+metric=whitened+taps=stage5
	$(DOC_RUN) $(SNEAKERS) \
	    --methods $(DOC)+input_size=96,$(DOC)+input_size=96+head=lof,$(DOC)+input_size=96+metric=whitened,knn@input_size=96,lof@input_size=96,knn@input_size=96+metric=whitened
	$(DOC_RUN) --data magnetic-tile=$(DATA)/magnetic_tile --reference cifar10=$(CIFAR10) --max-reference 2000 \
	    --methods $(DOC),$(DOC)+head=lof,knn,lof,patch
	$(DOC_RUN) --data cifar10=$(CIFAR10) --classes airplane,bird,deer,frog,ship --reference 4 --max-reference 2000 \
	    --max-train 2000 --max-test 2000 \
	    --methods $(DOC)+input_size=128,knn@input_size=128,$(DOC)+input_size=128+head=lof,lof@input_size=128
	$(BENCH) table $(FIGURES)/runs-doc.jsonl --notes benchmarks/notes/doc.md -o benchmarks/RESULTS-DOC.md
	$(BENCH).studies.pooled_map --data $(DATA)/magnetic_tile --output $(FIGURES)/pooled_map.json

bench-templates: $(VENV)/.bench ## how AUROC and time depend on the number of templates; writes benchmarks/RESULTS-TEMPLATES.md
	$(BENCH) run -o $(FIGURES)/runs-templates.jsonl --max-test 2000 --data cifar10=$(CIFAR10) --classes cat \
	    --methods knn@input_size=128+bank_size=100,knn@input_size=128+bank_size=300,knn@input_size=128+bank_size=1000,knn@input_size=128+bank_size=3000,knn@input_size=128+bank_size=5000,lof@input_size=128+bank_size=100,lof@input_size=128+bank_size=300,lof@input_size=128+bank_size=1000,lof@input_size=128+bank_size=3000,lof@input_size=128+bank_size=5000
	$(BENCH) table $(FIGURES)/runs-templates.jsonl --notes benchmarks/notes/templates.md -o benchmarks/RESULTS-TEMPLATES.md

backbone: $(VENV)/.backbone ## rebuild the shipped backbone from its published weights
	$(BIN)/python scripts/build_backbone.py lite0 src/onlygood/backbones

clean: ## remove what the targets made
	rm -rf $(VENV) demo-output build dist .pytest_cache .mypy_cache .ruff_cache
