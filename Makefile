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

FUNCTIONS := api event window
CC_FOUND  := $(shell command -v "$${CC:-cc}" 2>/dev/null || command -v gcc 2>/dev/null || command -v clang 2>/dev/null)
RACE      ?= $(if $(CC_FOUND),-race)
PORT      ?= 3000
EVENT     ?=

GO     ?= go
PYTHON ?= python3
LINT   := $(GO) tool -modfile=tools/go.mod golangci-lint
LOCAL  := CGO_ENABLED=0 $(GO) run -trimpath ./simulated/cmd/segura-local
ROOMS  := functions internal simulated test tools

# $(call title,WORDS) starts a section of a long output.
title = @printf '\n==> %s\n' '$(1)'

##@ Use

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## "; print "Usage: make TARGET [VARIABLE=value]" } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: ## Send the sample events through the local stack; EVENT=events/x.json: one, EVENT=-: standard input
	@$(LOCAL) run $(if $(EVENT),'$(EVENT)')

.PHONY: sam-local
sam-local: ## Send them through sam local, in containers; EVENT=events/x.json: one, SAM_LOCAL=required: fail where it cannot run
	$(call title,sam local)
	@exec env GO='$(GO)' PYTHON='$(PYTHON)' SAM_LOCAL='$(SAM_LOCAL)' EVENT='$(EVENT)' sh tools/sam/local.sh

.PHONY: serve
serve: ## Keep the local stack up behind http://127.0.0.1:3000; PORT=8080: another port
	@$(LOCAL) serve -port '$(PORT)'

# Containers find this machine at the gateway of their bridge.
.PHONY: services
services: ## Keep Segura and Secrets Manager up, for a sam local of yours with tools/sam/local-env.json
	@$(LOCAL) services -gateway "$$(docker network inspect bridge --format '{{range .IPAM.Config}}{{.Gateway}} {{.Subnet}} {{end}}' 2>/dev/null)"

.PHONY: build
build: $(FUNCTIONS:%=build-%) ## Build the functions to build/{api,event,window}/bootstrap for Linux; ARCH=arm64 or amd64, VERSION=1.2.3

# $(call compile,NAME,FOLDER): the same source, version, Go and ARCH make the same bytes
# wherever the source lies and whatever is asked for: here, by sam build, by make dist.
compile = GOOS=linux GOARCH=$(ARCH) CGO_ENABLED=0 $(GO) build -tags lambda.norpc -trimpath -buildvcs=false \
	-ldflags '-s -w -buildid=$(if $(VERSION), -X main.version=$(VERSION))' \
	-o '$(2)/bootstrap' ./functions/$(1)

.PHONY: $(FUNCTIONS:%=build-%)
$(FUNCTIONS:%=build-%): build-%:
	$(call compile,$*,$(BUILD_DIR)/$*)

# What sam build calls, in this folder, with the one to fill in ARTIFACTS_DIR.
.PHONY: build-ApiFunction build-EventFunction build-WindowApiFunction build-WindowFunction
build-ApiFunction: NAME := api
build-EventFunction: NAME := event
build-WindowApiFunction: NAME := window
build-WindowFunction: NAME := window
build-ApiFunction build-EventFunction build-WindowApiFunction build-WindowFunction:
	@test -n '$(ARTIFACTS_DIR)' || { echo 'sam build calls this; use make build' >&2; exit 2; }
	$(call compile,$(NAME),$(ARTIFACTS_DIR))

DIST_DIR ?= dist

.PHONY: dist
dist: ## Make a release in dist/: zips for both architectures, bills of materials, licences, checksums; VERSION=1.2.3
	@test -n '$(VERSION)' || { echo 'Which version? make dist VERSION=1.2.3' >&2; exit 2; }
	$(call title,dist $(VERSION))
	@$(MAKE) --no-print-directory build ARCH=arm64 BUILD_DIR='$(BUILD_DIR)/dist/arm64'
	@$(MAKE) --no-print-directory build ARCH=amd64 BUILD_DIR='$(BUILD_DIR)/dist/amd64'
	@rm -rf '$(DIST_DIR)'
	@$(GO) build -C tools/dist -o '$(CURDIR)/.bin/dist' . && .bin/dist pack -version '$(VERSION)' -out '$(DIST_DIR)' \
		$(foreach arch,arm64 amd64,$(FUNCTIONS:%='$(BUILD_DIR)/dist/$(arch)/%/bootstrap'))

##@ Deploy

# These need AWS credentials. sam and aws may be any that you have; without a sam,
# the pinned one is installed into .venv.
SAM        ?= $(if $(shell command -v sam 2>/dev/null),sam,.venv/bin/sam)
AWS        ?= aws
STACK      ?= segura-enable
PARAMETERS ?=
SAM_ARCH   := $(if $(filter amd64,$(ARCH)),x86_64,$(ARCH))

.venv/bin/sam: tools/sam/requirements.txt
	@PYTHON='$(PYTHON)' sh tools/sam/venv.sh sam
	@touch $@

.PHONY: deploy
deploy: $(filter .venv/%,$(SAM)) ## Build and deploy to AWS; PARAMETERS='ApiCallers=… ScheduleExpression=…', STACK=name, ARCH=arm64 or amd64
	@ARCH='$(ARCH)' VERSION='$(VERSION)' $(SAM) build
	$(SAM) deploy --stack-name '$(STACK)' --parameter-overrides Architecture=$(SAM_ARCH) $(PARAMETERS)

.PHONY: delete
delete: $(filter .venv/%,$(SAM)) ## Delete the stack, all windows closed first; its logs, table and the AWS secret that it created stay
	$(SAM) delete --stack-name '$(STACK)'

.PHONY: publish
publish: .venv/bin/sam ## Publish to the Serverless Application Repository; BUCKET=one that it may read
	@test -n '$(BUCKET)' || { echo 'Which bucket? make publish BUCKET=name' >&2; exit 2; }
	@ARCH='$(ARCH)' VERSION='$(VERSION)' .venv/bin/sam build
	.venv/bin/python tools/sam/flatten.py .aws-sam/build/flat.json
	.venv/bin/sam package --template-file .aws-sam/build/flat.json --s3-bucket '$(BUCKET)' --output-template-file .aws-sam/published.yaml
	.venv/bin/sam publish --template .aws-sam/published.yaml

.PHONY: logs
logs: $(filter .venv/%,$(SAM)) ## Follow the logs of the functions
	$(SAM) logs --stack-name '$(STACK)' --tail

.PHONY: invoke-remote
invoke-remote: ## Send an event to the deployed function that it is for; EVENT=events/self-check.json
	@test -f '$(EVENT)' || { echo 'Which event? make invoke-remote EVENT=events/self-check.json' >&2; exit 2; }
	@function=EventFunctionArn; if grep -q '"requestContext"' '$(EVENT)'; then function=ApiFunctionArn; \
	elif grep -qE '"(window|extend|close|close_all|reconcile)" *:' '$(EVENT)'; then function=WindowFunctionArn; fi; \
	reply=$$(mktemp) && trap 'rm -f "$$reply"' EXIT && \
	arn=$$($(AWS) cloudformation describe-stacks --stack-name '$(STACK)' --output text \
		--query "Stacks[0].Outputs[?OutputKey=='$$function'].OutputValue") && \
	about=$$(AWS_MAX_ATTEMPTS=1 $(AWS) lambda invoke --output json --cli-read-timeout 910 --function-name "$$arn" \
		--payload 'fileb://$(EVENT)' "$$reply") && cat "$$reply" && echo && \
	case $$about in *FunctionError*) echo 'That is a function error.' >&2; exit 1;; esac

##@ Develop

# -count=1: some tests run programs that they compile first, and Go's test cache
# does not see the sources of those. What is tested in acceptance, bench, chaos, soak and windows runs
# in processes of its own, into which the race detector of the test does not look: they
# come after the others, one by one, without it, so that their clocks are not slowed.
# Of chaos and soak it is a few seconds: see make chaos and make soak for more. What is
# tested in bulk needs an emulator: see make check-statemachines.
.PHONY: test
test: ## Run every test, offline, with the race detector; RACE=: without it
	$(call title,test)
	@$(if $(RACE),:,printf '!!! SKIPPED: the race detector: no C compiler here\n')
	$(GO) test $(RACE) -count=1 $$($(GO) list ./... | grep -v -e /test/bulk -e /test/acceptance -e /test/bench -e /test/chaos -e /test/soak -e /test/windows)
	$(GO) test -count=1 -p 1 ./test/acceptance ./test/bench ./test/chaos ./test/soak ./test/windows

.PHONY: e2e
e2e: ## Deploy the template to an emulator of AWS that is not ours, use it and delete it; E2E=required: fail where it cannot be had
	$(call title,e2e)
	@PYTHON='$(PYTHON)' E2E='$(E2E)' sh tools/e2e/check.sh

# Faults at random, world after world; a failure names the command that runs its
# world again. It compiles Go's standard library once more, for a clock to be moved.
SEED        ?=
INVOCATIONS ?= 3000

.PHONY: chaos
chaos: ## Run the functions among random faults; INVOCATIONS=3000, SEED=n: of the first world, which is the only one with INVOCATIONS=1
	$(GO) test -count=1 -timeout 0 -v $(if $(filter 1,$(INVOCATIONS)),-run '^TestChaos$$') ./test/chaos -args -chaos.invocations='$(INVOCATIONS)' $(if $(SEED),-chaos.seed='$(SEED)')

DURATION ?= 30m

.PHONY: soak
soak: ## Run the functions for DURATION=30m and see whether anything grows; Linux
	$(GO) test -count=1 -timeout 0 -v ./test/soak -args -soak.duration='$(DURATION)'

# One after the other; what fails is written to the package's testdata/fuzz, which
# make test reads from then on.
FUZZTIME ?= 10m

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME=10m; FUZZ=FuzzParse: one
	@set -e; for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz$(patsubst Fuzz%,%,$(FUZZ))' "$$package" | grep '^Fuzz' || true); do \
			printf '\n==> %s %s\n' "$$package" "$$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime '$(FUZZTIME)' "$$package"; \
		done; \
	done

# The machine should have nothing else to do. The tables and the plot go to
# test/bench, from where docs/performance.md takes them.
RUNS  ?= 40
BENCH ?=

.PHONY: bench
bench: ## Measure the functions beside their peers, as whole processes, on Linux; RUNS=40, BENCH=whole or shares: one part
	$(call title,bench)
	CGO_ENABLED=0 $(GO) run -trimpath ./test/bench/cmd/segura-bench -runs '$(RUNS)' -only '$(BENCH)' -python '$(PYTHON),.venv/bin/python' -out test/bench

# Compare two outputs with benchstat (golang.org/x/perf).
.PHONY: bench-go
bench-go: ## Go benchmarks of the hot pieces
	@$(GO) test -run '^$$' -bench . -benchmem -count 6 ./internal/apisecret ./internal/segura ./internal/telemetry ./internal/event

.PHONY: fmt
fmt: ## Format the Go code
	gofmt -s -w $(ROOMS)

.PHONY: check
check: check-fmt check-mod check-vet check-lint test check-build check-licences check-vuln check-template check-statemachines ## Run what CI runs: format, modules, vet, lint, tests, build, licences, vulnerabilities, template, state machines
	@if [ -f .bin/skipped ]; then \
		printf '\n==> check: passed, but SKIPPED: %s\n' "$$(cat .bin/skipped)"; \
	else printf '\n==> check: passed\n'; fi

.PHONY: clean
clean: ## Remove what was built
	rm -rf '$(BUILD_DIR)' '$(DIST_DIR)' .bin .aws-sam

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
	cd tools/dist && $(GO) mod tidy -diff && $(GO) mod verify

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
	cd tools/dist && $(GO) tool -modfile=../go.mod golangci-lint run --config ../../.golangci.yml ./...

.PHONY: check-licences
check-licences: ## Every module's licence is known, and compatible with ours
	$(call title,licences)
	@mkdir -p .bin && $(GO) build -C tools/dist -o '$(CURDIR)/.bin/dist' . && .bin/dist licences
	cd tools/dist && $(GO) test -count=1 ./...

.PHONY: check-vuln
check-vuln: ## govulncheck; VULN=required: fail where it cannot be had, instead of skipping it
	$(call title,govulncheck)
	@GO='$(GO)' VULN='$(VULN)' sh tools/vulncheck.sh

.PHONY: check-build
check-build: ## The functions for both architectures
	$(call title,build)
	@$(MAKE) --no-print-directory build ARCH=arm64 BUILD_DIR='$(BUILD_DIR)/check/arm64'
	@$(MAKE) --no-print-directory build ARCH=amd64 BUILD_DIR='$(BUILD_DIR)/check/amd64'

# After check-vuln, which begins the list of what was skipped.
.PHONY: check-template
check-template: ## template.yaml and openapi.yaml, as resolved stacks; TEMPLATE=required: fail where the tools cannot be had
	$(call title,template)
	$(GO) test -count=1 ./test/facts
	@PYTHON='$(PYTHON)' TEMPLATE='$(TEMPLATE)' sh tools/sam/check.sh check.py

.PHONY: check-statemachines
check-statemachines: ## The state machine by a validator and an emulator that are not ours; STATEMACHINES=required: fail where it cannot be had
	$(call title,state machines)
	@GO='$(GO)' PYTHON='$(PYTHON)' STATEMACHINES='$(STATEMACHINES)' sh tools/statemachines/check.sh

.PHONY: facts
facts: ## Write tools/sam/facts.json anew: what the template has to agree with of the code
	$(GO) test -count=1 ./test/facts -record

.PHONY: golden
golden: ## Write tools/sam/golden anew: the resolved stacks, for the review of a changed template
	@PYTHON='$(PYTHON)' TEMPLATE='$(TEMPLATE)' sh tools/sam/check.sh golden.py -record

.PHONY: mutate-template
mutate-template: ## Plant faults in template.yaml and openapi.yaml, and see which check finds them; takes minutes
	@PYTHON='$(PYTHON)' TEMPLATE='$(TEMPLATE)' sh tools/sam/check.sh mutate.py
