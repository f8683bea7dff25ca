# Every target makes what it needs: a .venv beside this file, the native module in it, the tools. A C++20 compiler and
# Python 3.11 with venv are all that must be there (Debian 12: apt install g++ make python3-venv python3-dev).
#
#   make demo    DEMO_SECONDS=30 DATA=path    watch a hub at work, and its page, with real files or a simulated market
#   make test    ARGS="-k lapped" SLOW=1      native tests, then pytest: offline, in random order, warnings are errors
#   make screenshots                          photograph the page: docs/images
#   make check                                ruff, mypy --strict, the native module's stub, the tidy tests
#   make sanitize                             native tests under ASan + UBSan, then TSan
#   make chaos                                every crash point, then long fault injection: chaos.json and crash-points.json
#                                             in benchmarks/results/
#   make bench   ARGS=…                       this hub and its peers, results in benchmarks/results/
#   make stub                                 write src/tapehub/_native.pyi anew
#   make clean                                remove everything that a target made
#
# DEVELOPER=ON turns compiler warnings into errors; .ci/run sets it.

# The suite starts some hundred processes: what is imported is compiled once, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

PYTHON    ?= python3
DEVELOPER ?= OFF
VENV      := .venv
PY        := $(VENV)/bin/python
CMAKE     := $(VENV)/bin/cmake
CTEST     := $(VENV)/bin/ctest
PIP       := $(PY) -m pip --disable-pip-version-check --quiet
PYTEST    := $(PY) -m pytest
# Many tests wait for processes and sockets: three workers on two cores.
WORKERS   ?= 3
MARKS     := $(if $(SLOW),not chaos,not chaos and not slow)
# A native call that never returns is beyond pytest-timeout's signal: faulthandler prints every stack and ends the run.
HANG      := -o faulthandler_timeout=150 -o faulthandler_exit_on_timeout=true

TOOLS  := $(VENV)/.tools
MODULE := $(VENV)/.module
DEMO   := $(VENV)/.demo
DEV    := $(VENV)/.dev
BENCH  := $(VENV)/.bench
NATIVE := CMakeLists.txt $(wildcard native/include/tapehub/*.hpp native/src/*.cpp native/src/*.hpp)

STUBGEN = $(PY) -m nanobind.stubgen -q -P -m tapehub._native -p native/src/stub.pat

# $(call build_native,name,sanitizers): the native tests in build/native/<name>. Configuring speaks only when it fails.
COMMA := ,
define build_native
	@mkdir -p build/native
	$(CMAKE) -S . -B build/native/$(1) -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(VENV)/bin/ninja -DTAPEHUB_NATIVE_TESTS=ON \
	  -DTAPEHUB_DEVELOPER=$(DEVELOPER) -DTAPEHUB_SANITIZE=$(2) > build/native/$(1).log 2>&1 || { cat build/native/$(1).log; exit 1; }
	$(CMAKE) --build build/native/$(1)
endef

.PHONY: demo test native-test python-test chromium screenshots check stub sanitize crash-points chaos bench clean
.DELETE_ON_ERROR:

# DEMO_SECONDS and DATA reach the demo through the environment, as make passes on what it was given.
demo: $(DEMO)
	$(PY) -m tapehub_entry tapehub.app.demo

# The native tests are compiled and run while the tools are fetched.
test: $(TOOLS)
	$(MAKE) -j2 --output-sync=target native-test $(DEV) chromium
	$(MAKE) python-test

native-test: $(TOOLS)
	$(call build_native,plain,)
	$(CTEST) --test-dir build/native/plain -j 2 --output-on-failure --no-tests=error

python-test: $(DEV) chromium
	$(PYTEST) $(HANG) -n $(WORKERS) --dist worksteal -m "$(MARKS)" $(ARGS)

# The page's tests drive the distribution's Chromium; where it can be neither found nor installed they are skipped, and say so.
CHROMIUM = command -v chromium || command -v chromium-browser || command -v google-chrome
INSTALL_CHROMIUM = apt-get install -y --no-install-recommends chromium
chromium:
	@mkdir -p build
	@{ $(CHROMIUM); } > /dev/null || { $(INSTALL_CHROMIUM) || { apt-get update && $(INSTALL_CHROMIUM); }; } > build/chromium.log 2>&1 \
	  || echo 'no Chromium, and it could not be installed (build/chromium.log): tests/browser is skipped' >&2

screenshots: $(DEV) chromium
	$(PY) -m tests.browser.screenshots

check: $(DEV)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy --strict src
	@mkdir -p build
	$(STUBGEN) -o build/_native.pyi
	@diff -u src/tapehub/_native.pyi build/_native.pyi || { echo 'src/tapehub/_native.pyi differs from the module that was built; run "make stub" and commit it' >&2; exit 1; }
	$(PYTEST) $(HANG) tests/tidy

stub: $(MODULE)
	$(STUBGEN) -o src/tapehub/_native.pyi

# setarch -R: the ThreadSanitizer of GCC 12 refuses kernels with many bits of address randomisation.
sanitize: $(TOOLS)
	$(call build_native,asan,address$(COMMA)undefined)
	$(CTEST) --test-dir build/native/asan -j 2 --output-on-failure --no-tests=error
	$(call build_native,tsan,thread)
	$$(setarch -R true 2> /dev/null && echo setarch -R) $(CTEST) --test-dir build/native/tsan -j 2 --output-on-failure --no-tests=error

# Every store of every operation, where native-test tries some forty of each; every damaged byte; more random histories. One process at a time: its seconds are the
# report's. A case that fails is in the report too.
CRASH_LINES := build/crash-points.jsonl
crash-points: $(TOOLS)
	$(call build_native,plain,)
	@rm -f $(CRASH_LINES)
	status=0; for source in native/tests/crash_*.cpp native/tests/damage.cpp native/tests/property.cpp; do \
	  TAPEHUB_TEST_ALL=1 TAPEHUB_CRASH_REPORT=$(CRASH_LINES) build/native/plain/$$(basename $$source .cpp) || status=1; \
	done; \
	$(PY) native/tests/crash_report.py $(CRASH_LINES) benchmarks/results/crash-points.json && exit $$status

chaos: $(DEV) crash-points
	$(PYTEST) tests/fault -m chaos --chaos-report=benchmarks/results/chaos.json $(ARGS)

bench: $(BENCH)
	$(PY) -m benchmarks $(ARGS)

clean:
	rm -rf build $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

# Build tools come from PyPI, so that the distribution's cmake, or none, makes no difference.
$(TOOLS): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install 'scikit-build-core>=0.11' 'nanobind>=2.9' 'numpy>=2.0' cmake ninja
	@touch $@

$(MODULE): $(TOOLS) $(NATIVE)
	$(PIP) install --no-build-isolation --config-settings=cmake.define.TAPEHUB_DEVELOPER=$(DEVELOPER) -e '.[cli]'
	@touch $@

# The package is in place by now, so these add what the extras name and build nothing. Of the tests' libraries most modules
# are never imported: those that are, are compiled then.
$(DEV): $(MODULE)
	$(PIP) install --no-compile 'tapehub[dev]'
	@touch $@

# The collector, the simulated IG and the page: what a demonstration needs beside the module.
$(DEMO): $(MODULE)
	$(PIP) install 'tapehub[ig,sim,server,indicators]'
	@touch $@

$(BENCH): $(MODULE)
	$(PIP) install 'tapehub[bench]'
	@touch $@
