package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == probeArg { // started by startProbe
		if err := runProbe(os.Args[2]); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// TestEveryRowRuns proves that each workload does what its row says, by its own
// checks, with very little of it.
func TestEveryRowRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var out strings.Builder
	err := run(ctx, &out, []string{"-rounds", "1", "-scale", "0.004", "-margin", "1000"})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, table := range tables() {
		for _, r := range table.rows {
			if !strings.Contains(out.String(), "| "+r.name+" | ") {
				t.Errorf("no row %q", r.name)
			}
		}
	}
}
