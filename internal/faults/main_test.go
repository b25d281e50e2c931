package faults_test

import (
	"slices"
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m, redistest.Child("node", nodeMain)) }

// row is one fault.
type row struct {
	number, what string
	run          func(t *testing.T, number string)
}

func allRows() []row {
	return slices.Concat(nodeRows, redisRows, connectionRows, failoverRows, stormRows, randomRows)
}

// TestFaults causes each fault, one at a time, and tells how long it took until
// all was right.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	redistest.RequireProgram(t, "redis-server", "valkey-server")
	for _, r := range allRows() {
		t.Run(r.number+" "+r.what, func(t *testing.T) { r.run(t, r.number) })
	}
}
