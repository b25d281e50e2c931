# CI runs `make ci`; a contributor runs the same targets.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 5s

.PHONY: test race lint fuzz bench ci

test: ## all tests, once
	go test ./...

race: ## all tests under the race detector
	go test -race -timeout 15m ./...

lint: ## formatting and static checks
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "gofmt needed:"; echo "$$files"; exit 1; fi
	go vet ./...
	go run $(STATICCHECK) ./...

fuzz: ## each fuzz target for FUZZTIME
	bash .ci/fuzz $(FUZZTIME)

bench: ## all benchmarks, no tests
	go test -run '^$$' -bench . -benchmem ./...

ci: lint race fuzz
