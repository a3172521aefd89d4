# The development commands of openai_exporter. `make help` lists them.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-print-directory --no-builtin-rules
.ONESHELL:
.DEFAULT_GOAL := help

VERSION  := $(shell cat VERSION)
REVISION := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

# Every tool is pinned here and built by its own module's sums into .cache/bin under a name that carries the version, so
# that a new pin is a new file and an old one can't be mistaken for it.
GOLANGCI_LINT_VERSION := 2.15.0
PROMETHEUS_VERSION    := 3.16.0
# The release before, whose promtool checks the rules too, for as long as it is supported.
PROMETHEUS_BEFORE     := 3.15.0
ALERTMANAGER_VERSION  := 0.31.1
VICTORIAMETRICS_VERSION := 1.151.0
THANOS_VERSION        := 0.42.4
HELM_VERSION          := 4.3.1
KUSTOMIZE_VERSION     := 5.8.1
KUBECONFORM_VERSION   := 0.8.0
ACTIONLINT_VERSION    := 1.7.12
KUBE_SCORE_VERSION    := 1.20.0
AJV_VERSION           := 8.20.0
# Whose components draw the dashboards for their pictures.
GRAFANA_VERSION       := 13.2.2
GORELEASER_VERSION    := 2.15.4
CYCLONEDX_VERSION     := 1.7.0
GOVULNCHECK_VERSION   := 1.6.0
# Whose schemas the manifests have to fit, and what `make cluster` starts.
KUBERNETES_VERSION          := 1.35.0
PROMETHEUS_OPERATOR_VERSION := 0.85.0
ETCD_VERSION                := 3.6.5

BIN           := $(CURDIR)/.cache/bin
GOLANGCI_LINT := $(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION)
PROMETHEUS    := $(BIN)/prometheus-$(PROMETHEUS_VERSION)
PROMTOOL      := $(BIN)/promtool-$(PROMETHEUS_VERSION)
PROMTOOL_BEFORE := $(BIN)/promtool-$(PROMETHEUS_BEFORE)
ALERTMANAGER  := $(BIN)/alertmanager-$(ALERTMANAGER_VERSION)
AMTOOL        := $(BIN)/amtool-$(ALERTMANAGER_VERSION)
VICTORIAMETRICS := $(BIN)/victoria-metrics-$(VICTORIAMETRICS_VERSION)
VMALERT       := $(BIN)/vmalert-$(VICTORIAMETRICS_VERSION)
THANOS        := $(BIN)/thanos-$(THANOS_VERSION)
HELM          := $(BIN)/helm-$(HELM_VERSION)
KUSTOMIZE     := $(BIN)/kustomize-$(KUSTOMIZE_VERSION)
KUBECONFORM   := $(BIN)/kubeconform-$(KUBECONFORM_VERSION)
AJV           := $(CURDIR)/.cache/ajv-$(AJV_VERSION)
VIEWER        := $(CURDIR)/.cache/viewer-$(GRAFANA_VERSION)
KUBE_SCORE    := $(BIN)/kube-score-$(KUBE_SCORE_VERSION)
ACTIONLINT    := $(BIN)/actionlint-$(ACTIONLINT_VERSION)
GORELEASER    := $(BIN)/goreleaser-$(GORELEASER_VERSION)
CYCLONEDX     := $(BIN)/cyclonedx-gomod-$(CYCLONEDX_VERSION)
GOVULNCHECK   := $(BIN)/govulncheck-$(GOVULNCHECK_VERSION)
APISERVER     := $(BIN)/kube-apiserver-$(KUBERNETES_VERSION)
CONTROLLERS   := $(BIN)/kube-controller-manager-$(KUBERNETES_VERSION)
KUBECTL       := $(BIN)/kubectl-$(KUBERNETES_VERSION)
ETCD          := $(BIN)/etcd-$(ETCD_VERSION)
OPERATOR      := $(BIN)/prometheus-operator-$(PROMETHEUS_OPERATOR_VERSION)
DISCOVERING   := $(BIN)/prometheus-kubernetes-$(PROMETHEUS_VERSION)
SCHEMAS       := $(CURDIR)/.cache/schemas-$(KUBERNETES_VERSION)-$(PROMETHEUS_OPERATOR_VERSION)

# The browser of `make e2e`, which is no Go program: the first of these that is installed.
CHROMIUM ?= $(firstword $(shell command -v chromium chromium-browser google-chrome) chromium)

# How long `make fuzz` stays with each target, and each long test of `make faults` with its faults.
FUZZTIME  ?= 1m
FAULTTIME ?= 8s
# Which packages and tests the test targets run; `make unit PKG=./internal/ledger RUN=Restated` narrows them.
PKG ?= ./...
RUN ?=

GO      := go
LDFLAGS := -s -w \
	-X github.com/prometheus/common/version.Version=$(VERSION) \
	-X github.com/prometheus/common/version.Revision=$(REVISION)

##@ Everyday

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "; print "Usage: make TARGET [VARIABLE=value]"} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the binary into ./openai_exporter
	@CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o openai_exporter .

.PHONY: demo
demo: ## Serve a simulated organization on :10095, without a key
	@$(GO) run . --demo

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format every Go file
	@$(GOLANGCI_LINT) fmt

# Only the tests that write are run: those which look at -update, or give what they have made to golden or current.
.PHONY: generate
generate: ## Rewrite golden files and generated documentation from the tables
	@dirs=$$(git grep -lE 'flag\.Bool(Var)?\(.*"update"' -- '*_test.go' ':!test/official' | xargs -r -n1 dirname | sort -u | sed 's#^#./#')
	tests=$$(for dir in $$dirs; do cat "$$dir"/*_test.go; done | awk '
		/^func / {test = ""}
		/^func Test/ {test = $$2; sub(/\(.*/, "", test)}
		test != "" && /\*update|[^A-Za-z_](golden|current)\(t,/ {print test}' | sort -u | paste -sd '|')
	[ -z "$$dirs" ] || $(GO) test -count=1 -run "^($$tests)\$$" $$dirs -update

# Takes OpenAI's prices of a newer list of genai-prices (the second version of its format) over as the built-in ones.
.PHONY: prices
prices: ## Take the prices of LIST=file over into the built-in list, and say what changes
	@$(GO) run ./tools/prices -list '$(LIST)'

.PHONY: clean
clean: ## Remove what the other targets made, the tools included
	@rm -rf openai_exporter dist .cache

##@ Checks

.PHONY: check
check: ## The inner loop: format, vet, lint and unit tests, under two minutes when warm
	@MAKE='$(MAKE)' tools/stages.sh fmt-check vet lint unit

# `generated` writes files that other stages read, so it has to be alone. What waits for other programs, e2e and faults, runs
# beside what computes.
.PHONY: test
test: ## The whole suite, as CI runs it from an empty clone; two stages at a time
	@MAKE='$(MAKE)' tools/stages.sh tools fmt-check vet lint generated --beside e2e race unraced rules faults manifests simulation parsers official

.PHONY: fmt-check
fmt-check: $(GOLANGCI_LINT) ## Fail when a Go file is not formatted
	@$(GOLANGCI_LINT) fmt --diff

.PHONY: vet
vet: ## Run go vet, the tests that need other programs and the benchmarks included
	@$(GO) vet -tags browser,cluster,e2e,manifests,parsers,pictures,soak ./...
	cd test/bench && $(GO) vet ./...

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run the linters of .golangci.yml
	@$(GOLANGCI_LINT) run --allow-serial-runners
	cd test/simulation && $(GOLANGCI_LINT) run --allow-serial-runners

.PHONY: unit
unit: ## Run the tests of the main module; PKG and RUN narrow them
	@$(GO) test -run '$(RUN)' $(PKG)

.PHONY: race
race: ## Run the same tests and the fuzz seeds under the race detector, in random order
	@$(GO) test -race -shuffle=on -timeout 20m -run '$(RUN)' $(PKG)

# These are the tests in files with `//go:build !race`: the detector takes ten times as long and would see nothing.
.PHONY: unraced
unraced: ## Run the tests that leave the race detector out: long histories of the ledger and of money, the real binary on full disks
	@files=$$(git grep -lE '^//go:build !race$$' -- '*_test.go' ':!test/simulation')
	tests=$$(sed -nE 's/^func (Test[A-Za-z0-9_]+)\(t \*testing\.T\).*/\1/p' $$files | paste -sd '|')
	$(GO) test -count=1 -timeout 20m -run "^($$tests)\$$" $$(dirname $$files | sort -u | sed 's#^#./#')

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME each
	@git grep -E '^func Fuzz' -- '*_test.go' | sed -E 's#^(.*)/[^/]+:func (Fuzz[A-Za-z0-9_]*).*#\1 \2#' | sort -u | while read -r dir target; do
		printf '\n==> %s in %s for %s\n' "$$target" "$$dir" "$(FUZZTIME)"
		$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime '$(FUZZTIME)' "./$$dir" </dev/null
	done

.PHONY: generated
generated: ## Fail when go.mod, a golden file or a generated document is not current
	@$(GO) mod tidy -diff
	$(GO) mod verify
	mkdir -p .cache
	git diff >.cache/before.diff
	$(MAKE) generate
	git diff >.cache/after.diff
	cmp -s .cache/before.diff .cache/after.diff || { git diff --stat; echo 'Not current: run "make generate" and commit what it changes'; exit 1; }

.PHONY: official
official: ## Read the simulator with the official client and validate it against the official specification
	@cd test/official && $(GO) vet ./... && $(GO) test ./...

.PHONY: parsers
parsers: $(AJV) ## Hold schemas, live answers and dashboards against parsers that are not ours
	@AJV=$(AJV) $(GO) test -tags parsers -count=1 ./test/parsers
	cd test/foundation && $(GO) vet ./... && $(GO) test ./...

.PHONY: faults
faults: ## Spoil API, network and scrapes around the real binary, and look for the key in all that leaves it; FAULTTIME=5m for minutes
	@cd test/faults && $(GO) vet ./... && $(GO) test -count=1 -parallel 4 -timeout 60m ./... -faulttime '$(FAULTTIME)'

# One process for each file, on all processors, the largest first.
beside = ls -S *.yml | xargs -P "$$(nproc)" -n 1 $(1)

.PHONY: rules
rules: $(PROMTOOL) $(PROMTOOL_BEFORE) $(VMALERT) ## Check and unit-test the rules and alerts, both editions, with the release before of promtool and with vmalert too
	@for promtool in $(PROMTOOL) $(PROMTOOL_BEFORE); do
		echo "$$(basename $$promtool)"
		$$promtool check rules --lint=all --lint-fatal deploy/prometheus/rules/*.yml deploy/prometheus/reconcile/*.yml
		(cd deploy/prometheus/tests && $(call beside,$$promtool test rules))
	done
	said=$$($(VMALERT) -dryRun -rule='deploy/prometheus/rules/*.yml' -rule='deploy/prometheus/reconcile/*.yml' 2>&1) || { echo "$$said"; exit 1; }
	echo "$(notdir $(PROMTOOL)), deploy/prometheus/anchored"
	$(PROMTOOL) check rules --lint=all --lint-fatal deploy/prometheus/anchored/*.yml
	dir=$$(mktemp -d)
	trap 'rm -rf "$$dir"' EXIT
	mkdir "$$dir/rules" "$$dir/tests"
	cp deploy/prometheus/rules/*.yml "$$dir/rules"
	cp deploy/prometheus/anchored/*.yml "$$dir/rules"
	cp -r deploy/prometheus/reconcile "$$dir"
	cp deploy/prometheus/tests/*.yml "$$dir/tests"
	cd "$$dir/tests" && $(call beside,$(PROMTOOL) test rules)

.PHONY: manifests
manifests: $(PROMTOOL) $(AMTOOL) $(HELM) $(KUSTOMIZE) $(KUBECONFORM) $(KUBE_SCORE) $(ACTIONLINT) $(SCHEMAS) ## Check everything in deploy/ and .github/ with the programs that read it; UPDATE=1 rewrites golden files
	@$(PROMTOOL) check config --syntax-only prometheus.yml.example
	$(PROMTOOL) check config --syntax-only deploy/compose/prometheus.yml
	$(AMTOOL) check-config deploy/alertmanager/alertmanager.yml
	grep -v '^#' deploy/alertmanager/routes.txt | while read -r receivers labels; do
		$(AMTOOL) config routes test --config.file=deploy/alertmanager/alertmanager.yml --verify.receivers="$$receivers" $$labels >/dev/null \
			|| { echo "An alert with $$labels does not reach $$receivers: see deploy/alertmanager/routes.txt"; exit 1; }
	done
	$(ACTIONLINT) -shellcheck= -pyflakes=
	HELM=$(HELM) KUSTOMIZE=$(KUSTOMIZE) KUBECONFORM=$(KUBECONFORM) KUBE_SCORE=$(KUBE_SCORE) PROMTOOL=$(PROMTOOL) SCHEMAS=$(SCHEMAS) \
		$(GO) test -tags manifests -count=1 ./deploy/... $(if $(UPDATE),-args -update)

# The chart that `make cluster` installs: another one, an older one for example, should fail.
CHART ?= deploy/helm/openai-exporter

# Not a part of `make test`: the control plane is ten minutes to build, the first time.
.PHONY: cluster
cluster: $(ETCD) $(APISERVER) $(CONTROLLERS) $(KUBECTL) $(OPERATOR) $(DISCOVERING) $(HELM) ## Install, upgrade and remove chart and manifests on a real control plane, with a real Prometheus operator
	@crds=$$($(GO) list -C tools/prometheus-operator -m -f '{{.Dir}}' github.com/prometheus-operator/prometheus-operator)/example/prometheus-operator-crd
	ETCD=$(ETCD) APISERVER=$(APISERVER) CONTROLLERS=$(CONTROLLERS) KUBECTL=$(KUBECTL) OPERATOR=$(OPERATOR) PROMETHEUS=$(DISCOVERING) HELM=$(HELM) CRDS=$$crds CHART=$(CHART) \
		$(GO) test -tags cluster -count=1 -timeout 20m -v -run '$(RUN)' ./test/cluster

# More packages at a time than there are processors, for the programs wait for their intervals.
.PHONY: e2e
e2e: $(PROMETHEUS) $(PROMTOOL) $(ALERTMANAGER) $(VICTORIAMETRICS) $(VMALERT) $(THANOS) ## Run the real binary under kill -9 and faults, and with a real Prometheus, Alertmanager, VictoriaMetrics and Thanos
	@PROMETHEUS=$(PROMETHEUS) PROMTOOL=$(PROMTOOL) ALERTMANAGER=$(ALERTMANAGER) VICTORIAMETRICS=$(VICTORIAMETRICS) VMALERT=$(VMALERT) THANOS=$(THANOS) CHROMIUM='$(CHROMIUM)' \
		$(GO) test -tags e2e -count=1 -timeout 20m -p "$$(($$(nproc) * 3 / 2))" ./test/...

.PHONY: browser
browser: chromium ## Open the status page in a real browser, in every state; not a part of `make test`
	@CHROMIUM='$(CHROMIUM)' $(GO) test -tags browser -count=1 -timeout 5m ./test/browser/...

.PHONY: docs-pictures
docs-pictures: chromium $(VIEWER) $(PROMETHEUS) $(PROMTOOL) ## Make the pictures of the documents again, from the same simulated days each time; a quarter of an hour
	@CHROMIUM='$(CHROMIUM)' VIEWER=$(VIEWER) PROMETHEUS=$(PROMETHEUS) PROMTOOL=$(PROMTOOL) \
		$(GO) test -tags browser,pictures -count=1 -timeout 60m -run '^TestPictures' ./test/browser

.PHONY: cookbook
cookbook: $(PROMETHEUS) ## Ask the queries of docs/cookbook.md of a real Prometheus and write the answers there
	@PROMETHEUS=$(PROMETHEUS) $(GO) test -tags e2e -count=1 ./test/cookbook -answers

.PHONY: answers
answers: $(PROMETHEUS) $(VICTORIAMETRICS) ## Measure what queries say against the truth and write the table of docs/accuracy.md
	@PROMETHEUS=$(PROMETHEUS) VICTORIAMETRICS=$(VICTORIAMETRICS) CHROMIUM='$(CHROMIUM)' \
		$(GO) test -tags e2e -count=1 -v -run InWindows ./test/e2e -table

.PHONY: crash
crash: ## Kill the real binary a hundred times, and cut the power and damage the state ten thousand times
	@$(GO) test -tags e2e -count=1 -timeout 20m -v -run 'Kills' ./test/accuracy -kills 100
	$(GO) test -count=1 -timeout 20m -v -run 'PowerCut|Damaged|Fails' ./internal/ledger -crashes 40 -damages 1000

# How long `make soak` goes on, at 60 times the speed of time. Not a part of `make test`.
SOAKTIME ?= 1h

.PHONY: soak
soak: ## Run the real binary for SOAKTIME with faults, reloads, scrapes and kills: exact in the end, and nothing grows
	@$(GO) test -tags soak -count=1 -timeout 0 -v -run 'Soak|TheFit' ./test/accuracy -soaktime '$(SOAKTIME)'

# What `make simulation` and `make mutation` try.
SEEDS ?= 4
SEED  ?= 1
DAYS  ?= 6
# Weeks write much and wait for the disk often, so the state is in memory where there is a file system for that.
SIMULATED = GOGC=400 $(if $(wildcard /dev/shm),TMPDIR=/dev/shm)
N     ?= 50
LIVES ?= 0

.PHONY: simulation
simulation: ## Live through weeks of the whole program, seed by seed; SEEDS=200, SEED=7, DAYS=20 (0 draws 20 to 60), ARGS='-skip kill'
	@cd test/simulation && $(GO) vet ./... && $(SIMULATED) $(GO) test -count=1 -timeout 300m -v -run Seed . -args -seed $(SEED) -seeds $(SEEDS) -days $(DAYS) $(ARGS)

.PHONY: mutation
mutation: ## Change what decides numbers in N places, one at a time, and print what the tests did not notice
	@$(GO) run ./tools/mutation -n $(N) $(ARGS)

.PHONY: bugs
bugs: ## Make each deliberate bug, and say which of LIVES simulated seeds or which test of its package notices it
	@$(GO) run ./tools/mutation -bugs -seed $(SEED) -lives $(LIVES) $(ARGS)

.PHONY: bench
bench: $(PROMETHEUS) ## Measure what scrapes, polls and organizations cost, beside what others pay, up to an hour; ONLY=scrape,organizations,decode,fine,million,prometheus,poll,catchup,growth,others; BASE=commit to compare polls with; ARGS=-quick to try it
	@cd test/bench && PROMETHEUS=$(PROMETHEUS) BASE='$(BASE)' $(GO) run . -only '$(ONLY)' $(ARGS)

.PHONY: accuracy
accuracy: ## Measure counted ÷ truth against a hostile API, condition by condition
	@$(GO) run ./test/accuracy

# Not a part of `make test`: what is known about the modules changes without us, and comes from the network.
.PHONY: vulnerabilities
vulnerabilities: $(GOVULNCHECK) ## Fail when the binary calls code with a known vulnerability
	@$(GOVULNCHECK) .

##@ Packaging

# Not a part of `make test`: these need Debian packages, root or many minutes. CI has a job of its own for them.
.PHONY: packaging
packaging: ## Everything below, as CI runs it
	@MAKE='$(MAKE)' tools/stages.sh unit-check image-check packages-check reproducible release-check

.PHONY: unit-check
unit-check: ## Check the systemd unit's hardening; needs systemd-analyze
	@systemd-analyze security --offline=true --no-pager --threshold=12 deploy/systemd/openai_exporter.service | tail -1

.PHONY: image-check
image-check: ## Build the image and run it with a read-only root; needs root and Debian's buildah
	@tools/image/check.sh

.PHONY: packages-check
packages-check: $(GORELEASER) ## Lint the packages, and install and remove them without a network; needs root, lintian and rpmlint
	@GORELEASER=$(GORELEASER) tools/packages/check.sh

.PHONY: reproducible
reproducible: ## Build the binary twice, with nothing in common but the source, and compare
	@work=$$(mktemp -d)
	trap 'rm -rf "$$work"' EXIT
	for copy in one another/place; do
		mkdir -p "$$work/$$copy"
		git archive HEAD | tar -x -C "$$work/$$copy"
		(cd "$$work/$$copy" && GOCACHE=$$work/cache-$${copy%/*} CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o openai_exporter .)
		sha256sum "$$work/$$copy/openai_exporter"
	done
	cmp "$$work/one/openai_exporter" "$$work/another/place/openai_exporter"

.PHONY: release-check
release-check: $(GORELEASER) $(CYCLONEDX) ## Make a release of the newest commit twice, without publishing it, and compare
	@GORELEASER=$(GORELEASER) CYCLONEDX=$(CYCLONEDX) tools/release/check.sh

.PHONY: release
release: $(GORELEASER) $(CYCLONEDX) ## Publish the tag that is checked out, as a draft; the release workflow runs this
	@[ "$$(git describe --exact-match --tags)" = "v$(VERSION)" ] || { echo "The tag is not v$(VERSION), which is in VERSION"; exit 1; }
	mkdir -p .cache/release
	ln -sf $(CYCLONEDX) .cache/release/cyclonedx-gomod
	VERSION=$(VERSION) REVISION=$(REVISION) PATH=$(CURDIR)/.cache/release:$$PATH $(GORELEASER) release --clean

##@ Tools

.PHONY: tools
tools: $(GOLANGCI_LINT) $(PROMETHEUS) $(PROMTOOL) $(PROMTOOL_BEFORE) $(ALERTMANAGER) $(AMTOOL) $(VICTORIAMETRICS) $(VMALERT) $(THANOS) $(HELM) $(KUSTOMIZE) $(KUBECONFORM) $(KUBE_SCORE) $(ACTIONLINT) $(AJV) $(SCHEMAS) ## Build the pinned tools into .cache/bin, once

# A browser can't be built here: where it can be installed without asking, it is.
.PHONY: chromium
chromium:
	@command -v '$(CHROMIUM)' >/dev/null && exit
	if [ '$(CHROMIUM)' = chromium ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		echo 'Installing chromium'
		export DEBIAN_FRONTEND=noninteractive
		out=$$({ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } 2>&1) || { echo "$$out"; exit 1; }
	else
		echo 'There is no $(CHROMIUM): install Chromium (on Debian, apt-get install chromium) or name a browser like it with CHROMIUM=/path/to/it'
		exit 1
	fi

# $(call install,package@version,binary,target) builds a tool with its own module's sums and moves it to its pinned name
# in one step, so that an interrupted build leaves nothing that looks finished.
define install
	@mkdir -p $(BIN)
	dir=$$(mktemp -d $(BIN)/.build.XXXXXX)
	trap 'rm -rf "$$dir"' EXIT
	echo "Building $(notdir $(3))"
	GOBIN=$$dir GOFLAGS= CGO_ENABLED=0 $(GO) install -ldflags '-s -w $(4)' $(1)
	mv "$$dir/$(2)" $(3)
endef

$(GOLANGCI_LINT):
	$(call install,github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(GOLANGCI_LINT_VERSION),golangci-lint,$@)

$(ALERTMANAGER):
	$(call install,github.com/prometheus/alertmanager/cmd/alertmanager@v$(ALERTMANAGER_VERSION),alertmanager,$@,-X github.com/prometheus/common/version.Version=$(ALERTMANAGER_VERSION))

$(AMTOOL):
	$(call install,github.com/prometheus/alertmanager/cmd/amtool@v$(ALERTMANAGER_VERSION),amtool,$@,-X github.com/prometheus/common/version.Version=$(ALERTMANAGER_VERSION))

$(HELM):
	$(call install,helm.sh/helm/v4/cmd/helm@v$(HELM_VERSION),helm,$@)

$(KUSTOMIZE):
	$(call install,sigs.k8s.io/kustomize/kustomize/v5@v$(KUSTOMIZE_VERSION),kustomize,$@)

$(KUBECONFORM):
	$(call install,github.com/yannh/kubeconform/cmd/kubeconform@v$(KUBECONFORM_VERSION),kubeconform,$@)

$(KUBE_SCORE):
	$(call install,github.com/zegl/kube-score/cmd/kube-score@v$(KUBE_SCORE_VERSION),kube-score,$@)

$(ACTIONLINT):
	$(call install,github.com/rhysd/actionlint/cmd/actionlint@v$(ACTIONLINT_VERSION),actionlint,$@)

$(GORELEASER):
	$(call install,github.com/goreleaser/goreleaser/v2@v$(GORELEASER_VERSION),goreleaser,$@)

$(GOVULNCHECK):
	$(call install,golang.org/x/vuln/cmd/govulncheck@v$(GOVULNCHECK_VERSION),govulncheck,$@)

# A program of Node's, which can't be built here: node and npm have to be there. The lock file has the sums.
$(AJV): tools/ajv/package.json tools/ajv/package-lock.json
	@command -v npm >/dev/null || { echo 'There is no npm: install Node 20 or newer (on Debian, apt-get install nodejs npm)'; exit 1; }
	dir=$$(mktemp -d .cache/.ajv.XXXXXX)
	trap 'rm -rf "$$dir"' EXIT
	echo "Fetching ajv $(AJV_VERSION)"
	cp tools/ajv/package.json tools/ajv/package-lock.json "$$dir/"
	(cd "$$dir" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
	rm -rf $@
	mv "$$dir" $@

# Grafana itself can't be built from its modules alone. Its components, which draw its dashboards, are packages of Node's; the
# lock file has the sums.
$(VIEWER): tools/viewer/package.json tools/viewer/package-lock.json tools/viewer/index.html tools/viewer/vite.config.js $(wildcard tools/viewer/src/*)
	@command -v npm >/dev/null || { echo 'There is no npm: install Node 20 or newer (on Debian, apt-get install nodejs npm)'; exit 1; }
	mkdir -p .cache
	dir=$$(mktemp -d .cache/.viewer.XXXXXX)
	trap 'rm -rf "$$dir"' EXIT
	echo "Building a viewer of dashboards with the components of Grafana $(GRAFANA_VERSION)"
	cp -r tools/viewer/. "$$dir/"
	(cd "$$dir" && npm ci --ignore-scripts --legacy-peer-deps --no-audit --no-fund --loglevel=error >/dev/null && npx vite build --logLevel error)
	mkdir -p "$$dir/dist/public/build"
	cp -r "$$dir/node_modules/@grafana/ui/dist/public/img" "$$dir/dist/public/build/"
	rm -rf $@
	mv "$$dir/dist" $@

# Its versions are in a module of its own, whose sums are kept here.
$(CYCLONEDX): tools/cyclonedx/go.mod tools/cyclonedx/go.sum
	@mkdir -p $(BIN)
	echo "Building cyclonedx-gomod $(CYCLONEDX_VERSION)"
	CGO_ENABLED=0 $(GO) build -C tools/cyclonedx -trimpath -ldflags '-s -w' -o $@.new github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
	mv $@.new $@

# The modules are only read: nothing of them is built.
$(SCHEMAS):
	@mkdir -p .cache
	dir=$$(mktemp -d .cache/.schemas.XXXXXX)
	trap 'rm -rf "$$dir"' EXIT
	echo "Writing the schemas of Kubernetes $(KUBERNETES_VERSION)"
	$(GO) mod download k8s.io/kubernetes@v$(KUBERNETES_VERSION) github.com/prometheus-operator/prometheus-operator@v$(PROMETHEUS_OPERATOR_VERSION)
	modules=$$($(GO) env GOMODCACHE)
	$(GO) run ./tools/schemas -out "$$dir/schemas" \
		-swagger "$$modules/k8s.io/kubernetes@v$(KUBERNETES_VERSION)/api/openapi-spec/swagger.json" \
		-crds "$$modules/github.com/prometheus-operator/prometheus-operator@v$(PROMETHEUS_OPERATOR_VERSION)/example/prometheus-operator-crd"
	mv "$$dir/schemas" $@

# Prometheus can't be installed by go install, because its go.mod has a replace; a module of its own repeats that. The
# service discoveries of the clouds are left out: they are most of the build, and the tests need none of them.
$(PROMETHEUS) $(PROMTOOL) &: tools/prometheus/go.mod tools/prometheus/go.sum
	@mkdir -p $(BIN)
	dir=$$(mktemp -d $(BIN)/.build.XXXXXX)
	trap 'rm -rf "$$dir"' EXIT
	echo "Building prometheus and promtool $(PROMETHEUS_VERSION), some minutes the first time"
	CGO_ENABLED=0 $(GO) build -C tools/prometheus -tags remove_all_sd -trimpath \
		-ldflags '-s -w -X github.com/prometheus/common/version.Version=$(PROMETHEUS_VERSION)' -o "$$dir/" \
		github.com/prometheus/prometheus/cmd/prometheus github.com/prometheus/prometheus/cmd/promtool
	mv "$$dir/prometheus" $(PROMETHEUS)
	mv "$$dir/promtool" $(PROMTOOL)
	touch $(PROMETHEUS) $(PROMTOOL)

# Its versions are in a module of its own, whose sums are kept here.
$(VICTORIAMETRICS) $(VMALERT) &: tools/victoriametrics/go.mod tools/victoriametrics/go.sum
	@mkdir -p $(BIN)
	dir=$$(mktemp -d $(BIN)/.build.XXXXXX)
	trap 'rm -rf "$$dir"' EXIT
	echo "Building victoria-metrics and vmalert $(VICTORIAMETRICS_VERSION), a minute the first time"
	CGO_ENABLED=0 $(GO) build -C tools/victoriametrics -trimpath \
		-ldflags '-s -w -X github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version=victoria-metrics-v$(VICTORIAMETRICS_VERSION)' -o "$$dir/" \
		github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics github.com/VictoriaMetrics/VictoriaMetrics/app/vmalert
	mv "$$dir/victoria-metrics" $(VICTORIAMETRICS)
	mv "$$dir/vmalert" $(VMALERT)
	touch $(VICTORIAMETRICS) $(VMALERT)

# Thanos can't be installed by go install either, because of the replaces in its go.mod. It is released with slicelabels, and
# does not build without.
$(THANOS): tools/thanos/go.mod tools/thanos/go.sum
	@mkdir -p $(BIN)
	echo "Building thanos $(THANOS_VERSION), some minutes the first time"
	CGO_ENABLED=0 $(GO) build -C tools/thanos -tags slicelabels -trimpath \
		-ldflags '-s -w -X github.com/prometheus/common/version.Version=$(THANOS_VERSION)' -o $@.new github.com/thanos-io/thanos/cmd/thanos
	mv $@.new $@

# etcd is built with the Kubernetes of the same module, whose client of it is of the same version.
$(ETCD) $(APISERVER) $(CONTROLLERS) $(KUBECTL) &: tools/kubernetes/go.mod tools/kubernetes/go.sum
	@mkdir -p $(BIN)
	dir=$$(mktemp -d $(BIN)/.build.XXXXXX)
	trap 'rm -rf "$$dir"' EXIT
	echo "Building etcd $(ETCD_VERSION), kube-apiserver, kube-controller-manager and kubectl $(KUBERNETES_VERSION), ten minutes the first time"
	CGO_ENABLED=0 $(GO) build -C tools/kubernetes -trimpath \
		-ldflags '-s -w -X k8s.io/component-base/version.gitVersion=v$(KUBERNETES_VERSION) -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$(word 2,$(subst ., ,$(KUBERNETES_VERSION)))' \
		-o "$$dir/" k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager k8s.io/kubernetes/cmd/kubectl
	CGO_ENABLED=0 $(GO) build -C tools/kubernetes -trimpath -ldflags '-s -w' -o "$$dir/etcd" go.etcd.io/etcd/server/v3
	mv "$$dir/kube-apiserver" $(APISERVER)
	mv "$$dir/kube-controller-manager" $(CONTROLLERS)
	mv "$$dir/kubectl" $(KUBECTL)
	mv "$$dir/etcd" $(ETCD)
	touch $(ETCD) $(APISERVER) $(CONTROLLERS) $(KUBECTL)

$(OPERATOR): tools/prometheus-operator/go.mod tools/prometheus-operator/go.sum
	@mkdir -p $(BIN)
	echo "Building prometheus-operator $(PROMETHEUS_OPERATOR_VERSION), some minutes the first time"
	CGO_ENABLED=0 $(GO) build -C tools/prometheus-operator -trimpath -ldflags '-s -w' -o $@.new github.com/prometheus-operator/prometheus-operator/cmd/operator
	mv $@.new $@

# The Prometheus of the other tests knows no service discovery. This one knows that of Kubernetes.
$(DISCOVERING): tools/prometheus/go.mod tools/prometheus/go.sum
	@mkdir -p $(BIN)
	echo "Building prometheus $(PROMETHEUS_VERSION) with the service discovery of Kubernetes"
	CGO_ENABLED=0 $(GO) build -C tools/prometheus -tags remove_all_sd,enable_kubernetes_sd -trimpath \
		-ldflags '-s -w -X github.com/prometheus/common/version.Version=$(PROMETHEUS_VERSION)' -o $@.new github.com/prometheus/prometheus/cmd/prometheus
	mv $@.new $@

$(PROMTOOL_BEFORE): tools/prometheus-before/go.mod tools/prometheus-before/go.sum
	@mkdir -p $(BIN)
	echo "Building promtool $(PROMETHEUS_BEFORE), some minutes the first time"
	CGO_ENABLED=0 $(GO) build -C tools/prometheus-before -tags remove_all_sd -trimpath \
		-ldflags '-s -w -X github.com/prometheus/common/version.Version=$(PROMETHEUS_BEFORE)' -o $@.new github.com/prometheus/prometheus/cmd/promtool
	mv $@.new $@
