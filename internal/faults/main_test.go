package faults_test

import (
	"flag"
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

// openRows are known not to hold in every run.
var (
	openRows = []string{"05", "14", "15"}
	openFlag = flag.Bool("faults.open", false, "run also the rows that are known not to hold")
)

// TestFaults causes each fault, one at a time, and tells how long it took until
// all was right.
func TestFaults(t *testing.T) {
	redistest.RequireProgram(t, "redis-server", "valkey-server")
	for _, r := range slices.Concat(nodeRows, redisRows, connectionRows, failoverRows) {
		if slices.Contains(openRows, r.number) && !*openFlag {
			continue
		}
		t.Run(r.number+" "+r.what, func(t *testing.T) { r.run(t, r.number) })
	}
}
