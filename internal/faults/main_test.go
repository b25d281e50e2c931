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

// TestFaults causes each fault, and tells how long it took until all was right.
// The leases here are a second long: a machine that is busy with other suites
// takes living nodes for dead. So the rows run when asked for, on a machine that
// has nothing else to do. Some have shown a departure of somebody who stayed that
// is not explained yet.
var (
	openRows  = []string{"05", "14", "15"}
	openFlag  = flag.Bool("faults.open", false, "run also the rows that are known not to hold")
	faultFlag = flag.Bool("faults", false, "break servers and processes, on a machine that is idle")
)

func TestFaults(t *testing.T) {
	if !*faultFlag && !*openFlag {
		t.Skip("runs with -faults")
	}
	redistest.RequireProgram(t, "redis-server", "valkey-server")
	for _, r := range slices.Concat(nodeRows, redisRows, connectionRows, failoverRows) {
		if slices.Contains(openRows, r.number) && !*openFlag {
			continue
		}
		t.Run(r.number+" "+r.what, func(t *testing.T) {
			t.Parallel()
			r.run(t, r.number)
		})
	}
}
