package presence_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// A signature that nobody answers is given up in less than a lease: one that is
// stuck with a master which is gone must not outlast the hold that the successor sets
// when other nodes have found it.
func TestAStuckSignatureIsTriedAgainInTime(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		link := s.NewLink(t)
		n := startNode(t, link.NewClient(t, func(o *redis.UniversalOptions) { o.ContextTimeoutEnabled = true }), nil, presence.Options{
			Lease: 2 * time.Second, MaxAge: 6 * time.Second,
		})
		redistest.Advance(t, time.Second)
		link.Swallow(redistest.Both)
		redistest.Advance(t, 2*time.Second+2*time.Second/3) // a renewal and a lease
		if h := n.Health(); h.State != presence.Degraded {
			t.Errorf("it has not noticed: %v", h)
		}
		link.Heal()
		redistest.Advance(t, time.Second)
		if h := n.Health(); h.State != presence.Ready {
			t.Errorf("not back: %v", h)
		}
	})
}
