package presence

import (
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// A node has confirmed who is in a room, and Redis loses everything before its answer
// comes. The answer does not tell that the members are gone whom the node has not put
// back yet.
func TestAnAnswerFromBeforeALoss(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, server *redistest.Server) {
		s, other := newStage(t, server, maxWhole), newStranger(t, server)
		s.remove(0)
		s.remove(1)
		g := &gate{kind: ":room:lobby"}
		s.writer.store.Client().AddHook(g)
		release := g.holdReply()
		s.w.view.Gap()
		redistest.Advance(t, soon)
		g.open()
		server.Flush()
		s.take()
		other.enter(t, "lobby", Member{User: "eve"})
		redistest.Advance(t, 0)
		s.deliver(s.take()...)
		redistest.Advance(t, soon)
		release()
		s.staysFor(s.channels[2].Name(), time.Minute)
		s.right()
	})
}

// staysFor fails if the watcher is told in that time that a channel left.
func (s *stage) staysFor(channel string, d time.Duration) {
	s.t.Helper()
	const look = 50 * time.Millisecond
	for range d / look {
		redistest.Advance(s.t, look)
		s.told.apply(s.t, taken(s.w))
		if _, ok := s.told.users[channel]; !ok {
			s.t.Fatalf("%s is told to have left", channel)
		}
	}
}

// miss shows a member of a node that is gone, whom Redis has lost.
func (s *stage) miss(ghost string) {
	v := s.w.view
	v.mu.Lock()
	v.put(Presence{Channel: ghost, User: "zoe"})
	v.mu.Unlock()
	v.Gap()
}

// While a view misses a member of a node that is gone, Redis loses everything. Another
// node is slow to sign its lease again, and has the same time for that as the first had.
func TestALossWhileAMemberIsMissing(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, server *redistest.Server) {
		s := newStage(t, server, maxWhole)
		s.miss("dead!1")
		redistest.Advance(t, s.writer.opts.Lease+sweepTime-time.Second/2)
		g := &gate{}
		s.writer.store.Client().AddHook(g)
		g.set(func(func() error) error { return refusal("LOADING Redis is loading the dataset in memory") })
		server.Flush()
		s.w.view.Gap()
		s.staysFor(s.channels[2].Name(), 3*time.Second)
		g.open()
		s.staysFor(s.channels[2].Name(), time.Minute)
		s.right()
	})
}

// A connection that is lost again and again does not keep a member of a node that is
// gone.
func TestGapsKeepNobodyForEver(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, server *redistest.Server) {
		s := newStage(t, server, maxWhole)
		s.miss("dead!1")
		for range 10 {
			redistest.Advance(t, 10*time.Second)
			s.w.view.Gap()
		}
		redistest.Advance(t, time.Second)
		s.right()
	})
}
