# Jobyard's commands. `make` alone lists them.

SHELL         := /bin/bash
.SHELLFLAGS   := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS     += --no-print-directory

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
WORKERS ?= 1

# Static binaries that hold no path of the machine they were built on. The
# version comes by flag, since a container's build has no .git to read.
BUILD := go build -trimpath -buildvcs=false \
	-ldflags '-s -w -X github.com/jobyard/jobyard/internal/app.version=$(VERSION)'

# The checking tools, built once for each Go version and tools/go.sum.
TOOLS := bin/tools/$(shell go env GOVERSION)-$(firstword $(shell cksum tools/go.sum))
LINT  := $(TOOLS)/golangci-lint
TESTS := $(TOOLS)/gotestsum

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## show all four kinds at work in one process, without Redis
	@echo 'Building; the first time takes a minute or two ...' >&2
	@go run ./cmd/standalone demo

.PHONY: run
run: ## producer, worker and monitor in one process, until Ctrl-C
	go run ./cmd/standalone run

.PHONY: test
test: ## all tests; what needs redis-server or shared data skips and says so
	go test ./...

.PHONY: race
race: ## all tests with the race detector (needs a C compiler)
	go test -race ./...

.PHONY: check
check: fmt-check vet lint race build ## what must be green before a commit

.PHONY: bench
bench: ## the queue beside raw asynq: make bench BENCH='-quick -rows drain'
	go run ./bench $(BENCH)

.PHONY: quality
quality: ## results beside ground truths, as shares: JOBYARD_DATA=folder make quality
	$(if $(JOBYARD_DATA),JOBYARD_DATA='$(abspath $(JOBYARD_DATA))') go run ./bench/quality $(QUALITY)

.PHONY: chaos
chaos: build ## prove that nothing is lost, in ten minutes: make chaos CHAOS='-for 1m'
	go run ./test/chaos $(CHAOS)

.PHONY: microbench
microbench: ## all benchmarks of the packages
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: cover
cover: ## coverage by package, and in all
	go test -coverprofile=cover.out -coverpkg=./tasks/...,./client/...,./internal/... ./...
	go tool cover -func=cover.out | tail -n 1

.PHONY: build
build: ## static binaries into bin/
	mkdir -p bin
	CGO_ENABLED=0 $(BUILD) -o bin/ ./cmd/...

.PHONY: leak-build
leak-build: ## bin/worker-goroutineleak: a worker that finds goroutines nothing can wake
	mkdir -p bin
	GOEXPERIMENT=goroutineleakprofile CGO_ENABLED=0 $(BUILD) -o bin/worker-goroutineleak ./cmd/worker

.PHONY: cross
cross: ## compile for the other systems we promise, keeping nothing
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(BUILD) -o /dev/null ./cmd/...
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $(BUILD) -o /dev/null ./cmd/...

.PHONY: fmt
fmt: $(LINT) ## format the code and sort its imports
	$(LINT) fmt ./...

.PHONY: fmt-check
fmt-check: ## fail if gofmt would change a file
	@unformatted=$$(find . -name '*.go' -not -path '*/testdata/*' -not -path './node_modules/*' -print0 | xargs -0 gofmt -l); \
	[ -z "$$unformatted" ] || { echo "run make fmt; gofmt would change:" $$unformatted; exit 1; }

.PHONY: vet
vet: ## go vet
	go vet ./...
	go vet -tags browser,cost ./internal/monitor

.PHONY: lint
lint: $(LINT) ## the linters of .golangci.yml, import direction included
	$(LINT) run ./...

.PHONY: tools
tools: $(LINT) $(TESTS) ## build the checking tools

$(TESTS): $(LINT) ;
$(LINT):
	rm -rf bin/tools
	mkdir -p $(TOOLS)
	go build -C tools -trimpath -buildvcs=false -ldflags '-s -w' -o ../$(TOOLS)/ tool

.PHONY: up
up: ## start the containers: make up WORKERS=4
	VERSION=$(VERSION) docker compose up --build --detach --wait --scale worker=$(WORKERS)

.PHONY: down
down: ## stop the containers; what Redis holds stays
	docker compose down

.PHONY: clean
clean: ## remove what was built
	rm -rf bin cover.out
