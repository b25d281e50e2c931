# CI runs `make ci`; a contributor runs the same targets.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 5s

# Examples with dependencies of their own, which the library does not have.
EXAMPLES = examples/websockets examples/opentelemetry

.PHONY: test race lint fuzz bench bench-smoke ci

test: ## all tests, once
	go test ./...
	@set -e; for m in $(EXAMPLES); do echo "go -C $$m test ./..."; go -C $$m test ./...; done

race: ## all tests under the race detector
	go test -race -timeout 45m ./...
	@set -e; for m in $(EXAMPLES); do echo "go -C $$m test -race -timeout 45m ./..."; go -C $$m test -race -timeout 45m ./...; done

lint: ## formatting and static checks
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "gofmt needed:"; echo "$$files"; exit 1; fi
	go vet ./...
	@set -e; for m in $(EXAMPLES); do echo "go -C $$m vet ./..."; go -C $$m vet ./...; done
	go run $(STATICCHECK) ./...

fuzz: ## each fuzz target for FUZZTIME
	bash .ci/fuzz $(FUZZTIME)

bench: ## all benchmarks, no tests
	go test -run '^$$' -bench . -benchmem ./...

bench-smoke: ## the main rows beside the peer, once: fails where a claimed ratio of Redis CPU does not hold
	go -C internal/bench vet ./...
	go -C internal/bench test -short -count=1 ./...
	go -C internal/bench run . -quick

ci: lint race fuzz bench-smoke
