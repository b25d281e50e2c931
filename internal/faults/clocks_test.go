package faults_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fromRedis are the places where a time is made of a number or a number of a
// time. Those times are Redis's.
var fromRedis = map[string][]string{
	"luascripts/grace.go":   {"now.UnixMilli()"},
	"luascripts/node.go":    {"time.UnixMilli(ms)", "time.UnixMilli(int64(z.Score))", "time.UnixMilli(int64(signed))"},
	"luascripts/overdue.go": {"time.UnixMilli(leased.Milliseconds())", "time.UnixMilli(milliseconds(h.field(2)).Milliseconds())", "time.UnixMilli(int64(signed[i].Val()))"},
	"luascripts/pages.go":   {"before.UnixMilli()"},
	"luascripts/place.go":   {"time.UnixMilli(int64(deadlines.Val()[i]))"},
	"luascripts/sweep.go":   {"before.UnixMilli()"},
	"presence/info.go":      {"time.UnixMilli(rec.JoinedAt)"},
	"presence/last_seen.go": {"time.UnixMilli(int64(ms))"},
	"presence/presences.go": {"time.UnixMilli(int64(ms))"},
	// What a person reads.
	"presence/health.go":   {"h.Since.Format(time.RFC3339)"},
	"presence/outage.go":   {"o.since.Format(time.RFC3339)"},
	"prune/check_shard.go": {"st.EndsAt.UTC()", "st.EndsAt.UTC().Format(time.DateTime)"},
	"prune/check_nodes.go": {"row.LeasedAt.UTC()", "row.LeasedAt.UTC().Format(time.DateTime)"},
}

// Row 17: a node's wall clock may be wrong, or be set while it runs. Go's times
// carry a monotonic reading, which differences use, and lose it where they become
// numbers or text. So nothing depends on the wall clock if no such number goes to
// Redis, to another node or into a comparison: each place where one is made is
// known.
func TestNothingDependsOnAWallClock(t *testing.T) {
	root := filepath.Join("..", "..")
	seen := map[string][]string{}
	for _, dir := range []string{"luascripts", "groups", "presence", "prune", "heartbeat", "internal/bus", "internal/commit", "internal/seal"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			name, err := filepath.Rel(root, path)
			if err == nil {
				seen[filepath.ToSlash(name)], err = wallTimes(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) < 50 {
		t.Fatalf("only %d files", len(seen))
	}
	for name, calls := range seen {
		for _, call := range calls {
			if !slices.Contains(fromRedis[name], call) {
				t.Errorf("%s: is %s a time of Redis's?", name, call)
			}
		}
	}
	for name, calls := range fromRedis {
		for _, call := range calls {
			if !slices.Contains(seen[name], call) {
				t.Errorf("%s: no %s any more", name, call)
			}
		}
	}
}

// wallTimes returns the calls in a file that turn a time into a number or a text,
// strip it of its monotonic reading, or make one of a number.
func wallTimes(path string) (calls []string, err error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, 0)
	if err != nil {
		return nil, err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if f, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains(strippers, f.Sel.Name) {
			var b bytes.Buffer
			if err = printer.Fprint(&b, files, call); err != nil {
				return false
			}
			calls = append(calls, b.String())
		}
		return true
	})
	return calls, err
}

var strippers = []string{
	"Unix", "UnixMilli", "UnixMicro", "UnixNano", "Date", "Clock", "Year", "YearDay", "Weekday", "Hour", "Minute", "Second", "Nanosecond",
	"Format", "AppendFormat", "GoString", "UTC", "Local", "In", "Round", "Truncate", "MarshalJSON", "MarshalText", "MarshalBinary",
}
