# Everything runs in an environment of its own, .venv, made on first use from constraints.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Where `make bench` finds the folder magnetic_tile (see benches/README.md): in data/, here or beside this folder.
DATA ?= $(firstword $(wildcard data ../data ../*/data) data)

.PHONY: help docs demo demo-golden test test-slow check bench bench-peers bench-sets bench-resplits bench-cost \
    bench-deep-svdd bench-pretrained bench-doc bench-templates backbone clean

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

bench: $(VENV)/.bench ## measure, on the magnetic tiles in $(DATA); writes benches/results/
	$(BIN)/python benches/magnetic_tile.py --data $(DATA)/magnetic_tile --output benches/results/magnetic_tile.json
	$(BIN)/python benches/evaluate.py --data $(DATA)/magnetic_tile --output benches/results/evaluate.json
	$(BIN)/python benches/report.py --data $(DATA)/magnetic_tile --output benches/results/report.json

bench-sets: $(VENV)/.bench ## the default settings on the sets of parts in $(DATA); writes benches/RESULTS-SETS.md
	$(BIN)/python benches/sets.py --data $(DATA) --seeds 3 --few-shot \
	    --output benches/results/sets.jsonl --table benches/RESULTS-SETS.md

bench-resplits: $(VENV)/.bench ## false alarms and misses over many draws of the good images; writes benches/RESULTS-RESPLITS.md
	$(BIN)/python benches/resplits.py --data $(DATA) --output benches/results/resplits.jsonl \
	    --table benches/RESULTS-RESPLITS.md

bench-cost: $(VENV)/.bench ## what one image and a fit of the default detector cost; writes benches/results/patch_cost.json
	$(BIN)/python benches/patch_cost.py --data $(DATA)/casting --output benches/results/patch_cost.json

# One class each of the sets with many: a full table takes a day. anomalib joins with PEERS=anomalib:padim,anomalib:patchcore
# and PEER_OPTIONS="--peer-python PYTHON --peer-weights FILE" (see benches/README.md).
PEERS ?= sklearn:ocsvm,sklearn:iforest,sklearn:lof
PEER_OPTIONS ?=
bench-peers: $(VENV)/.bench ## run methods and peers on the data sets in $(DATA); writes benches/runs/ and benches/RESULTS.md
	$(BIN)/onlygood bench run -o benches/runs --methods patch --peers $(PEERS) $(PEER_OPTIONS) \
	    --data magnetic-tile=$(DATA)/magnetic_tile --data elpv --classes elpv=mono,poly --seeds 3
	$(BIN)/onlygood bench run -o benches/runs --methods patch --peers sklearn:ocsvm,sklearn:iforest,sklearn:lof \
	    --data mnist=$(DATA)/mnist --data fashion-mnist --data cifar10=$(DATA)/cifar10/cifar10_jpeg.zip \
	    --classes mnist=3 --classes fashion-mnist=sneaker --classes cifar10=airplane
	$(BIN)/onlygood bench table benches/runs --published benches/published.json --notes benches/notes.md \
	    -o benches/RESULTS.md

# Ten digits, two objectives: about two and a half hours on two cores.
DEEP_SVDD := deep-svdd@network=lenet-mnist+calibration_fraction=0.02
bench-deep-svdd: $(VENV)/.bench ## train Deep SVDD on MNIST as its paper does; joins benches/RESULTS.md
	$(BIN)/python benches/golden_fit.py --output benches/results/golden_fit.json
	$(BIN)/python benches/deep_svdd_epoch.py --data $(DATA)/mnist --output benches/results/deep_svdd_epoch.json
	$(BIN)/onlygood bench run -o benches/runs --methods $(DEEP_SVDD),$(DEEP_SVDD)+objective=soft-boundary \
	    --data mnist=$(DATA)/mnist
	$(BIN)/onlygood bench table benches/runs --published benches/published.json --notes benches/notes.md \
	    -o benches/RESULTS.md

# Ten classes, an hour or two on two cores.
bench-pretrained: $(VENV)/.bench ## fine-tuned beside frozen features on CIFAR-10; writes benches/RESULTS-2000.md
	$(BIN)/onlygood bench run -o benches/runs-2000 --max-train 2000 --max-test 2000 \
	    --methods deep-svdd@network=pretrained+calibration_fraction=0.1,knn@metric=cosine \
	    --data cifar10=$(DATA)/cifar10/cifar10_jpeg.zip
	$(BIN)/onlygood bench table benches/runs-2000 --notes benches/notes-2000.md -o benches/RESULTS-2000.md

# DOC beside frozen features with the same head, the rest as its issue has it. About an hour on two cores.
DOC := doc@calibration_fraction=0.1
DOC_RUN := $(BIN)/onlygood bench run -o benches/runs-doc
CIFAR10 := $(DATA)/cifar10/cifar10_jpeg.zip
SNEAKERS := --data fashion-mnist --classes sneaker \
    --reference t-shirt,trouser,pullover,dress,coat,sandal,shirt,bag --max-reference 6000
bench-doc: $(VENV)/.bench ## DOC on Fashion-MNIST, CIFAR-10 and magnetic tiles; writes benches/RESULTS-DOC.md
	$(DOC_RUN) $(SNEAKERS) --seeds 3 \
	    --methods $(DOC)+input_size=96+metric=euclidean,$(DOC)+input_size=96+metric=euclidean+head=lof,knn@input_size=96+metric=euclidean,lof@input_size=96+metric=euclidean,$(DOC)+input_size=96+metric=whitened+taps=stage5,knn@input_size=96+metric=whitened+taps=stage5
	$(DOC_RUN) $(SNEAKERS) \
	    --methods $(DOC)+input_size=96,$(DOC)+input_size=96+head=lof,$(DOC)+input_size=96+metric=whitened,knn@input_size=96,lof@input_size=96,knn@input_size=96+metric=whitened
	$(DOC_RUN) --data magnetic-tile=$(DATA)/magnetic_tile --reference cifar10=$(CIFAR10) --max-reference 2000 \
	    --methods $(DOC),$(DOC)+head=lof,knn,lof,patch
	$(DOC_RUN) --data cifar10=$(CIFAR10) --classes airplane,bird,deer,frog,ship --reference 4 --max-reference 2000 \
	    --max-train 2000 --max-test 2000 \
	    --methods $(DOC)+input_size=128,knn@input_size=128,$(DOC)+input_size=128+head=lof,lof@input_size=128
	$(BIN)/onlygood bench table benches/runs-doc --notes benches/notes-doc.md -o benches/RESULTS-DOC.md
	$(BIN)/python benches/pooled_map.py --data $(DATA)/magnetic_tile --output benches/results/pooled_map.json

bench-templates: $(VENV)/.bench ## how AUROC and time depend on the number of templates; writes benches/RESULTS-TEMPLATES.md
	$(BIN)/onlygood bench run -o benches/runs-templates --max-test 2000 --data cifar10=$(CIFAR10) --classes cat \
	    --methods knn@input_size=128+bank_size=100,knn@input_size=128+bank_size=300,knn@input_size=128+bank_size=1000,knn@input_size=128+bank_size=3000,knn@input_size=128+bank_size=5000,lof@input_size=128+bank_size=100,lof@input_size=128+bank_size=300,lof@input_size=128+bank_size=1000,lof@input_size=128+bank_size=3000,lof@input_size=128+bank_size=5000
	$(BIN)/onlygood bench table benches/runs-templates --notes benches/notes-templates.md -o benches/RESULTS-TEMPLATES.md

backbone: $(VENV)/.backbone ## rebuild the shipped backbone from its published weights
	$(BIN)/python scripts/build_backbone.py lite0 src/onlygood/backbones

clean: ## remove what the targets made
	rm -rf $(VENV) demo-output build dist .pytest_cache .mypy_cache .ruff_cache
