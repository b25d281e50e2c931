package presence

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

// While a kick waits for a channel, another user takes it over: that one's socket is
// not to be closed.
func TestKickOfAChannelThatChangesOver(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newStranger(t, s)
		c := n.open(t)
		add := func(user string) {
			if _, _, err := n.Add(t.Context(), "lobby", c.Name(), Member{User: user}); err != nil {
				t.Error(err)
			}
		}
		add("ana")
		s.Freeze()
		go add("ben")
		synctest.Wait()
		kicked := make(chan error)
		go func() {
			_, err := n.kickLocal(t.Context(), Kick{User: "ana", Close: groups.CloseError{Code: 4001}})
			kicked <- err
		}()
		synctest.Wait()
		s.Thaw()
		if err := <-kicked; err != nil || c.Err() != nil {
			t.Errorf("kicked: %v, the channel was told %v", err, c.Err())
		}
	})
}

// Where the removal is left to the background, a kick that is repeated finds nobody:
// the first one closes the socket.
func TestKickThatIsCarriedOn(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newStranger(t, s)
		c := n.enter(t, "lobby", Member{User: "ana"})
		kick := Kick{User: "ana", Close: groups.CloseError{Code: 4001}}
		s.Freeze()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.kickLocal(ctx, kick); !errors.Is(err, ErrUnavailable) {
			t.Errorf("kicked: %v", err)
		}
		s.Thaw()
		redistest.Advance(t, time.Minute)
		if removed, err := n.Kick(t.Context(), kick); removed != 0 || err != nil {
			t.Errorf("kicked again: %d, %v", removed, err)
		}
		if !errors.Is(c.Err(), kick.Close) {
			t.Errorf("the channel was told %v", c.Err())
		}
	})
}

// A departure with a grace that is being written, or still owed, does not outlast a kick.
func TestKickOfWhoIsAboutToLeave(t *testing.T) {
	for name, kick := range map[string]func(channel string) Kick{
		"user":    func(string) Kick { return Kick{User: "ana"} },
		"channel": func(channel string) Kick { return Kick{Channel: channel} },
	} {
		leave := func(t *testing.T, during func(g *gate, leave func() error, kick func())) {
			redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
				client, g := s.NewClient(t), &gate{}
				n := newStrangerOn(t, client)
				client.AddHook(g)
				c := n.enter(t, "lobby", Member{User: "ana"})
				during(g, func() error {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
					defer cancel()
					_, err := n.LeaveAllAfter(ctx, c.Name(), Disconnected, time.Hour)
					return err
				}, func() {
					if removed, err := n.Kick(t.Context(), kick(c.Name())); removed != 1 || err != nil {
						t.Errorf("kicked: %d, %v", removed, err)
					}
				})
				redistest.Advance(t, time.Minute)
				if counts, err := n.Counts(t.Context(), "lobby"); err != nil || counts.Presences != 0 {
					t.Errorf("%+v, %v", counts, err)
				}
			})
		}
		t.Run(name+", in flight", func(t *testing.T) {
			leave(t, func(g *gate, leave func() error, kick func()) {
				release, first, left := make(chan struct{}), atomic.Bool{}, make(chan error, 1)
				g.set(func(run func() error) error {
					if first.CompareAndSwap(false, true) {
						<-release
					}
					return run()
				})
				go func() { left <- leave() }()
				synctest.Wait()
				kicked := make(chan struct{})
				go func() { defer close(kicked); kick() }()
				synctest.Wait()
				close(release)
				<-kicked
				if err := <-left; err != nil {
					t.Error(err)
				}
			})
		})
		t.Run(name+", owed", func(t *testing.T) {
			leave(t, func(g *gate, leave func() error, kick func()) {
				g.set(func(func() error) error { return io.ErrUnexpectedEOF })
				if err := leave(); err == nil {
					t.Error("it has left")
				}
				g.open()
				kick()
			})
		})
	}
}

// A kick finds a user whom Redis has added, though the node has not heard of it yet.
func TestKickOfWhoIsBeingAdded(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		client, g := s.NewClient(t), &gate{}
		n := newStrangerOn(t, client)
		client.AddHook(g)
		c := n.open(t)
		release, added := g.holdReply(), make(chan error, 1)
		go func() {
			_, _, err := n.Add(t.Context(), "lobby", c.Name(), Member{User: "ana"})
			added <- err
		}()
		synctest.Wait()
		kick := Kick{User: "ana", Close: groups.CloseError{Code: 4001}}
		removed, kicked := 0, make(chan error)
		go func() {
			var err error
			removed, err = n.Kick(t.Context(), kick)
			kicked <- err
		}()
		synctest.Wait()
		release()
		if err := <-kicked; err != nil || removed != 1 || !errors.Is(c.Err(), kick.Close) {
			t.Errorf("kicked: %d, %v, the channel was told %v", removed, err, c.Err())
		}
		if err := <-added; err != nil {
			t.Error(err)
		}
	})
}

// A kick reaches all channels of a user, though the first takes all the time.
func TestKickOfManyThatIsCarriedOn(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newStranger(t, s)
		channels := make([]*groups.Channel, 8)
		for i := range channels {
			c := n.enter(t, "lobby", Member{User: "ana"})
			channels[i] = c
		}
		kick := Kick{User: "ana", Close: groups.CloseError{Code: 4001}}
		s.Freeze()
		go func() { _, _ = n.Update(t.Context(), "lobby", channels[0].Name(), []byte("away")) }() // it holds this one
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.kickLocal(ctx, kick); !errors.Is(err, ErrUnavailable) {
			t.Errorf("kicked: %v", err)
		}
		s.Thaw()
		redistest.Advance(t, time.Minute)
		for i, c := range channels {
			if !errors.Is(c.Err(), kick.Close) {
				t.Errorf("channel %d was told %v", i, c.Err())
			}
		}
		if counts, err := n.Counts(t.Context(), "lobby"); err != nil || counts.Presences != 0 {
			t.Errorf("%+v, %v", counts, err)
		}
	})
}

// While a node drains, what it held is in grace already and its sockets are still open.
func TestKickDuringADrain(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		client, g := s.NewClient(t), &gate{kind: ":nodes"}
		draining, other := newStrangerOn(t, client), newStranger(t, s)
		client.AddHook(g)
		c := draining.enter(t, "lobby", Member{User: "ana"})
		release, drained := make(chan struct{}), make(chan error)
		g.set(func(run func() error) error { <-release; return run() })
		go func() { drained <- draining.Drain(t.Context(), time.Hour) }()
		synctest.Wait()
		kick := Kick{User: "ana", Close: groups.CloseError{Code: 4001}}
		if removed, err := other.Kick(t.Context(), kick); removed != 1 || err != nil || !errors.Is(c.Err(), kick.Close) {
			t.Errorf("kicked: %d, %v, the channel was told %v", removed, err, c.Err())
		}
		close(release)
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}

// A node that waits for a shard to register there is listed by the others already.
func TestKickWhileANodeStarts(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		other, starting := newLayerOf(t, s.NewClient(t), 2), newLayerOf(t, client, 2)
		tracker, g := newTrackerOn(t, other), &gate{kind: other.Store().Nodes(1)}
		client.AddHook(g)
		release := make(chan struct{})
		g.set(func(run func() error) error { <-release; return run() })
		started := make(chan stranger)
		go func() { started <- newTrackerOn(t, starting) }()
		synctest.Wait()
		if nodes, err := tracker.Nodes(t.Context()); err != nil || len(nodes) != 2 {
			t.Errorf("%+v, %v", nodes, err)
		}
		if _, err := tracker.Kick(t.Context(), Kick{User: "ana"}); err != nil {
			t.Error(err)
		}
		close(release)
		<-started
	})
}
