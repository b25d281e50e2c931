package redistest

import (
	"testing"
	"testing/synctest"
)

// Bubble runs f inside a testing/synctest bubble with a miniredis of its own,
// reached through memory. Time is fake, Redis's TIME and expiry included: it
// starts at 2000-01-01 UTC and moves on only when all goroutines of the bubble
// wait, so an hour of it costs what is done in that hour.
//
// The test ends when every goroutine has: close what you start. Clients of
// NewClient and the server are closed by then. Inside f, do not use the network
// or t.Run, t.Parallel or t.Deadline; use [Advance] to let time pass.
func Bubble(t *testing.T, f func(t *testing.T, s *Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, newMini(t, true))
	})
}
