package presence_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

func (n *node) addExclusive(t *testing.T, room, channel, user string) {
	t.Helper()
	if _, _, err := n.Add(t.Context(), room, channel, presence.Member{User: user, Exclusive: true}); err != nil {
		t.Fatal(err)
	}
}

// replaced waits until the node was told so of some channels, and of nothing else.
func (n *node) replaced(t *testing.T, room string, channels ...string) {
	t.Helper()
	slices.Sort(channels)
	redistest.Eventually(t, patience, func() error {
		var got []string
		for _, e := range n.Evicted() {
			if e.Room != room || e.Reason != presence.Replaced {
				return fmt.Errorf("told of %+v", e)
			}
			got = append(got, e.Channel)
		}
		slices.Sort(got)
		if !slices.Equal(got, channels) {
			return fmt.Errorf("told of %q, want %q", got, channels)
		}
		return nil
	})
}

// only waits until a room has one channel alone, and nothing is wrong in Redis.
func only(t *testing.T, n *node, room, channel string) {
	t.Helper()
	checker, err := prune.NewChecker(n.Tracker, nil)
	if err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, patience, func() error {
		list, err := n.Presences(t.Context(), room)
		if err != nil || len(list) != 1 || list[0].Channel != channel {
			return fmt.Errorf("%+v, %v, want %s", list, err, channel)
		}
		for p, err := range checker.Check(t.Context()) {
			return fmt.Errorf("%v, %v", p, err)
		}
		return nil
	})
}

func TestTheNewestTakesThePlace(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b, c := newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{})
		w, err := c.Watch(t.Context(), "lobby", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		first, guest, second, third := a.open(t), a.open(t), b.open(t), b.open(t)
		a.addExclusive(t, "lobby", first, "ana")
		b.addExclusive(t, "lobby", second, "ana")
		a.replaced(t, "lobby", first)
		only(t, c, "lobby", second)
		if _, _, err := a.Add(t.Context(), "lobby", third, presence.Member{User: "ana", Exclusive: true}); err != nil { // asked of b
			t.Fatal(err)
		}
		b.replaced(t, "lobby", second)
		only(t, c, "lobby", third)

		// Who was replaced hears nothing more, and a touch does not bring it back.
		a.Touch(first)
		b.Touch(second)
		if _, _, err := a.Add(t.Context(), "den", guest, presence.Member{}); err != nil {
			t.Fatal(err)
		}
		if err := c.Layer.GroupSend(t.Context(), "lobby", groups.Message{Type: "secret"}); err != nil {
			t.Fatal(err)
		}
		hears, _ := b.Layer.Channel(third)
		if _, err := hears.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		for n, name := range map[*node]string{a: first, b: second} {
			ch, _ := n.Layer.Channel(name)
			if m, ok := ch.TryReceive(); ok {
				t.Errorf("%s hears %s", name, m.Type)
			}
		}

		// Nobody sees the user go.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for at := ""; at != third; {
			d, err := w.Next(ctx)
			if err != nil {
				t.Fatalf("the last that was seen is %q: %v", at, err)
			}
			if len(d.Added) != 1 || len(d.UsersWent) > 0 || at != "" && len(d.UsersCame) > 0 {
				t.Errorf("%+v", d)
			}
			for _, gone := range d.Removed {
				if gone.Channel != at || gone.Reason != presence.Replaced {
					t.Errorf("%s has left as %s", gone.Channel, gone.Reason)
				}
			}
			at = d.Added[0].Channel
		}
		if st := b.Stats(); st.Leaves[presence.Replaced] != 2 {
			t.Errorf("b has replaced %d, want 2", st.Leaves[presence.Replaced])
		}
	})
}

// Many come at once, as one user, to several nodes: one stays.
func TestOneOfManyStays(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		const each = 20
		nodes := []*node{newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{})}
		var work sync.WaitGroup
		for _, n := range nodes {
			for range each {
				c := n.open(t)
				work.Go(func() {
					if _, _, err := n.Add(t.Context(), "lobby", c, presence.Member{User: "ana", Exclusive: true}); err != nil {
						t.Error(err)
					}
				})
			}
		}
		work.Wait()
		list, err := nodes[0].Presences(t.Context(), "lobby")
		if err != nil || len(list) != 1 {
			t.Fatalf("%d presences, %v", len(list), err)
		}
		only(t, nodes[1], "lobby", list[0].Channel)
		redistest.Eventually(t, patience, func() error {
			told := 0
			for _, n := range nodes {
				told += len(n.Evicted())
			}
			if told != each*len(nodes)-1 {
				return fmt.Errorf("%d were told that they were replaced", told)
			}
			return nil
		})
	})
}

// A node that did not hear that its channel was replaced, as it heard nothing at
// the time, or as Redis has lost all, does not bring it back.
func TestWhoWasReplacedStaysAway(t *testing.T) {
	for name, harm := range map[string]func(*redistest.Server){
		"connections lost": (*redistest.Server).DropClients,
		"all data lost":    (*redistest.Server).Flush,
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				opts := presence.Options{FlushInterval: 50 * time.Millisecond, Lease: 3 * time.Second}
				a, b := newNode(t, s, opts), newNode(t, s, opts)
				first, second := a.open(t), b.open(t)
				a.addExclusive(t, "lobby", first, "ana")
				harm(s)
				redistest.Eventually(t, patience, func() error {
					_, _, err := b.Add(t.Context(), "lobby", second, presence.Member{User: "ana", Exclusive: true})
					return err
				})
				harm(s)
				redistest.Eventually(t, patience, func() error {
					a.Touch(first)
					b.Touch(second)
					if told := a.Evicted(); len(told) == 0 || told[len(told)-1].Reason != presence.Replaced {
						return fmt.Errorf("told of %+v", told)
					}
					return nil
				})
				only(t, b, "lobby", second)
				if told := b.Evicted(); len(told) > 0 {
					t.Errorf("the newer was told of %+v", told)
				}
			})
		})
	}
}

// Who was replaced is told so when Redis comes back without its data and with a clock
// that is behind: what the node wrote before has greater revisions.
func TestReplacedThoughTheClockIsBehind(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		c := n.open(t)
		n.addExclusive(t, "lobby", c, "ana")
		joined := time.Now()
		s.Flush()
		s.SkewClock(-time.Hour)
		store := n.Store()
		other := luascripts.Registration{Node: "other", Token: "t", Lease: time.Minute, MaxAge: time.Minute}
		inc, err := store.Register(t.Context(), 0, other, "", false)
		if err != nil {
			t.Fatal(err)
		}
		newer := luascripts.Record{JoinedAt: joined.UnixMilli() + 1, User: "ana", Exclusive: true}
		if _, err := store.Write(t.Context(), luascripts.Batch{
			Node: other.Node, Incarnation: inc.ID, Number: 1,
			Ops: []luascripts.Op{{Action: luascripts.Keep, Room: "lobby", Short: "1", Stored: newer.Encode()}},
		}); err != nil {
			t.Fatal(err)
		}
		redistest.Advance(t, 10*time.Second) // in which the node renews its lease
		n.replaced(t, "lobby", c)
		if got := n.Stats().Presences; got != 0 {
			t.Errorf("the node has %d presences", got)
		}
	})
}

// An addition of which the reply is lost is taken back. The one before has left all
// the same, and is told so.
func TestAFailedAdditionHasReplaced(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		link := s.NewLink(t)
		a := newNode(t, s, presence.Options{})
		b := startNode(t, link.NewClient(t), nil, presence.Options{})
		first, second := a.open(t), b.open(t)
		a.addExclusive(t, "lobby", first, "ana")
		b.add(t, "lobby", b.open(t), "ben") // so that it listens
		link.Swallow(redistest.Down)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := b.Add(ctx, "lobby", second, presence.Member{User: "ana", Exclusive: true})
		if !errors.Is(err, presence.ErrUnavailable) {
			t.Fatal(err)
		}
		a.replaced(t, "lobby", first)
		link.Heal()
		redistest.Eventually(t, time.Minute, func() error {
			users, err := a.Users(t.Context(), "lobby")
			if err != nil || !slices.Equal(users, []string{"ben"}) {
				return fmt.Errorf("%q, %v", users, err)
			}
			return nil
		})
		b.replaced(t, "lobby")
	})
}

// A pruned channel that gives a sign of life comes back, unless another has come.
func TestAPrunedExclusiveChannel(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		opts := presence.Options{FlushInterval: 50 * time.Millisecond}
		a, b := newNode(t, s, opts), newNode(t, s, opts)
		pruner, err := prune.New(b.Tracker, nil)
		if err != nil {
			t.Fatal(err)
		}
		pruneAll := func(want int) {
			t.Helper()
			redistest.Eventually(t, patience, func() error {
				if _, err := pruner.PresencesOlderThan(t.Context(), time.Millisecond); err != nil {
					return err
				}
				if told := a.Evicted(); len(told) < want {
					return fmt.Errorf("told of %+v", told)
				}
				return nil
			})
		}
		first, second := a.open(t), b.open(t)
		a.addExclusive(t, "lobby", first, "ana")
		pruneAll(1)
		a.Touch(first)
		only(t, b, "lobby", first)
		pruneAll(2)
		b.addExclusive(t, "lobby", second, "ana")
		a.Touch(first)
		redistest.Eventually(t, patience, func() error {
			if told := a.Evicted(); len(told) != 3 || told[2].Reason != presence.Replaced {
				return fmt.Errorf("told of %+v", told)
			}
			return nil
		})
		only(t, b, "lobby", second)
	})
}

func TestWhoMayBeExclusive(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		c, other := n.open(t), n.open(t)
		var invalid *presence.InvalidError
		if _, _, err := n.Add(t.Context(), "lobby", c, presence.Member{Exclusive: true}); !errors.As(err, &invalid) || invalid.Field != "exclusive" {
			t.Errorf("anonymous: %v", err)
		}
		for _, channel := range []string{c, other} { // a limit of one is of users
			if _, _, err := n.AddWithin(t.Context(), "lobby", channel, presence.Member{Key: "visitor", Exclusive: true}, 1); err != nil {
				t.Errorf("with a key alone: %v", err)
			}
		}
		only(t, n, "lobby", other)
	})
}
