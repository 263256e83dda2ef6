# Everything that one does with this repository. It needs Go and make; the race
# detector of `make test` also needs a C compiler on Linux, and is left out, with
# a notice, where there is none. Written for GNU make 3.81 too, which macOS ships.

.DEFAULT_GOAL := help
.NOTPARALLEL:

# Where the functions are built for, and under which version they introduce
# themselves to Segura (in the User-Agent); outside a git clone, the source's own.
ARCH      ?= arm64
BUILD_DIR ?= build
ifndef VERSION
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
endif

FUNCTIONS := api event
CC_FOUND  := $(shell command -v "$${CC:-cc}" 2>/dev/null || command -v gcc 2>/dev/null || command -v clang 2>/dev/null)
RACE      ?= $(if $(CC_FOUND),-race)
PORT      ?= 3000
EVENT     ?=

GO    ?= go
LINT  := $(GO) tool -modfile=tools/go.mod golangci-lint
LOCAL := CGO_ENABLED=0 $(GO) run -trimpath ./internal/local/cmd/segura-local
ROOMS := functions internal

# $(call title,WORDS) starts a section of a long output.
title = @printf '\n==> %s\n' '$(1)'

##@ Use

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## "; print "Usage: make TARGET [VARIABLE=value]" } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: ## Send the sample events through the local stack; EVENT=events/x.json: one, EVENT=-: standard input
	@$(LOCAL) run $(if $(EVENT),'$(EVENT)')

.PHONY: serve
serve: ## Keep the local stack up behind http://127.0.0.1:3000; PORT=8080: another port
	@$(LOCAL) serve -port '$(PORT)'

.PHONY: build
build: $(FUNCTIONS:%=build-%) ## Build both functions to build/{api,event}/bootstrap for Linux; ARCH=arm64 or amd64, VERSION=1.2.3

.PHONY: $(FUNCTIONS:%=build-%)
$(FUNCTIONS:%=build-%): build-%:
	GOOS=linux GOARCH=$(ARCH) CGO_ENABLED=0 $(GO) build -tags lambda.norpc -trimpath \
		-ldflags '-s -w$(if $(VERSION), -X main.version=$(VERSION))' \
		-o '$(BUILD_DIR)/$*/bootstrap' ./functions/$*

##@ Develop

# -count=1: some tests run programs that they compile first, and Go's test cache
# does not see the sources of those.
.PHONY: test
test: ## Run every test, offline, with the race detector; RACE=: without it
	$(call title,test)
	@$(if $(RACE),:,printf '!!! SKIPPED: the race detector: no C compiler here\n')
	$(GO) test $(RACE) -count=1 ./...

.PHONY: fmt
fmt: ## Format the Go code
	gofmt -s -w $(ROOMS)

.PHONY: check
check: check-fmt check-mod check-vet check-lint test check-build check-vuln ## Run what CI runs: format, modules, vet, lint, tests, build, vulnerabilities
	@if [ -f .bin/skipped ]; then \
		printf '\n==> check: passed, but SKIPPED: %s\n' "$$(cat .bin/skipped)"; \
	else printf '\n==> check: passed\n'; fi

.PHONY: clean
clean: ## Remove what was built
	rm -rf '$(BUILD_DIR)' .bin

##@ The parts of check

.PHONY: check-fmt
check-fmt: ## Formatting (nothing is changed)
	$(call title,gofmt)
	@diff=$$(gofmt -s -d $(ROOMS)); status=$$?; \
	if [ $$status -ne 0 ] || [ -n "$$diff" ]; then printf '%s\n\nRun make fmt.\n' "$$diff"; exit 1; fi

.PHONY: check-mod
check-mod: ## go.mod and go.sum are tidy, and the modules are what go.sum says
	$(call title,modules)
	$(GO) mod tidy -diff
	$(GO) mod verify

# Vetting for macOS type-checks everything for it, tests included.
.PHONY: check-vet
check-vet: ## go vet: as developed, as deployed, and for macOS
	$(call title,vet)
	$(GO) vet ./...
	GOOS=linux CGO_ENABLED=0 $(GO) vet -tags lambda.norpc ./...
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 $(GO) vet ./...

.PHONY: check-lint
check-lint: ## golangci-lint (.golangci.yml); the first build of it takes minutes
	$(call title,golangci-lint)
	$(LINT) run ./...

.PHONY: check-vuln
check-vuln: ## govulncheck; VULN=required: fail where it cannot be had, instead of skipping it
	$(call title,govulncheck)
	@GO='$(GO)' VULN='$(VULN)' sh tools/vulncheck.sh

.PHONY: check-build
check-build: ## Both functions for both architectures
	$(call title,build)
	@$(MAKE) --no-print-directory build ARCH=arm64 BUILD_DIR='$(BUILD_DIR)/check/arm64'
	@$(MAKE) --no-print-directory build ARCH=amd64 BUILD_DIR='$(BUILD_DIR)/check/amd64'
