# make run, make test: on a fresh Debian machine with Swift these install what is missing and then do the work.
.DEFAULT_GOAL := help
.PHONY: help setup build run proto proto-check test test-balancers test-onnx-cases sanitize-address sanitize-thread fuzz fuzz-build fuzz-corpus soak bench sslyze docs

PACKAGES := libprotobuf-c-dev protobuf-c-compiler libopenblas-dev libssl-dev libcurl4-openssl-dev libexpat1-dev pkg-config
SWIFT_RELEASE := swift build -c release --static-swift-stdlib

help:
	@echo "make run     serve three models and classify a digit (ONCE=1: then stop)"
	@echo "make test    build and run every test"
	@echo "make test-balancers   of these, nginx, HAProxy and Prometheus before three servers"
	@echo "make test-onnx-cases  ONNX's own cases for single operators, from PyPI"
	@echo "make sanitize-thread, sanitize-address   the Swift and HTTP tests under a sanitizer"
	@echo "make build   build the release executable"
	@echo "make docs    the Swift client's documentation, in .build/docs"
	@echo "make setup   install the Debian packages that are missing"
	@echo "make bench   compare with raw sockets and gRPC C++"
	@echo "make fuzz    fuzz the readers of weight files, frames, texts, JSON and log lines for a minute each (FUZZ_SECONDS=60)"
	@echo "make soak    the long form: fuzzing for 10 minutes each, the tests ten times and under both sanitizers"
	@echo "make sslyze  let sslyze, from PyPI, look for weak TLS"
	@echo "make proto   generate the protobuf-c code from proto/apus.proto, proto/onnx.proto and proto/tensorflow.proto"

setup:
	@missing=""; for package in $(PACKAGES); do \
	  dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then \
	  echo "setup: installing$$missing"; \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq $$missing >/dev/null; \
	fi

build: setup
	$(SWIFT_RELEASE) --product apus
	$(SWIFT_RELEASE) --product apus-gateway
	$(SWIFT_RELEASE) --product apus-store

# Generated code is committed, so that a build needs no generator.
proto: setup
	@rm -rf .build/proto && mkdir -p .build/proto
	protoc-c --proto_path=proto --c_out=.build/proto proto/apus.proto proto/onnx.proto proto/tensorflow.proto
	cp .build/proto/apus.pb-c.c Sources/CApusProto/
	cp .build/proto/apus.pb-c.h Sources/CApusProto/include/
	cp .build/proto/onnx.pb-c.c Sources/COnnxProto/
	cp .build/proto/onnx.pb-c.h Sources/COnnxProto/include/
	cp .build/proto/tensorflow.pb-c.c Sources/CTensorFlowProto/
	cp .build/proto/tensorflow.pb-c.h Sources/CTensorFlowProto/include/

proto-check: setup
	@rm -rf .build/proto && mkdir -p .build/proto
	@protoc-c --proto_path=proto --c_out=.build/proto proto/apus.proto proto/onnx.proto proto/tensorflow.proto
	@cmp .build/proto/apus.pb-c.c Sources/CApusProto/apus.pb-c.c && \
	 cmp .build/proto/apus.pb-c.h Sources/CApusProto/include/apus.pb-c.h && \
	 cmp .build/proto/onnx.pb-c.c Sources/COnnxProto/onnx.pb-c.c && \
	 cmp .build/proto/onnx.pb-c.h Sources/COnnxProto/include/onnx.pb-c.h && \
	 cmp .build/proto/tensorflow.pb-c.c Sources/CTensorFlowProto/tensorflow.pb-c.c && \
	 cmp .build/proto/tensorflow.pb-c.h Sources/CTensorFlowProto/include/tensorflow.pb-c.h || \
	 { echo "proto-check: the generated code is not current; run make proto"; exit 1; }

# Debian's Python, which has Debian's numpy and pytest; the client needs nothing else.
PYTHON := /usr/bin/python3

# Programs that people call HTTP with, from PyPI, in a folder of their own and in the versions named here.
HTTP_CLIENTS := .build/http-clients
HTTP_CLIENT_VERSIONS := tritonclient[http]==2.73.0 schemathesis==4.32.5 requests==2.34.2 pytest==9.2.0
INSTALL_HTTP_CLIENTS = [ -x $(HTTP_CLIENTS)/bin/schemathesis ] || \
  { $(PYTHON) -m venv $(HTTP_CLIENTS) && $(HTTP_CLIENTS)/bin/pip install -q $(HTTP_CLIENT_VERSIONS); }
TEST_HTTP = $(HTTP_CLIENTS)/bin/python -m pytest -q -p no:cacheprovider clients/http

# S3 by moto's server, and web servers that misbehave, for apus-store.
STORE_CLIENTS := .build/store-clients
STORE_CLIENT_VERSIONS := moto[server]==5.2.5 boto3==1.44.8 pytest==9.2.0
INSTALL_STORE_CLIENTS = [ -x $(STORE_CLIENTS)/bin/moto_server ] || \
  { $(PYTHON) -m venv $(STORE_CLIENTS) && $(STORE_CLIENTS)/bin/pip install -q $(STORE_CLIENT_VERSIONS); }
TEST_STORE = $(STORE_CLIENTS)/bin/python -m pytest -q -p no:cacheprovider clients/store

# nginx, HAProxy and Prometheus, real ones, with three servers. Debian starts them when it installs them.
NEIGHBOURS := nginx libnginx-mod-stream haproxy prometheus python3-prometheus-client
TEST_NEIGHBOURS = APUS_BINARY=.build/debug/apus $(PYTHON) -m pytest -q -p no:cacheprovider deploy/tests

test: PACKAGES += python3-numpy python3-pytest python3-venv openssl strace curl $(NEIGHBOURS)
test: proto-check fuzz-corpus
	$(SWIFT_RELEASE) --product apus
	$(SWIFT_RELEASE) --product apus-gateway
	$(SWIFT_RELEASE) --product apus-store
	swift build --build-tests
	APUS_BINARY=.build/debug/apus $(PYTHON) -m pytest -q -p no:cacheprovider clients/python
	@$(INSTALL_HTTP_CLIENTS)
	APUS_BINARY=$(CURDIR)/.build/debug/apus $(TEST_HTTP)
	@$(INSTALL_STORE_CLIENTS)
	APUS_STORE=$(CURDIR)/.build/debug/apus-store $(TEST_STORE)
	APUS_BINARY=$(CURDIR)/.build/debug/apus $(PYTHON) -m pytest -q -p no:cacheprovider clients/platform
	$(TEST_NEIGHBOURS)
	swift test --skip-build

# The same tests of neighbours alone.
test-balancers: PACKAGES += python3-numpy python3-pytest openssl curl $(NEIGHBOURS)
test-balancers: setup
	swift build --product apus
	swift build --product apus-gateway
	$(TEST_NEIGHBOURS)

# ONNX's own cases for single operators, from its package in the version named here. To make the list of those that
# must pass again: prepare.py --onnxruntime Tests/ONNXNodeCases/onnxruntime.txt, with onnxruntime 1.32.0.
ONNX_CASES := .build/onnx-cases
test-onnx-cases: PACKAGES += python3-venv
test-onnx-cases: setup
	@[ -x $(ONNX_CASES)/venv/bin/pip ] || $(PYTHON) -m venv $(ONNX_CASES)/venv
	@$(ONNX_CASES)/venv/bin/pip install -q onnx==1.23.2
	$(ONNX_CASES)/venv/bin/python Tests/ONNXNodeCases/prepare.py $(ONNX_CASES)/cases
	APUS_ONNX_CASES=$(CURDIR)/$(ONNX_CASES)/cases swift test --filter ONNXNodeCaseTests

# The tests under a sanitizer, in a build folder of its own; what ExactTests counts is not the same there. One test at
# a time: a sanitizer makes all of them so slow that side by side, some would wait for a processor until their limit.
# Leaks are looked for by the fuzz targets alone: Foundation, which only tests use, leaks for every file it reads.
sanitize-address sanitize-thread: PACKAGES += python3-venv
sanitize-address sanitize-thread: export ASAN_OPTIONS := detect_leaks=0:suppressions=$(CURDIR)/Tests/asan.supp
sanitize-address sanitize-thread: sanitize-%: setup
	swift test --sanitize=$* --scratch-path .build-$* --skip ExactTests --no-parallel
	@$(INSTALL_HTTP_CLIENTS)
	APUS_BINARY=$(CURDIR)/.build-$*/debug/apus $(TEST_HTTP)

# The Swift client's documentation, as a site in .build/docs: what its sources say of public symbols, and the
# articles. The symbols are read from the module as it was built, so it need not be built in another way.
DOCC = $(dir $(realpath $(shell command -v swift)))docc
C_MODULES := $(dir $(wildcard Sources/C*/module.modulemap Sources/C*/include/module.modulemap))

docs: setup
	@[ -x "$(DOCC)" ] || { echo "docs: there is no docc beside swift; install a Swift toolchain from swift.org, which has it"; exit 1; }
	swift build --target ApusClient
	@rm -rf .build/symbols .build/docs && mkdir -p .build/symbols
	swift symbolgraph-extract -module-name ApusClient -minimum-access-level public -output-dir .build/symbols \
	  -target $$(swiftc -print-target-info | sed -n 's/^ *"triple": "\(.*\)",$$/\1/p' | head -1) \
	  -I $$(swift build --show-bin-path)/Modules $(addprefix -I ,$(C_MODULES))
	$(DOCC) convert Sources/ApusClient/ApusClient.docc \
	  --additional-symbol-graph-dir .build/symbols --output-dir .build/docs --warnings-as-errors
	@for page in apusclient apusclient/callingamodel apusclient/apusclient apusclient/synchronousclient; do \
	  [ -f .build/docs/data/documentation/$$page.json ] || { echo "docs: the page $$page is missing"; exit 1; }; done
	@echo "docs: $$(find .build/docs/data/documentation -name '*.json' | wc -l) pages; see them with"
	@echo "  python3 -m http.server --directory .build/docs 8000, then http://127.0.0.1:8000/documentation/apusclient/"

SOCKET := $(or $(XDG_RUNTIME_DIR),/tmp)/apus-run.sock

run: build
	@.build/release/apus serve --models models/repository --listen unix:$(SOCKET) & server=$$!; \
	trap 'kill $$server 2>/dev/null; wait $$server' EXIT; \
	for try in $$(seq 100); do [ -S $(SOCKET) ] && break; sleep 0.05; done; \
	.build/release/apus classify --to unix:$(SOCKET) --model digits --tensor models/samples/digit.npy --top 3 && \
	if [ -z "$(ONCE)" ]; then \
	  echo "serving on unix:$(SOCKET) until Ctrl-C"; trap - INT; wait $$server; fi

bench: PACKAGES += g++ libgrpc++-dev protobuf-compiler protobuf-compiler-grpc openssl python3 strace wrk gunicorn python3-flask python3-numpy
bench: build
	$(MAKE) -C benchmarks
	benchmarks/run.py

# sslyze is fetched into a folder of its own, in the version that is named here.
sslyze: PACKAGES += openssl python3-venv
sslyze: build
	@[ -x .build/sslyze/bin/sslyze ] || { /usr/bin/python3 -m venv .build/sslyze && .build/sslyze/bin/pip install -q sslyze==6.3.1; }
	.build/sslyze/bin/python Tests/Sslyze/scan.py .build/release/apus models/repository

FUZZ_TARGETS := json logs onnx tensorflow platform pytorch safetensors store text tls wire
FUZZ_SECONDS ?= 60

# A crash hangs in Swift's backtracer unless backtraces are off.
fuzz fuzz-corpus: export SWIFT_BACKTRACE := enable=no

fuzz-build: setup
	@for target in $(FUZZ_TARGETS); do echo "fuzz: building $$target"; Tests/Fuzz/build.sh $$target || exit 1; done

fuzz: fuzz-build
	@for target in $(FUZZ_TARGETS); do \
	  echo "fuzz: $$target for $(FUZZ_SECONDS) s"; mkdir -p .build/fuzz/new-$$target; \
	  .build/fuzz/$$target -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=512 -timeout=10 -print_final_stats=1 \
	    -artifact_prefix=.build/fuzz/ .build/fuzz/new-$$target Tests/Fuzz/corpus/$$target >.build/fuzz/$$target.log 2>&1 || \
	    { tail -40 .build/fuzz/$$target.log; echo "fuzz: $$target failed; the input is named above"; exit 1; }; \
	  awk -v target=$$target '/number_of_executed_units/ { runs = $$2 } /average_exec_per_sec/ { rate = $$2 } \
	    END { printf "fuzz: %s: %d executions, %d a second\n", target, runs, rate }' .build/fuzz/$$target.log; \
	done

# Every input of the committed corpora, once.
fuzz-corpus: fuzz-build
	@for target in $(FUZZ_TARGETS); do \
	  .build/fuzz/$$target -runs=0 -rss_limit_mb=512 -timeout=10 -artifact_prefix=.build/fuzz/ \
	    Tests/Fuzz/corpus/$$target >.build/fuzz/$$target.log 2>&1 || \
	    { tail -40 .build/fuzz/$$target.log; echo "fuzz-corpus: $$target failed"; exit 1; }; \
	  echo "fuzz-corpus: $$target: $$(ls Tests/Fuzz/corpus/$$target | wc -l) inputs passed"; \
	done

soak: test
	$(MAKE) fuzz FUZZ_SECONDS=600
	for round in 1 2 3 4 5 6 7 8 9 10; do swift test --skip-build || exit 1; done
	SOAK_ROUNDS=4000 swift test --skip-build --filter LaneFaultTests
	$(MAKE) sanitize-address
	$(MAKE) sanitize-thread
