# Every target works on a machine with only Go; what needs more says what it
# lacks and skips. `make` alone lists the targets.

GO ?= go
# Passed to every `go test` of the targets test, race and interop: -v, -short, -run …
TESTFLAGS ?=
# How long each fuzz target runs.
FUZZTIME ?= 10s
BENCHTIME ?= 1s
# The newest release that knows the Go version of go.mod.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
UNPARAM = mvdan.cc/unparam@v0.0.0-20260823230713-2fa3d841b0c8
DEADCODE = golang.org/x/tools/cmd/deadcode@v0.52.0
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: help
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## build        build/ibuki, one static file, and build/serf: the same program under the name it stands in for
.PHONY: build
build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w" -o build/ibuki ./cmd/ibuki
	ln -sf ibuki build/serf
	ln -sf ibuki build/droonga-handle-serf-event

## test         all tests: the packages, the command, the simulator's seeds, and beside the real Serf
.PHONY: test
test:
	$(GO) test $(TESTFLAGS) ./...
	@$(MAKE) --no-print-directory interop

## interop      the tests beside the real Serf (a Go module of its own, which downloads it)
.PHONY: interop
interop:
	@cd interop && if $(GO) list -deps -test ./... >/dev/null 2>&1; then \
		echo "cd interop && $(GO) test $(TESTFLAGS) ./..."; $(GO) test $(TESTFLAGS) ./...; \
	elif [ -n "$$CI" ]; then $(GO) list -deps -test ./... >/dev/null; \
	else echo "skip	interop: the real Serf cannot be downloaded"; fi

# They have neither goroutines nor channels, which arch_pure_test.go sees to.
PURE = wire|coordinate|swim/broadcast|swim|serf|catalog|groonga
# Long tests that run one goroutine or one process after the other: what another
# program says to the same words, and three days of pings in virtual time.
ALONE = TestSameAsSerf|TestSameFaults|TestBadValuesOfEveryFlag|TestDroongaDocument|TestRandomCommandsBesideOneServer|TestP164_PartitionsHeal/3_days
## race         under the race detector: the tests of the packages that have goroutines, and the simulator's short ones
.PHONY: race
race:
	$(GO) test -race -skip '$(ALONE)' $(TESTFLAGS) $$($(GO) list ./... | grep -vE '/($(PURE)|sim)$$')
	$(GO) test -race -short $(TESTFLAGS) ./sim

## vet          go vet, both modules
.PHONY: vet
vet:
	$(GO) vet ./...
	CGO_ENABLED=0 GOOS=windows $(GO) vet -trimpath ./...
	cd interop && $(GO) vet ./...

## staticcheck  staticcheck, both modules
.PHONY: staticcheck
staticcheck:
	$(GO) run $(STATICCHECK) ./...
	cd interop && $(GO) run $(STATICCHECK) ./...

## unparam      parameters and results that nobody needs, both modules
.PHONY: unparam
unparam:
	$(GO) run $(UNPARAM) ./...
	cd interop && $(GO) run $(UNPARAM) ./...

# What no program reaches, in the packages that the programs of both modules are made
# of: a package that only tests import is none of them, and may hold what they like.
## deadcode     functions that no program of the repository reaches
.PHONY: deadcode
deadcode:
	@set -e; work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; export GOWORK="$$work/go.work"; $(GO) work init . ./interop; \
	programs=$$($(GO) list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./... ./interop/...); \
	echo "$(GO) run $(DEADCODE)" $$programs; found=$$($(GO) run $(DEADCODE) $$programs); \
	if [ -n "$$found" ]; then echo "$$found"; exit 1; fi

## vulncheck    known vulnerabilities that the code of both modules reaches (asks Go's database; VULNCHECKFLAGS=-db=URL: another one)
VULNCHECKFLAGS ?=
.PHONY: vulncheck
vulncheck:
	@set -e; work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; GOBIN="$$work" $(GO) install $(GOVULNCHECK); \
	for module in . interop; do \
		echo "cd $$module && govulncheck $(VULNCHECKFLAGS) ./..."; \
		(cd $$module && "$$work/govulncheck" $(VULNCHECKFLAGS) ./...) >"$$work/log" 2>&1 || { \
			if grep -q '^govulncheck: fetching vulnerabilities: ' "$$work/log"; then \
				echo "skip	vulncheck: its database cannot be had: $$(sed -n 's/^govulncheck: fetching vulnerabilities: //p' "$$work/log")"; exit 0; \
			fi; cat "$$work/log"; exit 1; \
		}; \
		tail -n 3 "$$work/log"; \
	done

## fmt          lists what gofmt would change, and fails if that is anything
.PHONY: fmt
fmt:
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "gofmt would change:"; echo "$$files"; exit 1; fi

# One program for all targets of a package; go test would link one for each. Now and
# then Go's fuzzing engine takes the end of the time for a fault, in its own words and
# without an input that fails: that alone is tried again.
## fuzz         each fuzz target for FUZZTIME (10s)
.PHONY: fuzz
fuzz:
	@set -e; work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; log=$$work/log; found=$$($(GO) env GOCACHE)/fuzz; \
	for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' . | grep -v '^./interop/' | xargs -r -n1 dirname | sort -u); do \
		package=$$($(GO) list $$dir); $(GO) test -c -fuzz . -o "$$work/test" $$dir; \
		for name in $$(cd $$dir && "$$work/test" -test.list '^Fuzz' | grep '^Fuzz'); do \
			echo "$(GO) test -run '^$$' -fuzz '^$$name\$$' -fuzztime $(FUZZTIME) $$dir"; \
			for try in 1 2 3; do \
				(cd $$dir && "$$work/test" -test.run '^$$' -test.fuzz "^$$name\$$" -test.fuzztime $(FUZZTIME) \
					-test.fuzzcachedir "$$found/$$package") >"$$log" 2>&1 && break; \
				grep -q '^    context deadline exceeded$$' "$$log" && ! grep -q 'Failing input' "$$log" && [ $$try -lt 3 ] || { cat "$$log"; exit 1; }; \
			done; \
			tail -n 2 "$$log"; \
		done; \
	done

## bench        all benchmarks, with allocations; then the table beside the real Serf (Linux; BENCHFLAGS=-short: a minute, not half an hour)
BENCHFLAGS ?=
.PHONY: bench
bench:
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...
	cd interop && $(GO) run ./bench $(BENCHFLAGS)

## sim          the simulator's scripts, and SEEDS (1000) random runs from FROM (1)
SEEDS ?= 1000
FROM ?= 1
.PHONY: sim
sim:
	$(GO) test $(TESTFLAGS) ./sim -seeds $(SEEDS) -from $(FROM)

## golden       write the simulator's expected transcripts anew: read the diff
.PHONY: golden
golden:
	$(GO) test ./sim -run Script -rewrite
	$(GO) test ./settings -run ConfigurationPage -rewrite

## dist         release archives for all systems, SBOM and checksums, in build/dist
.PHONY: dist
dist:
	dist/build.sh build/dist

## packages     .deb and .rpm for amd64 and arm64, in build/packages
.PHONY: packages
packages:
	dist/packages/build.sh build/packages

## clean        remove build/
.PHONY: clean
clean:
	rm -rf build
