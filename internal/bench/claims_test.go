package main

import (
	"io"
	"slices"
	"strings"
	"testing"
)

func TestAClaimFailsBeyondItsMargin(t *testing.T) {
	results := func(own float64) []result {
		return []result{{row: row{name: "join"}, sides: map[string]sample{ours: {cpuOp: own}, um: {cpuOp: 10}}}}
	}
	most := []claim{{row: "join", of: cpuOp, against: um, atMost: 0.5}, {row: "did not run", of: cpuOp, against: um, atMost: 0.1}}
	least := []claim{{row: "join", of: cpuOp, against: um, atLeast: 2}}
	itself := []claim{{row: "join", of: cpuOp, atMost: 5}}
	for _, tt := range []struct {
		claims []claim
		own    float64
		holds  bool
	}{
		{itself, 6, true}, {itself, 6.5, false},
		{most, 5, true}, {most, 6, true}, {most, 6.5, false},
		{least, 20, true}, {least, 17, true}, {least, 15, false},
		{[]claim{{row: "join", of: p50, against: um, atMost: 1}}, 1, false}, // what was not measured does not hold
	} {
		err := checkClaims(io.Discard, tt.claims, results(tt.own), 0.25)
		if (err == nil) != tt.holds {
			t.Errorf("%+v with %v: %v", tt.claims, tt.own, err)
		}
	}
}

func TestEachClaimIsOfARow(t *testing.T) {
	rows := make(map[string]row)
	for _, table := range tables() {
		for _, r := range table.rows {
			if _, twice := rows[r.name]; twice {
				t.Errorf("two rows are %q", r.name)
			}
			rows[r.name] = r
		}
	}
	for _, c := range claims {
		if r, ok := rows[c.row]; !ok || !slices.Contains(r.sides, ours) || c.against != "" && !slices.Contains(r.sides, c.against) {
			t.Errorf("claim %+v has no such row and side", c)
		}
	}
}

// A quick run is to be short: each of its rows has a claim.
func TestEachQuickRowHasAClaim(t *testing.T) {
	for _, table := range tables() {
		for _, r := range table.rows {
			claimed := slices.ContainsFunc(claims, func(c claim) bool { return c.row == r.name })
			if r.quick && !claimed {
				t.Errorf("%q is quick and has no claim", r.name)
			}
		}
	}
}

func TestATargetIsScaledByWhatItWasSetBy(t *testing.T) {
	r := result{
		row: row{targets: []target{{of: cpuOp, atMost: 5, scaleBy: um, was: 10}}},
		sides: map[string]sample{
			ours: {cpuOp: 9}, um: {cpuOp: 20},
		},
	}
	if got := r.verdict(); !strings.HasSuffix(got, "here 10.0: met") {
		t.Error(got)
	}
	r.sides[ours][cpuOp] = 11
	if got := r.verdict(); !strings.HasSuffix(got, "MISSED: 11.0") {
		t.Error(got)
	}
}
