package presence

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// A channel that was pruned from two rooms while its node did not hear, and was
// added to one of them before its next touch, is added to the other as well.
func TestAMissedEvictionHeals(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newStranger(t, s)
		c := n.open(t)
		for _, room := range []string{"one", "two"} {
			if _, _, err := n.Add(t.Context(), room, c.Name(), Member{User: "ana"}); err != nil {
				t.Fatal(err)
			}
		}
		_, short, _ := groups.SplitChannel(c.Name())
		redistest.Advance(t, time.Second)
		e := n.ledger.get(short)
		for _, room := range []string{"one", "two"} { // it hears nothing from here on
			h, _ := e.held(room)
			h.room.listening.Close()
		}
		_, err := n.Store().Prune(t.Context(), luascripts.Sweep{
			Node: n.layer.NodeID(), MaxAge: time.Millisecond, Reason: byte(TimedOut),
			Stale: []luascripts.Stale{{Short: short, Rooms: []string{"one", "two"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		h, _ := e.held("two")
		h.room.Gap()
		redistest.Advance(t, time.Millisecond)
		if _, _, err := n.Add(t.Context(), "one", c.Name(), Member{User: "ana"}); err != nil {
			t.Fatal(err)
		}
		n.Touch(c.Name())
		redistest.Advance(t, 6*time.Second)
		if users, err := n.Users(t.Context(), "two"); err != nil || !slices.Equal(users, []string{"ana"}) {
			t.Errorf("users of two: %v, %v", users, err)
		}
	})
}

// Who removes a channel because its peer is silent hears of that as of a prune,
// and is not to take it for one.
func TestLeavingIsNoEviction(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newStranger(t, s)
		n.opts.OnEvict = func(_ context.Context, _ *Tracker, e Eviction) { t.Errorf("evicted: %+v", e) }
		for range 100 {
			c := n.enter(t, "lobby", Member{})
			if left, err := n.LeaveAll(t.Context(), c.Name(), TimedOut); err != nil || len(left) != 1 {
				t.Fatalf("left %v, %v", left, err)
			}
		}
	})
}

// Channels that were closed without a leave are forgotten once they are pruned, and
// those that were pruned once they are closed.
func TestPrunedAndClosedChannelsAreForgotten(t *testing.T) {
	for name, closedFirst := range map[string]bool{"closed first": true, "pruned first": false} {
		t.Run(name, func(t *testing.T) {
			redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
				n := newStranger(t, s)
				var channels []*groups.Channel
				var stale []luascripts.Stale
				for range 1000 {
					c := n.enter(t, "lobby", Member{User: "ana"})
					_, short, _ := groups.SplitChannel(c.Name())
					channels, stale = append(channels, c), append(stale, luascripts.Stale{Short: short, Rooms: []string{"lobby"}})
				}
				redistest.Advance(t, time.Second)
				closeAll := func() {
					for _, c := range channels {
						_ = c.Close()
					}
				}
				if closedFirst {
					closeAll()
				}
				for some := range slices.Chunk(stale, 100) {
					_, err := n.Store().Prune(t.Context(), luascripts.Sweep{
						Node: n.layer.NodeID(), MaxAge: time.Millisecond, Reason: byte(TimedOut), Stale: some,
					})
					if err != nil {
						t.Fatal(err)
					}
				}
				redistest.Advance(t, 2*n.opts.FlushInterval)
				if !closedFirst {
					if known := len(n.ledger.all()); known != len(channels) {
						t.Errorf("%d of those that a touch brings back are known", known)
					}
					closeAll()
					redistest.Advance(t, 2*n.opts.FlushInterval)
				}
				if known := len(n.ledger.all()); known != 0 {
					t.Errorf("%d are known still", known)
				}
			})
		})
	}
}

// A live channel is pruned, and the network goes as its touch has brought it back: it
// cannot hear the room. The next touch brings it back for good.
func TestAChannelThatIsBroughtBackWithoutItsRoom(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		link := s.NewLink(t)
		client, g := link.NewClient(t), &gate{kind: ":room:"}
		client.AddHook(g)
		n, stays := newStrangerOn(t, client), newStranger(t, s)
		c := n.enter(t, "lobby", Member{User: "ana"})
		redistest.Advance(t, time.Second)
		e := n.own(c.Name())
		_, err := n.Store().Prune(t.Context(), luascripts.Sweep{
			Node: n.layer.NodeID(), MaxAge: time.Millisecond, Reason: byte(TimedOut),
			Stale: []luascripts.Stale{{Short: e.short, Rooms: []string{"lobby"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		redistest.Advance(t, time.Millisecond)
		if !e.isEvicted() {
			t.Fatal("it has not heard of the prune")
		}
		g.set(func(run func() error) error {
			err := run()
			link.Cut()
			time.Sleep(time.Millisecond) // the node notices
			return err
		})
		n.Touch(c.Name())
		redistest.Advance(t, 2*n.opts.FlushInterval+writeTimeout)
		g.open()
		link.Heal()
		redistest.Advance(t, 10*time.Second)
		n.Touch(c.Name())
		redistest.Advance(t, 2*n.opts.FlushInterval)
		if users, err := stays.Users(t.Context(), "lobby"); err != nil || !slices.Equal(users, []string{"ana"}) {
			t.Errorf("users %v, %v", users, err)
		}
		if members := n.layer.Members("lobby"); !e.isIn("lobby") || !slices.Equal(members, []string{c.Name()}) {
			t.Errorf("members of the group %q, in the ledger: %v", members, e.isIn("lobby"))
		}
	})
}

// A prune that is heard of before the reply of an update brings back what was updated.
func TestAnUpdateDuringAnEviction(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		client, g := s.NewClient(t), &gate{}
		n, other := newStrangerOn(t, client), newStranger(t, s)
		client.AddHook(g)
		c := n.enter(t, "lobby", Member{User: "ana", Info: []byte("old")})
		release, updated := g.holdReply(), make(chan error, 1)
		go func() {
			_, err := n.Update(t.Context(), "lobby", c.Name(), []byte("new"))
			updated <- err
		}()
		synctest.Wait()
		_, short, _ := groups.SplitChannel(c.Name())
		redistest.Advance(t, time.Second)
		sweep := luascripts.Sweep{
			Node: n.layer.NodeID(), MaxAge: time.Millisecond, Reason: byte(Pruned),
			Stale: []luascripts.Stale{{Short: short, Rooms: []string{"lobby"}}},
		}
		if _, err := other.store.Prune(t.Context(), sweep); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		release()
		if err := <-updated; err != nil {
			t.Error(err)
		}
		g.open()
		n.Touch(c.Name())
		redistest.Advance(t, time.Minute)
		list, err := n.Presences(t.Context(), "lobby")
		if err != nil || len(list) != 1 || string(list[0].Info) != "new" {
			t.Errorf("%+v, %v", list, err)
		}
	})
}
