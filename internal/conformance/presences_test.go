package conformance_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

var presenceRows = []row{
	{"Presence.objects.touch", "in n rooms", touchInRooms},
	{"Presence.objects.touch", "unknown channel", touchUnknown},
	{"Presence.objects.leave_all", "0 rooms", func(t *testing.T, s *redistest.Server) { leaveAll(t, s, 0) }},
	{"Presence.objects.leave_all", "1 room", func(t *testing.T, s *redistest.Server) { leaveAll(t, s, 1) }},
	{"Presence.objects.leave_all", "n rooms", func(t *testing.T, s *redistest.Server) { leaveAll(t, s, 12) }},
	{"presence", "room, channel_name, user, last_seen", presenceFields},
	{"presence", "last_seen in the future", lastSeenIsRedisTime},
}

// flushing is a config whose touches are written soon.
func flushing() config {
	return config{presence: presence.Options{FlushInterval: 5 * time.Millisecond}}
}

// touched touches a channel, and waits until that is written to some rooms.
func (n *node) touched(t *testing.T, ch *groups.Channel, rooms ...string) {
	t.Helper()
	redistest.Eventually(t, patience, func() error {
		for _, room := range rooms {
			if now := serverTime(t, n.Client); now.Sub(n.lastSeen(t, room, ch)) < 10*time.Millisecond {
				return fmt.Errorf("seen just now, at %v", now)
			}
		}
		return nil
	})
	before := serverTime(t, n.Client).Truncate(time.Millisecond)
	n.Touch(ch.Name())
	redistest.Eventually(t, patience, func() error {
		for _, room := range rooms {
			if seen := n.lastSeen(t, room, ch); seen.Before(before) {
				return fmt.Errorf("last seen %v in %s, touched at %v", seen, room, before)
			}
		}
		return nil
	})
}

func touchInRooms(t *testing.T, s *redistest.Server) {
	n := newNode(t, s, flushing())
	ch := n.Open(t)
	var rooms []string
	for i := range 10 {
		rooms = append(rooms, fmt.Sprint("room", i))
		n.add(t, rooms[i], ch, "ana")
	}
	n.Wire.forget()
	n.touched(t, ch, rooms...)
	if writes := n.Wire.count("touch"); writes > n.shards(rooms...) { // fewer where it went with other news of the channel
		t.Errorf("%d writes for one touch of 10 rooms in %d shards", writes, n.shards(rooms...))
	}
	if changes := n.heard(t, 10); len(changes) != 10 {
		t.Errorf("a touch is no change: %+v", changes[10:])
	}
}

func touchUnknown(t *testing.T, s *redistest.Server) {
	n := newNode(t, s, flushing())
	stranger, left, known := n.Open(t), n.Enter(t, "lobby", "ana"), n.Enter(t, "lobby", "ben")
	if _, err := n.Remove(t.Context(), "lobby", left.Name()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{stranger.Name(), left.Name(), "nobody", "dead!1", ""} {
		n.Touch(name)
	}
	n.touched(t, known, "lobby") // is written with the others, or after them
	if counts, err := n.Counts(t.Context(), "lobby"); err != nil || counts.Presences != 1 {
		t.Errorf("%+v, %v: a touch created a presence", counts, err)
	}
	if shorts := n.Client.ZCard(t.Context(), n.Store().Presences(n.Store().Shard("lobby"), n.Layer.NodeID())).Val(); shorts != 1 {
		t.Errorf("%d channels are known, want 1", shorts)
	}
}

func leaveAll(t *testing.T, s *redistest.Server, rooms int) {
	n, probe := newNode(t, s, config{}), newProber(t, s, nil)
	ch, stays := n.Open(t), n.Enter(t, "room0", "ben")
	var names []string
	for i := range rooms {
		names = append(names, fmt.Sprint("room", i))
		n.add(t, names[i], ch, "ana")
	}
	n.Wire.forget()
	left, err := n.LeaveAll(t.Context(), ch.Name(), presence.Disconnected)
	if err != nil || len(left) != rooms {
		t.Fatalf("left %v, %v", left, err)
	}
	if writes := n.Wire.count("write"); writes != n.shards(names...) {
		t.Errorf("%d writes for %d rooms in %d shards", writes, rooms, n.shards(names...))
	}
	if again, err := n.LeaveAll(t.Context(), ch.Name(), presence.Disconnected); err != nil || len(again) != 0 {
		t.Errorf("the second time: %v, %v", again, err)
	}
	for _, c := range n.heard(t, 1+2*rooms) { // in order for each room alone
		if len(c.Removed) == 0 {
			continue
		}
		if c.Bulk || len(c.Added) != 0 || len(c.Removed) != 1 || c.Removed[0].Channel != ch.Name() ||
			c.Removed[0].Reason != presence.Disconnected || left[c.Room] != c.Counts.Revision {
			t.Errorf("change %+v", c)
		}
		delete(left, c.Room)
	}
	if len(left) != 0 {
		t.Errorf("no change of %v", left)
	}
	for i := range rooms {
		var want []*groups.Channel
		if i == 0 {
			want = append(want, stays)
		}
		probe.mustReach(t, fmt.Sprint("room", i), []*groups.Channel{ch, stays}, want...)
	}
}

func presenceFields(t *testing.T, s *redistest.Server) {
	n := newNode(t, s, config{})
	ch := n.Open(t)
	before := serverTime(t, n.Client).Truncate(time.Millisecond)
	if _, _, err := n.Add(t.Context(), "lobby", ch.Name(), presence.Member{User: "ana", Info: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	after := serverTime(t, n.Client)
	all, err := n.Presences(t.Context(), "lobby")
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	p := all[0]
	if p.Room != "lobby" || p.Channel != ch.Name() || p.User != "ana" || string(p.Info) != "x" {
		t.Errorf("presence %+v", p)
	}
	for name, at := range map[string]time.Time{"last seen": p.LastSeen, "joined": p.JoinedAt} {
		if at.Before(before) || at.After(after) {
			t.Errorf("%s %v, not between %v and %v", name, at, before, after)
		}
	}
}

// Only Redis's clock writes last seen: a node's own may be wrong by a day.
func lastSeenIsRedisTime(t *testing.T, s *redistest.Server) {
	if m := s.Mini(); m != nil {
		m.SetTime(time.Now().Add(-24 * time.Hour))
	}
	n := newNode(t, s, flushing())
	ch := n.Enter(t, "lobby", "ana")
	if seen, now := n.lastSeen(t, "lobby", ch), serverTime(t, n.Client); seen.After(now) || now.Sub(seen) > 20*time.Second {
		t.Errorf("last seen %v, Redis's time is %v", seen, now)
	}
	if m := s.Mini(); m != nil {
		m.SetTime(time.Now().Add(time.Second - 24*time.Hour)) // it stands still
	}
	n.touched(t, ch, "lobby")
	if seen, now := n.lastSeen(t, "lobby", ch), serverTime(t, n.Client); seen.After(now) {
		t.Errorf("last seen %v, Redis's time is %v", seen, now)
	}
}
