package conformance_test

import (
	"slices"
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// row is one call of the original in one situation, and what must be true of
// its counterpart.
type row struct {
	call      string
	situation string
	check     func(t *testing.T, s *redistest.Server)
}

// TestConformance goes through all that the original offers, on every kind of
// server: go test -run 'TestConformance/Room.objects.add/new'.
func TestConformance(t *testing.T) {
	rows := slices.Concat(roomRows, presenceRows, pruneRows, signalRows, decoratorRows, layerRows, maintenanceRows)
	for len(rows) > 0 {
		call := rows[0].call
		n := slices.IndexFunc(rows, func(r row) bool { return r.call != call })
		if n < 0 {
			n = len(rows)
		}
		t.Run(call, func(t *testing.T) {
			for _, row := range rows[:n] {
				t.Run(row.situation, func(t *testing.T) { redistest.Each(t, row.check) })
			}
		})
		rows = rows[n:]
	}
}
