package faults_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m, redistest.Child("node", nodeMain)) }

// row is one fault.
type row struct {
	number, what string
	run          func(t *testing.T, r run)
	on           []kind
}

// atOnce is how many fleets a machine can run, which wait most of the time.
const atOnce = 3

// run is a row on one kind of Redis.
type run struct {
	number string
	kind
}

func (r run) String() string { return r.number + " " + r.name }

func allRows() []row {
	return slices.Concat(nodeRows, redisRows, connectionRows, failoverRows, stormRows, randomRows)
}

// TestFaults causes each fault on each kind of Redis, and tells how long it took
// until all was right.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	redistest.RequireProgram(t, "redis-server", "valkey-server")
	slots := make(chan struct{}, atOnce)
	for _, r := range allRows() {
		t.Run(r.number+" "+r.what, func(t *testing.T) {
			if r.number != storm { // which has enough to do
				t.Parallel()
			}
			var kinds sync.WaitGroup
			for _, k := range r.on {
				kinds.Go(func() {
					slots <- struct{}{}
					defer func() { <-slots }()
					t.Run(k.name, func(t *testing.T) { r.run(t, run{r.number, k}) })
				})
			}
			kinds.Wait()
		})
	}
}
