package redistest_test

import (
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// The cluster, and the master behind Sentinel, go from test to test, emptied,
// until one of them breaks them.
func TestShared(t *testing.T) {
	last := map[string]int{}
	for _, round := range []struct {
		name string
		do   func(*redistest.Server)
		same bool // as in the last round
	}{
		{name: "break first", do: func(s *redistest.Server) { s.Node(0).Restart(false) }},
		{name: "use", do: func(s *redistest.Server) { s.DropClients() }},
		{name: "use again", do: func(s *redistest.Server) { s.SetConfig("maxclients", "100") }, same: true},
		{name: "freeze", do: func(s *redistest.Server) { s.Node(0).Freeze() }, same: true},
		{name: "use another", do: func(*redistest.Server) {}},
	} {
		t.Run(round.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				if !s.Real() || s.Name() == "redis" {
					return // new each time
				}
				client := s.NewClient(t)
				if exists(t, client, "key") {
					t.Error("a key of an earlier test")
				}
				if now := s.PID(); len(last) == 2 && (now == last[s.Name()]) != round.same {
					t.Errorf("process %d after %d", now, last[s.Name()])
				}
				last[s.Name()] = s.PID()
				set(t, client, "key")
				round.do(s)
			})
		})
	}
}
