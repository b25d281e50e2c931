package conformance_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

var pruneRows = []row{
	{"Room.objects.prune_presences", "default", pruneDefault},
	{"Room.objects.prune_presences", "default: strictly older", pruneStrictly},
	{"Room.objects.prune_presences", "explicit age", pruneExplicitAge},
	{"Room.objects.prune_presences", "channel still open", pruneOpenChannel},
	{"Room.objects.prune_rooms", "empty rooms", pruneRooms},
	{"Room.objects.prune_rooms", "an add at the same moment", pruneRoomsAgainstAdd},
	{"CHANNELS_PRESENCE_MAX_AGE", "default and option", maxAge},
}

func pruneDefault(t *testing.T, s *redistest.Server) {
	n, other := newNode(t, s, config{}), newNode(t, s, config{})
	var stale []string
	for i := range 3 {
		ch := n.Enter(t, "lobby", fmt.Sprint("user", i))
		n.add(t, "garden", ch, fmt.Sprint("user", i))
		n.Age(t, ch, 61*time.Second)
		stale = append(stale, ch.Name())
	}
	fresh := n.Enter(t, "lobby", "ana")
	n.Age(t, fresh, 45*time.Second)
	n.Enter(t, "quiet", "ana")
	joins := len(n.heard(t, 8))

	changes, err := n.Pruner.Presences(t.Context())
	if err != nil || len(changes) != 2 {
		t.Fatalf("%+v, %v", changes, err)
	}
	heard := n.heard(t, joins+2)[joins:]
	for _, c := range append(changes, heard...) {
		var removed []string
		for _, d := range c.Removed {
			removed = append(removed, d.Channel)
			if d.Reason != presence.TimedOut {
				t.Errorf("reason %v", d.Reason)
			}
		}
		slices.Sort(removed)
		slices.Sort(stale)
		if !c.Bulk || len(c.Added) != 0 || !slices.Equal(removed, stale) || len(c.UsersWent) != 3 ||
			c.Room != "lobby" && c.Room != "garden" {
			t.Errorf("change %+v", c)
		}
	}
	if again, err := other.Pruner.Presences(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("the second prune: %+v, %v", again, err)
	}
	if users, err := n.Users(t.Context(), "lobby"); err != nil || !slices.Equal(users, []string{"ana"}) {
		t.Errorf("users %q, %v", users, err)
	}
	if len(other.Changes()) != 0 {
		t.Errorf("a node that changed nothing heard %+v", other.Changes())
	}
}

func pruneStrictly(t *testing.T, s *redistest.Server) {
	m := s.Mini()
	if m == nil {
		t.Skip("only a miniredis has a clock that a test can stop")
	}
	m.SetTime(time.Now().Truncate(time.Second))
	n := newNode(t, s, config{})
	older, exact := n.Enter(t, "lobby", "ana"), n.Enter(t, "lobby", "ben")
	n.Age(t, older, time.Minute+time.Millisecond)
	n.Age(t, exact, time.Minute)
	changes, err := n.Pruner.Presences(t.Context())
	if err != nil || len(changes) != 1 || len(changes[0].Removed) != 1 || changes[0].Removed[0].User != "ana" {
		t.Errorf("%+v, %v", changes, err)
	}
}

func pruneExplicitAge(t *testing.T, s *redistest.Server) {
	n := newNode(t, s, config{})
	n.Age(t, n.Enter(t, "lobby", "ana"), 50*time.Second)
	n.Age(t, n.Enter(t, "lobby", "ben"), 2*time.Second)
	for _, age := range []time.Duration{0, -time.Second} {
		var invalid *presence.InvalidError
		if _, err := n.Pruner.PresencesOlderThan(t.Context(), age); !errors.As(err, &invalid) {
			t.Errorf("age %v: %v", age, err)
		}
	}
	if changes, err := n.Pruner.PresencesOlderThan(t.Context(), time.Hour); err != nil || len(changes) != 0 {
		t.Errorf("an hour: %+v, %v", changes, err)
	}
	changes, err := n.Pruner.PresencesOlderThan(t.Context(), 25*time.Second)
	if err != nil || len(changes) != 1 || len(changes[0].Removed) != 1 ||
		changes[0].Removed[0].User != "ana" || changes[0].Removed[0].Reason != presence.Pruned {
		t.Errorf("25 s: %+v, %v", changes, err)
	}
}

func pruneOpenChannel(t *testing.T, s *redistest.Server) {
	// Really silent for max age: its node would correct what is merely written.
	n, other := newNode(t, s, config{presence: presence.Options{MaxAge: time.Second}}), newNode(t, s, config{})
	probe := newProber(t, s, nil)
	rooms, ch := []string{"lobby", "garden"}, n.Open(t)
	for _, room := range rooms {
		n.add(t, room, ch, "ana")
	}
	pruned := 0
	redistest.Eventually(t, patience, func() error {
		changes, err := other.Pruner.Presences(t.Context())
		if pruned += len(changes); err == nil && pruned != 2 {
			err = fmt.Errorf("%d rooms pruned", pruned)
		}
		return err
	})
	redistest.Eventually(t, patience, func() error {
		if evicted := n.Evicted(); len(evicted) != 2 {
			return fmt.Errorf("told of %+v", evicted)
		}
		return nil
	})
	for _, e := range n.Evicted() {
		if e.Channel != ch.Name() || e.Reason != presence.TimedOut {
			t.Errorf("told %+v", e)
		}
	}
	for _, room := range rooms {
		probe.mustReach(t, room, []*groups.Channel{ch})
	}
	redistest.Eventually(t, patience, func() error {
		n.Touch(ch.Name())
		counts, err := other.CountsOf(t.Context(), rooms...)
		if err == nil && (counts[0].Users != 1 || counts[1].Users != 1) {
			err = fmt.Errorf("not added again: %+v", counts)
		}
		if err != nil {
			return err
		}
		return probe.agree(t.Context(), n, rooms, ch)
	})
	n.heard(t, 4) // the adds, and the adds again
	if users, err := other.Users(t.Context(), "lobby"); err != nil || !slices.Equal(users, []string{"ana"}) {
		t.Errorf("users %q, %v", users, err)
	}
}

func pruneRooms(t *testing.T, s *redistest.Server) {
	n := newNode(t, s, config{})
	n.Enter(t, "occupied", "ana")
	var want []string
	for i := range 5 {
		room := fmt.Sprint("room", i)
		ch := n.Enter(t, room, "ana")
		if _, err := n.Remove(t.Context(), room, ch.Name()); err != nil {
			t.Fatal(err)
		}
		want = append(want, room)
	}
	before, err := n.Counts(t.Context(), "room0")
	if err != nil {
		t.Fatal(err)
	}
	heard := len(n.heard(t, 11))
	deleted, err := n.Pruner.Rooms(t.Context())
	slices.Sort(deleted)
	if err != nil || !slices.Equal(deleted, want) {
		t.Errorf("deleted %q, %v", deleted, err)
	}
	if left := keys(t, n.Client, "*room[0-9]"); len(left) != 0 {
		t.Errorf("left %q", left)
	}
	n.heard(t, heard) // nobody went, so nobody is told
	// A room that is made again goes on from where it was.
	if revision := n.add(t, "room0", n.Open(t), "ben"); revision <= before.Revision {
		t.Errorf("revision %d, was %d", revision, before.Revision)
	}
}

// The script of the prune asks again whether a room is empty.
func pruneRoomsAgainstAdd(t *testing.T, s *redistest.Server) {
	n := newNode(t, s, config{})
	ch := n.Enter(t, "lobby", "ana")
	if _, err := n.Remove(t.Context(), "lobby", ch.Name()); err != nil {
		t.Fatal(err)
	}
	shard := n.Store().Shard("lobby")
	empty, err := n.Store().EmptyRooms(t.Context(), shard)
	if err != nil || !slices.Equal(empty, []string{"lobby"}) {
		t.Fatalf("empty %q, %v", empty, err)
	}
	n.add(t, "lobby", ch, "ana") // after the prune has looked, before it deletes
	deleted, err := n.Store().PruneRooms(t.Context(), shard, empty)
	if err != nil || len(deleted) != 0 {
		t.Errorf("deleted %q, %v", deleted, err)
	}
	if counts, err := n.Counts(t.Context(), "lobby"); err != nil || counts.Presences != 1 {
		t.Errorf("%+v, %v", counts, err)
	}
}

func maxAge(t *testing.T, s *redistest.Server) {
	standard, short := newNode(t, s, config{}), newNode(t, s, config{presence: presence.Options{MaxAge: 2 * time.Second}})
	standard.Age(t, standard.Enter(t, "lobby", "ana"), 3*time.Second)
	short.Age(t, short.Enter(t, "lobby", "ben"), 3*time.Second)
	changes, err := standard.Pruner.Presences(t.Context())
	if err != nil || len(changes) != 1 || len(changes[0].Removed) != 1 || changes[0].Removed[0].User != "ben" {
		t.Errorf("%+v, %v: each node's max age is its own", changes, err)
	}
	rows, _, err := standard.Store().NodeRows(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		want := presence.DefaultMaxAge
		if row.Node == short.Layer.NodeID() {
			want = 2 * time.Second
		}
		if row.MaxAge != want {
			t.Errorf("max age %v, want %v", row.MaxAge, want)
		}
	}
	if presence.DefaultMaxAge != time.Minute {
		t.Errorf("default %v", presence.DefaultMaxAge)
	}
	var invalid *presence.InvalidError
	if _, err := presence.New(t.Context(), standard.Layer, &presence.Options{MaxAge: time.Millisecond}); !errors.As(err, &invalid) {
		t.Errorf("a millisecond: %v", err)
	}
}
