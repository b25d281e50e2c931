package main

import (
	"fmt"
	"io"
	"strings"
)

// claim is a ratio of rollcall's figure to another side's, or a figure that is a
// ratio itself, that the project's page on performance states.
type claim struct {
	row     string
	of      metric
	against string  // "" for the figure itself
	atMost  float64 // of the other's figure; 0 is no bound
	atLeast float64
}

// claims are checked by each run that has their rows, a quick one too.
var claims = []claim{
	{row: "join, 1,000 rooms, 64 callers", of: cpuOp, against: um, atMost: 1},
	{row: "join, 1,000 rooms, 64 callers", of: cpuOp, against: maps, atMost: 0.6},
	{row: "join, 1,000 rooms, 1024 callers", of: cpuOp, against: um, atMost: 0.8},
	{row: "join, all one room, 1024 callers", of: cpuOp, against: um, atMost: 0.65},
	{row: "leave, 1,000 rooms, 64 callers", of: cpuOp, against: maps, atMost: 0.6},
	{row: "leave all of 10 rooms, 64 callers", of: cpuOp, against: maps, atMost: 0.5},
	{row: "touch of a connection in 1 rooms, 64 callers", of: cpuOp, against: peer, atMost: 0.25},
	{row: "touch of a connection in 10 rooms, 64 callers", of: cpuOp, against: peer, atMost: 0.05},
	{row: "snapshot of 100, 16 callers", of: cpuOp, against: peer, atMost: 0.6},
	{row: "snapshot of 1000, 16 callers", of: cpuOp, against: peer, atMost: 0.4},
	{row: "counts of 500 rooms, for each, 16 callers", of: cpuOp, against: um, atMost: 0.2},
	{row: "stuck consumer, DropNewest", of: p50Ratio, atMost: 1.1},
	{row: "stuck consumer, DropNewest", of: p99Ratio, atMost: 1.25},
	{row: "stuck consumer, DropOldest", of: p50Ratio, atMost: 1.1},
	{row: "stuck consumer, DropOldest", of: p99Ratio, atMost: 1.25},
	{row: "stuck consumer, CloseChannel", of: p50Ratio, atMost: 1.1},
	{row: "stuck consumer, CloseChannel", of: p99Ratio, atMost: 1.25},
	{row: "100,000 rooms of 1", of: bytesOf, against: um, atMost: 0.8},
	{row: "1 room of 100,000", of: bytesOf, against: um, atMost: 0.8},
}

// checkClaims prints which claims hold within a margin, and returns an error if
// one does not. Claims of rows that did not run are left out.
func checkClaims(w io.Writer, claims []claim, results []result, margin float64) error {
	byRow := make(map[string]result, len(results))
	for _, r := range results {
		byRow[r.row.name] = r
	}
	var failed []string
	fmt.Fprintf(w, "\n## Claims, with a margin of %.0f %%\n\n| work | figure | claim | measured | |\n| --- | --- | --- | --- | --- |\n", margin*100)
	for _, c := range claims {
		r, ok := byRow[c.row]
		if !ok {
			continue
		}
		ratio, ok := r.ratio(c.of, c.against)
		held := ok && (c.atMost == 0 || ratio <= c.atMost*(1+margin)) && (c.atLeast == 0 || ratio >= c.atLeast/(1+margin))
		bound, limit, word := "at most", c.atMost, "holds"
		if c.atLeast > 0 {
			bound, limit = "at least", c.atLeast
		}
		if !held {
			word = "FAILS"
			failed = append(failed, c.row)
		}
		whose := ""
		if c.against != "" {
			whose = " of " + c.against + "'s"
		}
		fmt.Fprintf(w, "| %s | %s | %s x %s%s | x %s | %s |\n", c.row, c.of, bound, number(limit), whose, number(ratio), word)
	}
	if len(failed) > 0 {
		return fmt.Errorf("claims that do not hold: %s", strings.Join(failed, "; "))
	}
	return nil
}

// ratio is of rollcall's figure to another side's, or the figure where there is
// no other.
func (r result) ratio(of metric, against string) (float64, bool) {
	own, ok := r.sides[ours][of]
	if against == "" {
		return own, ok
	}
	other, okOther := r.sides[against][of]
	return own / other, ok && okOther && other > 0
}
