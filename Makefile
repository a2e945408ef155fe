# Everything starts from nothing: the environment .venv is made by tools/dev_setup.sh.
# PYTHON picks the interpreter that it is made from; PYTEST_ARGS goes to pytest; WORKLOADS, THREADS
# and ROUNDS go to the benchmarks, SECONDS and SEED to the fuzzers.

SHELL := /bin/bash
PYTHON ?= python3
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
PYTEST_ARGS ?=
WORKLOADS ?=
THREADS ?=
ROUNDS ?=
SECONDS ?= 60
SEED ?= 1
EIGEN ?= 3.4.0

export PYTHON
export PATH := $(CURDIR)/.venv/bin:$(PATH)

PY := .venv/bin/python
SETUP_INPUTS := pyproject.toml tools/dev_setup.sh tools/requirements.py
PYTHON_SOURCES := python tests tools $(wildcard benchmarks examples docs/conf.py docs/_ext)
CPP_SOURCES = $(shell find cpp tests/cpp tests/fuzz benchmarks -name '*.h' -o -name '*.cpp')
# What pytest runs: the tests, and the examples in the package's docstrings.
PYTEST_TARGETS := $(wildcard tests/python tests/conformance) --pyargs mxtape --doctest-modules

.PHONY: help build test test-cpp test-python lint docs derived format demo bench bench-micro \
        bench-pointwise bench-scaling bench-programs sanitize thread check-eigen wheel \
        record-conformance clean

help:
	@echo "make demo                 build, then run the examples"
	@echo "make test                 build, lint, C++ tests, Python tests"
	@echo "make build                the developer build: native module in python/mxtape"
	@echo "make lint | format        check or apply style"
	@echo "make docs                 the book, docs/ as HTML: build/docs/index.html"
	@echo "make derived              write the type stubs and docs/operators.md again"
	@echo "make sanitize             the tests under the address and undefined-behaviour sanitizers"
	@echo "make sanitize thread      the C++ tests and those of threads under the thread sanitizer"
	@echo "make bench                mxtape beside its peers: benchmarks/RESULTS.md"
	@echo "                          WORKLOADS='mlp dot' THREADS=1 ROUNDS=5 narrow it or make it longer"
	@echo "make bench-micro          the C++ kernels against what the processor can do"
	@echo "make bench-pointwise      names the pointwise operators that are slower than their cost says"
	@echo "make bench-scaling        cost against elements, tape and threads: benchmarks/SCALING.md"
	@echo "make check-eigen          whether the core compiles with Eigen 3.4.0, or EIGEN=VERSION"
	@echo "make fuzz                 random programs against a reference: SECONDS=600 SEED=2"
	@echo "make fuzz-bytes           files, JSON and DLPack against libFuzzer: SECONDS=600"
	@echo "make wheel                release wheels, tested, for each Python in PYTHONS"
	@echo "make record-conformance   record the conformance values from MXNet 1.9.1 again"
	@echo "make clean                remove what was built"

.venv/.stamp-%: $(SETUP_INPUTS)
	tools/dev_setup.sh $(subst +, ,$*)
	@touch $@

.venv/.stamp-examples: | .venv/.stamp-build+test+lint

build/dev/build.ninja: .venv/.stamp-build+test+lint CMakePresets.json
	cmake --preset dev
	@touch $@

.venv/.stamp-docs: | .venv/.stamp-build+test+lint

build: build/dev/build.ninja
	cmake --build --preset dev -j $(JOBS)

# The examples are tested too, with what they need.
test: build .venv/.stamp-examples
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory test-cpp
	$(MAKE) --no-print-directory test-python

test-cpp: build
	ctest --preset dev --progress

test-python: build
	$(PY) -m pytest -n $(JOBS) --dist worksteal $(PYTEST_TARGETS) $(PYTEST_ARGS)

lint: .venv/.stamp-build+test+lint
	$(PY) tools/check_includes.py
	$(PY) tools/check_file_length.py
	clang-format --dry-run -Werror $(CPP_SOURCES)
	ruff check $(PYTHON_SOURCES)
	ruff format --check $(PYTHON_SOURCES)
	mypy

# What is made from the registry; tests see to it that it is up to date.
derived: build
	$(PY) tools/make_stubs.py
	$(PY) tools/make_operator_page.py

# The book. Its snippets run in tests/python/test_book.py; the reference is made from docstrings.
docs: build .venv/.stamp-docs
	$(PY) -m sphinx -q -W --keep-going -j $(JOBS) -d build/docs-cache -b html docs build/docs
	@echo "open $(CURDIR)/build/docs/index.html"

format: .venv/.stamp-build+test+lint
	clang-format -i $(CPP_SOURCES)
	ruff check --fix $(PYTHON_SOURCES)
	ruff format $(PYTHON_SOURCES)

demo: build .venv/.stamp-examples
	$(PY) examples/autograd_tour.py
	$(PY) examples/train_digits.py
	$(PY) examples/gaussian_process.py
	$(PY) examples/custom_logistic.py
	$(PY) examples/convnet_digits.py
	$(PY) examples/gluon_digits.py --quick
	$(PY) examples/factorization_machine.py

bench: bench-programs
	$(PY) benchmarks/run.py $(if $(WORKLOADS),--workloads $(foreach w,$(WORKLOADS),'$(w)')) \
	  $(if $(THREADS),--threads $(THREADS)) $(if $(ROUNDS),--rounds $(ROUNDS))

bench-micro: bench-programs
	$(if $(THREADS),OMP_NUM_THREADS=$(THREADS)) build/dev/benchmarks/micro/mxtape_micro

bench-pointwise: bench-programs
	OMP_NUM_THREADS=1 build/dev/benchmarks/micro/mxtape_micro --pointwise

bench-scaling: build
	$(PY) benchmarks/scaling.py $(if $(THREADS),--threads $(THREADS))

# Not part of any other build.
bench-programs: build
	cmake --preset dev -DMXTAPE_BENCHMARKS=ON >/dev/null
	cmake --build --preset dev -j $(JOBS) --target mxtape_machine mxtape_micro

# `make sanitize thread` has the thread sanitizer.
sanitize: .venv/.stamp-build+test+lint
	JOBS=$(JOBS) tools/sanitize.sh $(filter thread,$(MAKECMDGOALS))

thread: sanitize

check-eigen: .venv/.stamp-build+test+lint
	$(PY) tools/check_eigen.py $(EIGEN)

wheel:
	tools/build_wheels.sh

record-conformance:
	"$$(tools/mxnet_reference.sh)" tests/conformance/record.py

.PHONY: fuzz fuzz-bytes
fuzz: build
	$(PY) tests/fuzz/fuzz.py --seconds $(SECONDS) --seed $(SEED)

# Needs Clang: apt-get install clang libclang-rt-14-dev libomp-14-dev.
fuzz-bytes: build
	SECONDS_EACH=$(SECONDS) tests/fuzz/bytes/run.sh

clean:
	rm -rf build dist wheelhouse python/mxtape/_build.py python/mxtape/_core_*.so
