# Everything that one does with this repository. It needs Go and make; the race
# detector of `make test` also needs a C compiler with its headers on Linux, and is
# left out, with a notice, where there is none. Written for GNU make 3.81 too, which macOS ships.

.DEFAULT_GOAL := help
.NOTPARALLEL:

# Where the functions are built for, and under which version they introduce
# themselves to Segura (in the User-Agent); outside a git clone, the newest release's.
ARCH      ?= arm64
BUILD_DIR ?= build
GIVEN     := $(VERSION)
ifndef VERSION
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || sed -n '/^## \[[0-9]/{s/^## \[//;s/\].*//;p;q;}' CHANGELOG.md)
endif

FUNCTIONS := api event window
RACE      ?= $(shell test "$$($(GO) env CGO_ENABLED)" = 1 && $$($(GO) env CC) -include stdlib.h -fsyntax-only -x c /dev/null 2>/dev/null && echo -race)
PORT      ?= 3000
EVENT     ?=

GO     ?= go
PYTHON ?= python3
LINT   := $(GO) tool -modfile=tools/go.mod golangci-lint
LOCAL  := .bin/segura-local
SUPERVISE := .bin/supervise
ROOMS  := functions internal simulated test tools examples

# $(call title,WORDS) starts a section of a long output.
title = @printf '\n==> %s\n' '$(1)'

##@ Use

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## "; print "Usage: make TARGET [VARIABLE=value]" } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: $(LOCAL) ## Send the sample events through the local stack; EVENT=events/x.json: one, EVENT=-: standard input
	@exec $(LOCAL) run $(if $(EVENT),'$(EVENT)')

.PHONY: sam-local
sam-local: $(SUPERVISE) ## Send them through sam local, in containers; EVENT=events/x.json: one, SAM_LOCAL=required: fail where it cannot run
	$(call title,sam local)
	@GO='$(GO)' PYTHON='$(PYTHON)' SAM_LOCAL='$(SAM_LOCAL)' EVENT='$(EVENT)' exec $(SUPERVISE) sh tools/sam/local.sh

.PHONY: serve
serve: $(LOCAL) ## Keep the local stack up behind http://127.0.0.1:3000; PORT=8080: another port
	@exec $(LOCAL) serve -port '$(PORT)'

# Containers find this machine at the gateway of their bridge.
.PHONY: services
services: $(LOCAL) ## Keep Segura and Secrets Manager up, for a sam local of yours with tools/sam/local-env.json
	@exec $(LOCAL) services -gateway "$$(docker network inspect bridge --format '{{range .IPAM.Config}}{{.Gateway}} {{.Subnet}} {{end}}' 2>/dev/null)"

# It ends with make, however make ends, since nothing stands between the two.
.PHONY: $(LOCAL)
$(LOCAL): need-go
	@echo 'Compiling what stands in for AWS and Segura on this machine.'
	@echo 'The first time, that takes a minute or two, and the network for 4 MB of modules.'
	@mkdir -p .bin && GOTMPDIR='$(CURDIR)/.bin' CGO_ENABLED=0 $(GO) build -trimpath -o $@ ./simulated/cmd/segura-local

# What takes long and starts programs is run by this, so that it, too, ends with make
# and leaves nothing.
.PHONY: $(SUPERVISE)
$(SUPERVISE): need-go
	@mkdir -p .bin && GOTMPDIR='$(CURDIR)/.bin' CGO_ENABLED=0 $(GO) build -trimpath -o $@ ./test/supervise

# An older Go than 1.21 would say that go.mod is damaged.
GO_NEEDED := $(shell sed -n 's/^go //p' go.mod)

.PHONY: need-go
need-go:
	@here=$$($(GO) version 2>&1) || { echo "Go $(GO_NEEDED) or newer is needed, and there is none here: https://go.dev/dl ($$here)" >&2; exit 2; }; \
	printf '%s\n' "$$here" | awk -v needed='$(GO_NEEDED)' '{ split(substr($$3, 3), have, "."); split(needed, want, "."); \
		exit have[1] + 0 < want[1] + 0 || have[1] == want[1] && have[2] + 0 < want[2] + 0 }' || \
		{ echo "Go $(GO_NEEDED) or newer is needed: https://go.dev/dl; here is $$here" >&2; exit 2; }

.PHONY: build
build: $(FUNCTIONS:%=build-%) ## Build the functions to build/{api,event,window}/bootstrap for Linux; ARCH=arm64 or amd64, VERSION=1.2.3

# $(call compile,NAME,FOLDER): the same source, version, Go and ARCH make the same bytes
# wherever the source lies and whatever is asked for: here, by sam build, by make dist.
compile = GOOS=linux GOARCH=$(ARCH) CGO_ENABLED=0 $(GO) build -tags lambda.norpc -trimpath -buildvcs=false \
	-ldflags '-s -w -buildid=$(if $(VERSION), -X main.version=$(VERSION))' \
	-o '$(2)/bootstrap' ./functions/$(1)

.PHONY: $(FUNCTIONS:%=build-%)
$(FUNCTIONS:%=build-%): build-%: need-go
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
dist: .bin/dist ## Make a release in dist/: zips and a template for each architecture, bills of materials, licences, checksums; VERSION=1.2.3-rc.1: a trial, SOURCE=address of this version's source
	@version='$(GIVEN)'; test -n "$$version" || version=$$(.bin/dist version) || exit 2; \
	printf '\n==> dist %s\n' "$$version"; \
	for arch in arm64 amd64; do \
		$(MAKE) --no-print-directory build VERSION="$$version" ARCH=$$arch BUILD_DIR='$(BUILD_DIR)'/dist/$$arch || exit; \
	done; \
	rm -rf '$(DIST_DIR)' && .bin/dist pack -version "$$version" -source '$(SOURCE)' -out '$(DIST_DIR)' \
		$(foreach arch,arm64 amd64,$(FUNCTIONS:%='$(BUILD_DIR)/dist/$(arch)/%/bootstrap'))

.PHONY: .bin/dist
.bin/dist: need-go
	@mkdir -p .bin && $(GO) build -C tools/dist -o '$(CURDIR)/$@' .

##@ Deploy

# These need AWS credentials. sam and aws may be any that you have; without a sam,
# the pinned one is installed into .venv. SAM_FLAGS go to sam.
SAM        ?= $(if $(shell command -v sam 2>/dev/null),sam,.venv/bin/sam)
AWS        ?= aws
STACK      ?= segura-enable
PARAMETERS ?= parameters.yaml
SAM_FLAGS  ?=

# The SAM CLI and version 1 of the AWS CLI read AWS_DEFAULT_REGION, all others AWS_REGION.
ifdef AWS_REGION
export AWS_DEFAULT_REGION := $(AWS_REGION)
else ifdef AWS_DEFAULT_REGION
export AWS_REGION := $(AWS_DEFAULT_REGION)
endif

.venv/bin/sam: tools/sam/requirements.txt
	@PYTHON='$(PYTHON)' sh tools/sam/venv.sh sam
	@touch $@

# What is left out of PARAMETERS, and ARCH where it is left out, stays as it is deployed.
# Where nobody is there to be asked, the change set is not shown first.
.PHONY: deploy
deploy: $(filter .venv/%,$(SAM)) ## Build and deploy to AWS what parameters.yaml says; PARAMETERS=file, STACK=name, ARCH=arm64 or amd64, SAM_FLAGS='--profile …'
	@mkdir -p .bin && CGO_ENABLED=0 $(GO) build -C tools/deploy -trimpath -o '$(CURDIR)/.bin/deploy' .
	@GO='$(GO)' VERSION='$(VERSION)' .bin/deploy -sam '$(SAM)' -aws '$(AWS)' -stack '$(STACK)' -parameters '$(PARAMETERS)' \
		-arch '$(if $(filter file,$(origin ARCH)),,$(ARCH))' -- $$(test -t 0 || echo --no-confirm-changeset) $(SAM_FLAGS)

# $(call output,NAME) is an output of the stack.
output = $(AWS) cloudformation describe-stacks --stack-name '$(STACK)' --output text \
	--query "Stacks[0].Outputs[?OutputKey=='$(1)'].OutputValue"

.PHONY: output
output: ## Show one output of the stack; NAME=ApiUrl
	@value=$$($(call output,$(NAME))) && test -n "$$value" || { echo 'Which output? make output NAME=ApiUrl' >&2; exit 2; }; echo "$$value"

.PHONY: secret
secret: ## Put the client credentials into the stack's AWS secret; FILE=segura.json
	@test -f '$(FILE)' || { echo 'Which file? make secret FILE=segura.json' >&2; exit 2; }
	@arn=$$($(call output,SecretArn)) && $(AWS) secretsmanager put-secret-value --secret-id "$$arn" --secret-string 'file://$(FILE)'

.PHONY: delete
delete: $(filter .venv/%,$(SAM)) ## Delete the stack, all windows closed first; its logs, table, buckets and AWS secret stay
	$(SAM) delete --stack-name '$(STACK)' $(SAM_FLAGS)

.PHONY: publish
publish: .venv/bin/sam ## Publish the release in dist/ to the Serverless Application Repository; BUCKET=one that it may read, ARCH=arm64 or amd64
	@test -n '$(BUCKET)' || { echo 'Which bucket? make publish BUCKET=name' >&2; exit 2; }
	@grep -qs SourceCodeUrl '$(DIST_DIR)/template-$(ARCH).yaml' || \
		{ echo 'There is no $(DIST_DIR)/template-$(ARCH).yaml that says where its source is: make dist SOURCE=https://… first' >&2; exit 2; }
	@mkdir -p .aws-sam
	.venv/bin/sam package --template-file '$(DIST_DIR)/template-$(ARCH).yaml' --s3-bucket '$(BUCKET)' --output-template-file .aws-sam/published.yaml
	.venv/bin/sam publish --template .aws-sam/published.yaml

.PHONY: logs
logs: $(filter .venv/%,$(SAM)) ## Follow the logs of the functions
	$(SAM) logs --stack-name '$(STACK)' --tail $(SAM_FLAGS)

.PHONY: invoke-remote
invoke-remote: ## Send an event to the deployed function that it is for; EVENT=events/self-check.json
	@test -f '$(EVENT)' || { echo 'Which event? make invoke-remote EVENT=events/self-check.json' >&2; exit 2; }
	@function=EventFunctionArn; \
	if grep -qE '"(window|extend|close|close_all|reconcile)" *:|"(path|rawPath)" *: *"[^"]*/windows' '$(EVENT)'; then function=WindowFunctionArn; \
	elif grep -q '"requestContext"' '$(EVENT)'; then function=ApiFunctionArn; fi; \
	reply=$$(mktemp) && trap 'rm -f "$$reply"' EXIT && \
	arn=$$($(call output,$$function)) && \
	about=$$(AWS_MAX_ATTEMPTS=1 $(AWS) lambda invoke --output json --cli-read-timeout 910 --function-name "$$arn" \
		--payload 'fileb://$(EVENT)' "$$reply") && cat "$$reply" && echo && \
	case $$about in *FunctionError*) echo 'That is a function error.' >&2; exit 1;; esac

##@ Develop

# -count=1: some tests run programs that they compile first, and Go's test cache
# does not see the sources of those. What is tested in acceptance, bench, chaos, soak and windows runs
# in processes of its own, into which the race detector of the test does not look: they
# come after the others, one by one, without it, so that their clocks are not slowed.
# Of chaos and soak it is a few seconds: see make chaos and make soak for more. What is
# tested in bulk and rie needs an emulator: see make check-statemachines and check-rie.
.PHONY: test
test: $(SUPERVISE) ## Run every test, on this machine alone, with the race detector; RACE=: without it
	$(call title,test)
	@$(if $(RACE),:,printf '!!! SKIPPED: the race detector: no C compiler with its headers here\n')
	exec $(SUPERVISE) $(GO) test $(RACE) -count=1 $$($(GO) list ./... | grep -v -e /test/bulk -e /test/rie -e /test/acceptance -e /test/bench -e /test/chaos -e /test/soak -e /test/windows)
	exec $(SUPERVISE) $(GO) test -count=1 -p 1 ./test/acceptance ./test/bench ./test/chaos ./test/soak ./test/windows
	cd tools/deploy && exec ../../$(SUPERVISE) $(GO) test -count=1 ./...

.PHONY: e2e
e2e: $(SUPERVISE) ## Deploy the template to an emulator of AWS that is not ours as the README says, use it and delete it; E2E=required: fail where it cannot be had
	$(call title,e2e)
	@PYTHON='$(PYTHON)' E2E='$(E2E)' exec $(SUPERVISE) sh tools/e2e/check.sh

# Faults at random, world after world; a failure names the command that runs its
# world again. It compiles Go's standard library once more, for a clock to be moved.
SEED        ?=
INVOCATIONS ?= 3000

.PHONY: chaos
chaos: $(SUPERVISE) ## Run the functions among random faults; INVOCATIONS=3000, SEED=n: of the first world, which is the only one with INVOCATIONS=1
	exec $(SUPERVISE) $(GO) test -count=1 -timeout 0 -v $(if $(filter 1,$(INVOCATIONS)),-run '^TestChaos$$') ./test/chaos -args -chaos.invocations='$(INVOCATIONS)' $(if $(SEED),-chaos.seed='$(SEED)')

DURATION ?= 30m

.PHONY: soak
soak: $(SUPERVISE) ## Run the functions for DURATION=30m and see whether anything grows; Linux
	exec $(SUPERVISE) $(GO) test -count=1 -timeout 0 -v ./test/soak -args -soak.duration='$(DURATION)'

# One after the other; what fails is written to the package's testdata/fuzz, which
# make test reads from then on.
FUZZTIME ?= 10m

.PHONY: fuzz
fuzz: $(SUPERVISE) ## Fuzz every target for FUZZTIME=10m; FUZZ=FuzzParse: those whose names begin so
	@grep -rqE --include='*_test.go' 'func Fuzz$(patsubst Fuzz%,%,$(FUZZ))' $(ROOMS) || \
		{ echo 'There is no fuzz target $(FUZZ). There are:' $$(grep -rhoE --include='*_test.go' 'func Fuzz\w+' $(ROOMS) | cut -c6-) >&2; exit 2; }
	@GO='$(GO)' exec $(SUPERVISE) sh tools/fuzz.sh 'Fuzz$(patsubst Fuzz%,%,$(FUZZ))' '$(FUZZTIME)'

# The machine should have nothing else to do. The tables and the plot go to
# test/bench, from where docs/performance.md takes them.
RUNS  ?= 40
BENCH ?=

.PHONY: bench
bench: $(SUPERVISE) ## Measure the functions beside their peers, as whole processes, on Linux; RUNS=40, BENCH=whole or shares: one part
	$(call title,bench)
	CGO_ENABLED=0 exec $(SUPERVISE) $(GO) run -trimpath ./test/bench/cmd/segura-bench -runs '$(RUNS)' -only '$(BENCH)' -python '$(PYTHON),.venv/bin/python' -out test/bench

.PHONY: fmt
fmt: ## Format the Go code
	gofmt -s -w $(ROOMS)

.PHONY: check
check: check-fmt check-mod check-vet check-lint test check-build check-licences check-vuln check-template check-statemachines check-rie e2e ## Run what CI runs: format, modules, vet, lint, tests, build, licences, vulnerabilities, template, state machines, emulators
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
	@set -e; for module in dist deploy rie; do (set -x; cd tools/$$module && $(GO) mod tidy -diff && $(GO) mod verify); done

# Vetting for macOS type-checks everything for it, tests included.
.PHONY: check-vet
check-vet: ## go vet: as developed, as deployed, and for macOS
	$(call title,vet)
	$(GO) vet ./...
	GOOS=linux CGO_ENABLED=0 $(GO) vet -tags lambda.norpc ./...
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 $(GO) vet ./...

.PHONY: check-lint
check-lint: $(SUPERVISE) ## golangci-lint (.golangci.yml); the first build of it takes minutes
	$(call title,golangci-lint)
	exec $(SUPERVISE) $(LINT) run ./...
	@set -e; for module in dist deploy; do (set -x; cd tools/$$module && $(GO) tool -modfile=../go.mod golangci-lint run --config ../../.golangci.yml ./...); done

.PHONY: check-licences
check-licences: .bin/dist ## Every module's licence is known, and compatible with ours; what a release consists of
	$(call title,licences)
	@.bin/dist licences
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
check-template: $(SUPERVISE) ## template.yaml and openapi.yaml, as resolved stacks, and examples/; TEMPLATE=required: fail where the tools cannot be had
	$(call title,template)
	$(GO) test -count=1 ./test/facts
	@PYTHON='$(PYTHON)' TEMPLATE='$(TEMPLATE)' exec $(SUPERVISE) sh tools/sam/check.sh check.py
	$(GO) test -count=1 -run Python ./test/examples

.PHONY: check-statemachines
check-statemachines: $(SUPERVISE) ## The state machine by a validator and an emulator that are not ours; STATEMACHINES=required: fail where it cannot be had
	$(call title,state machines)
	@GO='$(GO)' PYTHON='$(PYTHON)' STATEMACHINES='$(STATEMACHINES)' exec $(SUPERVISE) sh tools/statemachines/check.sh

.PHONY: check-rie
check-rie: $(SUPERVISE) ## The functions behind AWS's own emulator of the Runtime API; RIE=required: fail where it cannot be had
	$(call title,AWS runtime interface emulator)
	@GO='$(GO)' RIE='$(RIE)' exec $(SUPERVISE) sh tools/rie/check.sh

.PHONY: facts
facts: ## Write tools/sam/facts.json anew: what the template has to agree with of the code
	$(GO) test -count=1 ./test/facts -record

.PHONY: parameters
parameters: ## Write docs/parameters.md anew: every parameter of template.yaml
	@PYTHON='$(PYTHON)' TEMPLATE='$(TEMPLATE)' sh tools/sam/check.sh parameters.py -record

.PHONY: golden
golden: ## Write tools/sam/golden anew: the resolved stacks, for the review of a changed template
	@PYTHON='$(PYTHON)' TEMPLATE='$(TEMPLATE)' sh tools/sam/check.sh golden.py -record

.PHONY: mutate-template
mutate-template: ## Plant faults in template.yaml and openapi.yaml, and see which check finds them; takes minutes
	@PYTHON='$(PYTHON)' TEMPLATE='$(TEMPLATE)' sh tools/sam/check.sh mutate.py
