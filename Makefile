# make up      build, start a cluster on this machine and show an application running on it
# make test    run every test, from units to a whole cluster with real containers
# make down    stop the cluster and remove all that it left
# make build   the one binary, bin/septet
# make conformance  run the official conformance suite, as upstream builds it, against a cluster with real containers
# make cgroup2 run a node in an emulated machine that has cgroup v2 alone; for hosts that still have v1
# make peers   build upstream's components and put each in the place of ours, and ours in the place of upstream's
# make histories  check many histories of concurrent clients
# make decisions  check the scheduler's decisions against a plain reading of the rules, in many random clusters
# make fuzz    look for inputs that break parsers, FUZZTIME (30s) each
# make bench   measure: start-up, memory, Pods, Services, the API
# make bench-apiserver  measure the API server under load, and another one beside it (BENCH_FLAGS)

SHELL := /bin/bash
# grpcnotrace keeps grpc from linking golang.org/x/net/trace; docs/decisions/binary-size.md says what that is worth.
TAGS := grpcnotrace
export GOFLAGS ?= -buildvcs=false -tags=$(TAGS)
VERSION ?= v0.1.0
COMMIT := $(shell git rev-parse --short HEAD 2>/dev/null)
DATE := $(shell git log -1 --format=%cI 2>/dev/null)
PKG := github.com/septet-io/septet/daemon
LDFLAGS := -s -w -X $(PKG).SeptetVersion=$(VERSION) -X $(PKG).Commit=$(COMMIT) -X $(PKG).BuildDate=$(DATE)
TEST_FLAGS ?=

.PHONY: up down build carried deps test unit lint runtime-test e2e bench bench-apiserver conformance cgroup2 peers histories decisions fuzz clients clean
up: build bin/guestbook.tar
	@tools/up.sh

down:
	@if [ -x bin/septet ]; then bin/septet down; else echo "bin/septet is not built, so nothing runs"; fi

build: deps carried
	@echo "── building bin/septet"
	@CGO_ENABLED=0 go build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/septet ./cmd/septet

# The programs that septet carries: container runtime, network plugin, kubectl. Up to date ones are left alone.
carried: deps
	@echo "── building what septet carries"
	@$(MAKE) --no-print-directory -C runtime OUT=../cluster/carried/files

# What builds and tests need of Debian: a C compiler and libseccomp for runc, busybox for test images.
deps:
	@tools/deps.sh

bin/guestbook.tar: examples/guestbook/main.go
	@echo "── building the example application"
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/guestbook ./examples/guestbook
	@go run ./tools/image -name septet.io/guestbook:1 -out bin/guestbook.tar bin/guestbook

test: lint unit runtime-test e2e clients
	@echo "── all tests passed"

lint: deps carried
	@echo "── vet and staticcheck"
	@go vet ./...
	@go tool staticcheck ./...

unit: deps carried
	@echo "── unit and component tests"
	@go test $(TEST_FLAGS) -timeout 20m $$(go list ./... | grep -v -e /test/e2e -e /test/binary)

runtime-test: deps
	@echo "── tests of the carried programs"
	@$(MAKE) --no-print-directory -C runtime test

# Programs and libraries that people use, unmodified; a module of its own, so that septet never comes to need what they need.
clients: build
	@echo "── envtest, client-go, Helm and kubectl against septet"
	@cd test/clients && go vet ./... && SEPTET=$(CURDIR)/bin/septet go test $(TEST_FLAGS) -count=1 -timeout 20m ./...

# What make build has made, and a cluster with real containers.
e2e: build
	@go test $(TEST_FLAGS) -count=1 ./test/binary
	@echo "── end to end: a cluster with real containers"
	@go test $(TEST_FLAGS) -count=1 -timeout 30m ./test/e2e/...

bench: build
	@go run ./bench $(BENCH_FLAGS)

# BENCH_FLAGS="--peer-apiserver BINARY --peer-etcd BINARY" puts the same load on another kube-apiserver.
bench-apiserver:
	@go run ./bench/apiserver $(BENCH_FLAGS)

# Upstream's own suite, built in a module outside of this one. FOCUS='sig-node', SKIP='Slow' and PROCS=6 narrow it.
conformance: build
	@test/official/run.sh

cgroup2: build
	@test/cgroup2/run.sh

# Upstream's components, built in a module outside of this one, beside ours.
peers: deps carried
	@test/peer/run.sh

# Many histories of concurrent clients under restarts and kills, checked for linearizability; hours, if asked for.
histories:
	@HISTORIES=$${HISTORIES:-1000} go test -count=1 -run Histories -timeout 4h ./apiserver/store/ ./test/apiserver/

# Some 60 decisions a cluster: 100,000 and more. CLUSTERS sets how many clusters there are.
decisions:
	@SEPTET_CLUSTERS=$${CLUSTERS:-2000} go test -count=1 -v -run ColumnsAgreeWithThePlainRules -timeout 4h ./scheduler/decide/

# Inputs that are found are written to testdata/fuzz beside the test, which then runs with them. Without this the tests run all of those once.
fuzz:
	@set -e; for p in $$(grep -rlE '^func Fuzz' --include=*_test.go . | grep -v '^./runtime/' | xargs -n1 dirname | sort -u); do \
		for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9]*' $$p/*_test.go | cut -d' ' -f2); do \
			echo "── $$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $${FUZZTIME:-30s} $$p; \
		done; \
	done

clean:
	@rm -rf bin
	@$(MAKE) --no-print-directory -C runtime clean
