package presence

import (
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// A node has missed events, and the touch after that cannot assert a channel again. The
// next one does.
func TestAChannelStaysUnsureUntilItIsAsserted(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		client, g := s.NewClient(t), &gate{kind: ":room:"}
		client.AddHook(g)
		n := newStrangerOn(t, client)
		c, err := n.layer.NewChannel()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := n.Add(t.Context(), "lobby", c.Name(), Member{User: "ana"}); err != nil {
			t.Fatal(err)
		}
		e := n.own(c.Name())
		e.unsure.Store(true)
		for _, unsure := range []bool{true, false} {
			if g.open(); unsure {
				g.set(func(func() error) error { return refusal("OOM command not allowed when used memory > 'maxmemory'") })
			}
			n.Touch(c.Name())
			redistest.Advance(t, n.opts.FlushInterval+time.Second)
			if e.unsure.Load() != unsure {
				t.Errorf("without memory %v, and unsure %v", unsure, !unsure)
			}
		}
	})
}
