# The one door to everything: `make` shows the menu. Each target brings what it needs, so that
# `make demo` or `make test` is enough on a fresh Debian 12.
SHELL := /bin/bash
.DEFAULT_GOAL := menu
.DELETE_ON_ERROR:

PYTHON ?= python3
JOBS ?= $(shell nproc)
SEEDS ?= 200
SECONDS ?= 60
ROWS ?=
ONLY ?=
OTHERS ?=
ROUNDS ?=
TESTS ?=
export PYTHON

READY := .venv/.ready
RUN := .venv/bin/python

menu: ## this menu
	@echo "Sundog: tasks and shared objects for Python and C++. make TARGET, where TARGET is"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / && $$1 != "menu" {printf "  %-10s %s\n", $$1, $$2}' Makefile
	@echo "JOBS=$(JOBS) compiles that many files at once; PYTHON=$(PYTHON) is what .venv is made of."

setup: ## system packages that are missing (apt-get), then .venv
	@rm -f $(READY)
	@$(MAKE) --no-print-directory $(READY)

$(READY): requirements-dev.txt scripts/setup.sh
	@scripts/setup.sh
	@touch $@

# A preset's folder is configured once; later ninja itself sees changed CMake files and new sources.
build/%/build.ninja: CMakePresets.json $(READY)
	@mkdir -p build
	@cmake --preset $* > build/$*.log 2>&1 || { cat build/$*.log; exit 1; }
	@touch $@

build: build/release/build.ninja ## daemon, Python extension and examples, into build/release and python/
	@cmake --build build/release -j $(JOBS)
	@$(RUN) -m compileall -q python/sundog compat/ray  # as pip does: workers start in half the time

checked-build: $(foreach preset,debug clang asan tsan,build/$(preset)/build.ninja)
	@cmake --build build/debug -j $(JOBS)
	@cmake --build build/clang -j $(JOBS) --target sim_main
	@cmake --build build/asan -j $(JOBS) --target tests
	@cmake --build build/tsan -j $(JOBS) --target tests

demo: build ## real parallel programs, before and after; under two minutes. ROUNDS=10: each exercise ten times
	@$(RUN) demo/run.py $(if $(ROUNDS),--rounds $(ROUNDS))

demo-models: build ## seed 003 and exercise 11 with real torch, transformers and TensorFlow, in .venv-torch and .venv-tf
	@scripts/torch_env.sh
	@scripts/tensorflow_env.sh
	@status=0; PYTHONPATH=python .venv-torch/bin/python demo/models/run.py torch || status=1; \
	  PYTHONPATH=python .venv-tf/bin/python demo/models/run.py tensorflow || status=1; exit $$status

test: build checked-build ## all tests: C++ (plain, sanitized), simulator, Python; TESTS=word picks
	@$(RUN) scripts/run_tests.py --seeds $(SEEDS) $(if $(TESTS),--only $(TESTS))

lint: build/clang/build.ninja build/release/build.ninja ## format, tidy, thread safety, types, arrows between folders, headers alone
	@$(RUN) scripts/lint.py --jobs $(JOBS) $(if $(TESTS),--only $(TESTS))

sim: build/debug/build.ninja build/clang/build.ninja ## simulated clusters by gcc and by clang compared: SEEDS=2000
	@scripts/sim.sh $(SEEDS) $(JOBS)

fuzz: $(READY) ## fuzz targets of rings and messages: SECONDS=600 for each
	@scripts/fuzz.sh $(SECONDS)

spin: $(READY) ## the model of the sleep protocol
	@scripts/spin.sh

defects: build ## seeded defects: each must be caught by a named test
	@$(RUN) scripts/seeded_defects.py

soak: build ## many processes, random kills, for SECONDS=600
	@$(RUN) tests/soak/run.py --seconds $(SECONDS)

dataloader: build ## forked children of a torch DataLoader (installs Debian's torch into .venv-torch)
	@scripts/torch_env.sh
	@PYTHONPATH=python .venv-torch/bin/python tests/torch/dataloader.py

page-test: build ## the timeline in Chromium and Firefox (installs them); screenshots in build/page/shots
	@scripts/page_test.sh

lab-test: build ## notebooks in JupyterLab, by Chromium (installs them, JupyterLab into .venv-lab)
	@scripts/lab_test.sh

torch: build ## tensors and models through the store, with torch (Debian's, in .venv-torch)
	@scripts/torch_env.sh
	@PYTHONPATH=python .venv-torch/bin/python -m pytest -q -p no:cacheprovider tests/torch

tensorflow: build ## weights of graphs and Keras models, with tensorflow-cpu in .venv-tf
	@scripts/tensorflow_env.sh
	@PYTHONPATH=python .venv-tf/bin/python -m pytest -q -p no:cacheprovider tests/tensorflow

bench: build ## side by side with peers, as JSON in bench/results: ROWS=task,wait and ONLY=sundog,ray pick
	@$(RUN) bench/run.py $(if $(ROWS),--rows $(ROWS)) $(if $(ONLY),--only $(ONLY))

performance: $(READY) ## docs/performance.md and its charts, from the figures in bench/results
	@$(RUN) bench/page.py

compat: build ## docs/compat.md: tries each of Ray's names, keywords and options
	@$(RUN) scripts/compat.py

others: build ## every program of OTHERS=folder, written for Ray, unchanged: a table of what came of each
	@$(RUN) scripts/others.py "$(OTHERS)" --seconds $(SECONDS)

wheel: $(READY) ## dist/sundog-*.whl, checked in an empty virtual environment
	@scripts/wheel.sh

wheels: $(READY) ## the same for each CPython from 3.10 to 3.13 that is at hand; PYTHONS="…" names them
	@scripts/wheels.sh

docs: build ## links of all pages, programs of the README
	@$(RUN) -m pytest -q tests/house

clean: ## removes what was built (.venv stays)
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf python/sundog/_bin python/sundog/*.so python/sundog/_core/*.so
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.PHONY: menu setup build checked-build demo test lint sim fuzz spin defects soak bench performance compat others wheel wheels docs clean dataloader page-test lab-test torch tensorflow demo-models
