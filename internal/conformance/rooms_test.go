package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

var roomRows = []row{
	{"Room.objects.add", "new", addNew},
	{"Room.objects.add", "new: subscribed before the script", addSubscribesFirst},
	{"Room.objects.add", "same channel, same user", addAgain},
	{"Room.objects.add", "same channel, other user", addOtherUser},
	{"Room.objects.add", "anonymous", addAnonymous},
	{"Room.objects.add", "bad names", addBadNames},
	{"Room.objects.add", "Redis down in the middle", addWhileRedisIsDown},
	{"Room.objects.remove", "present", removePresent},
	{"Room.objects.remove", "present: discarded after the script", removeDiscardsLast},
	{"Room.objects.remove", "unknown room or channel, or twice", removeUnknown},
	{"room", "channel_name", roomChannelName},
	{"room", "get_users", roomUsers},
	{"room", "get_anonymous_count", roomAnonymousCount},
}

func addNew(t *testing.T, s *redistest.Server) {
	n := newNode(t, s, config{})
	ch := n.Open(t)
	before := serverTime(t, n.Client).Truncate(time.Millisecond)
	p, revision, err := n.Add(t.Context(), "lobby", ch.Name(), presence.Member{User: "ana", Info: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	after := serverTime(t, n.Client)
	if p.Room != "lobby" || p.Channel != ch.Name() || p.User != "ana" || string(p.Info) != "x" || revision == 0 {
		t.Errorf("presence %+v at %d", p, revision)
	}
	if p.JoinedAt.Before(before) || p.JoinedAt.After(after) {
		t.Errorf("joined at %v, not between %v and %v", p.JoinedAt, before, after)
	}
	c := n.heard(t, 1)[0]
	if c.Room != "lobby" || c.Bulk || len(c.Added) != 1 || len(c.Removed)+len(c.Updated) != 0 ||
		c.Added[0].Channel != ch.Name() || !slices.Equal(c.UsersCame, []string{"ana"}) {
		t.Errorf("change %+v", c)
	}
	if want := (presence.Counts{Presences: 1, Users: 1, Revision: revision}); c.Counts != want {
		t.Errorf("counts %+v, want %+v", c.Counts, want)
	}
	var rooms []string
	for room, err := range n.Rooms(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		rooms = append(rooms, room)
	}
	if !slices.Equal(rooms, []string{"lobby"}) {
		t.Errorf("rooms %q: the room was not created", rooms)
	}
}

// eventListener signals each change of a room that another node hears of.
type eventListener chan struct{}

func (l eventListener) Event(string) error { l <- struct{}{}; return nil }
func (l eventListener) Gap()               {}

// What is sent as soon as the change can be seen anywhere reaches the channel,
// so the group was subscribed before the script ran.
func addSubscribesFirst(t *testing.T, s *redistest.Server) {
	n, other := newNode(t, s, config{}), newProber(t, s, nil)
	for i := range 20 {
		room := fmt.Sprint("room", i)
		seen := make(eventListener, 1)
		listening, err := other.layer.Listen(room, seen)
		if err != nil {
			t.Fatal(err)
		}
		if err := listening.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		sent := make(chan error, 1)
		go func() {
			<-seen
			sent <- other.layer.GroupSend(t.Context(), room, groups.Message{Type: "welcome"})
		}()
		ch := n.Enter(t, room, "ana")
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if m, err := ch.Receive(t.Context()); err != nil || m.Type != "welcome" {
			t.Fatalf("received %q, %v", m.Type, err)
		}
		listening.Close()
	}
}

func addAgain(t *testing.T, s *redistest.Server) {
	n, probe := newNode(t, s, config{}), newProber(t, s, nil)
	ch := n.Open(t)
	first, r1, err := n.Add(t.Context(), "lobby", ch.Name(), presence.Member{User: "ana", Info: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	n.Age(t, ch, 30*time.Second)
	old := n.lastSeen(t, "lobby", ch)
	// As if the membership had been lost.
	if err := n.Layer.GroupDiscard(t.Context(), "lobby", ch.Name()); err != nil {
		t.Fatal(err)
	}
	probe.mustReach(t, "lobby", []*groups.Channel{ch})

	again, r2, err := n.Add(t.Context(), "lobby", ch.Name(), presence.Member{User: "ana", Info: []byte("y")})
	if err != nil {
		t.Fatal(err)
	}
	if r2 != r1 || !again.JoinedAt.Equal(first.JoinedAt) || string(again.Info) != "x" {
		t.Errorf("the second add gives %+v at %d, the first %+v at %d", again, r2, first, r1)
	}
	if seen := n.lastSeen(t, "lobby", ch); seen.Sub(old) < 29*time.Second {
		t.Errorf("last seen %v, before the second add %v", seen, old)
	}
	probe.mustReach(t, "lobby", []*groups.Channel{ch}, ch)
	if changes := n.told(t, "lobby"); len(changes) != 1 {
		t.Errorf("%d changes, want the first add's alone: %+v", len(changes), changes)
	}
}

func addOtherUser(t *testing.T, s *redistest.Server) {
	n, probe := newNode(t, s, config{}), newProber(t, s, nil)
	ch := n.Enter(t, "lobby", "")
	n.Enter(t, "lobby", "ben")
	for _, step := range []struct {
		name, from, to string
		came, went     []string
		counts         presence.Counts
	}{
		{"login", "", "ana", []string{"ana"}, nil, presence.Counts{Presences: 2, Users: 2}},
		{"switch", "ana", "ben", nil, []string{"ana"}, presence.Counts{Presences: 2, Users: 1}},
		{"logout", "ben", "", nil, nil, presence.Counts{Presences: 2, Users: 1, Anonymous: 1}},
	} {
		revision := n.add(t, "lobby", ch, step.to)
		changes := n.told(t, "lobby")
		c := changes[len(changes)-1]
		if len(c.Removed) != 1 || c.Removed[0].Channel != ch.Name() || c.Removed[0].User != step.from || c.Removed[0].Reason != presence.Switched ||
			len(c.Added) != 1 || c.Added[0].Channel != ch.Name() || c.Added[0].User != step.to || c.Bulk {
			t.Errorf("%s: %+v", step.name, c)
		}
		if !slices.Equal(c.UsersCame, step.came) || !slices.Equal(c.UsersWent, step.went) {
			t.Errorf("%s: came %q, want %q; went %q, want %q", step.name, c.UsersCame, step.came, c.UsersWent, step.went)
		}
		step.counts.Revision = revision
		if c.Counts != step.counts {
			t.Errorf("%s: counts %+v, want %+v", step.name, c.Counts, step.counts)
		}
		probe.mustReach(t, "lobby", []*groups.Channel{ch}, ch)
	}
	if changes := n.told(t, "lobby"); len(changes) != 5 {
		t.Errorf("%d changes, want one for each of 5 steps", len(changes))
	}
}

func addAnonymous(t *testing.T, s *redistest.Server) {
	n := newNode(t, s, config{})
	n.Enter(t, "lobby", "")
	snapshot, err := n.Snapshot(t.Context(), "lobby")
	if err != nil || len(snapshot.Presences) != 1 || snapshot.Presences[0].User != "" || len(snapshot.Users()) != 0 {
		t.Errorf("%+v, %v", snapshot, err)
	}
	if c := n.heard(t, 1)[0]; len(c.UsersCame) != 0 || c.Added[0].User != "" {
		t.Errorf("change %+v", c)
	}
}

func addBadNames(t *testing.T, s *redistest.Server) {
	n := newNode(t, s, config{})
	ch := n.Enter(t, "lobby", "ana")
	before := keys(t, n.Client, "*")
	long := strings.Repeat("x", 256)
	for name, call := range map[string]struct{ room, channel, user string }{
		"empty room":     {"", ch.Name(), "ana"},
		"long room":      {long, ch.Name(), "ana"},
		"room not UTF-8": {"\xff", ch.Name(), "ana"},
		"long user":      {"garden", ch.Name(), long},
		"user not UTF-8": {"garden", ch.Name(), "\xff"},
		"no channel":     {"garden", "nobody", "ana"},
	} {
		_, _, err := n.Add(t.Context(), call.room, call.channel, presence.Member{User: call.user})
		var invalid *presence.InvalidError
		if !errors.As(err, &invalid) && !errors.Is(err, presence.ErrUnknownChannel) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := keys(t, n.Client, "*"); !slices.Equal(before, after) {
		t.Errorf("keys %q, before %q", after, before)
	}
	if left, err := n.LeaveAll(t.Context(), ch.Name(), presence.Left); err != nil || len(left) != 1 {
		t.Errorf("leave all: %v, %v", left, err)
	}
}

func addWhileRedisIsDown(t *testing.T, s *redistest.Server) {
	for _, where := range []cut{asked, answered} {
		n, probe := newNode(t, s, config{}), newProber(t, s, nil)
		room := fmt.Sprint("lobby", where)
		n.Enter(t, "elsewhere", "") // the script is known
		ch := n.Open(t)
		at, next := n.Wire.hold(where, "write", 1)
		failed := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, _, err := n.Add(ctx, room, ch.Name(), presence.Member{User: "ana"})
			failed <- err
		}()
		<-at
		s.Stop()
		close(next)
		if err := <-failed; !errors.Is(err, presence.ErrUnavailable) {
			t.Errorf("add: %v", err)
		}
		s.Start()
		redistest.Eventually(t, patience, func() error {
			if err := probe.agree(t.Context(), n, []string{room}, ch); err != nil {
				return err
			}
			state, err := present(t.Context(), n, room)
			if len(state) != 0 {
				return fmt.Errorf("a failed add left %q", state)
			}
			return err
		})
		redistest.Eventually(t, patience, func() error { // it fails at once until the node knows
			_, _, err := n.Add(t.Context(), room, ch.Name(), presence.Member{User: "ana"})
			return err
		})
		probe.mustReach(t, room, []*groups.Channel{ch}, ch)
		added, removed := 0, 0
		for _, c := range n.told(t, room) {
			added += len(c.Added)
			removed += len(c.Removed)
		}
		if added != removed+1 {
			t.Errorf("%d added, %d removed", added, removed)
		}
	}
}

func removePresent(t *testing.T, s *redistest.Server) {
	n, probe := newNode(t, s, config{}), newProber(t, s, nil)
	ch, stays := n.Enter(t, "lobby", "ana"), n.Enter(t, "lobby", "ana")
	revision, err := n.Remove(t.Context(), "lobby", ch.Name())
	if err != nil || revision == 0 {
		t.Fatalf("%d, %v", revision, err)
	}
	probe.mustReach(t, "lobby", []*groups.Channel{ch, stays}, stays)
	c := n.heard(t, 3)[2]
	if len(c.Removed) != 1 || c.Removed[0].Channel != ch.Name() || c.Removed[0].User != "ana" ||
		c.Removed[0].Reason != presence.Left || len(c.Added) != 0 || c.Bulk || len(c.UsersWent) != 0 {
		t.Errorf("change %+v", c)
	}
	if want := (presence.Counts{Presences: 1, Users: 1, Revision: revision}); c.Counts != want {
		t.Errorf("counts %+v, want %+v", c.Counts, want)
	}
}

// While the script was not carried out, the channel is still in the group.
func removeDiscardsLast(t *testing.T, s *redistest.Server) {
	n, probe := newNode(t, s, config{}), newProber(t, s, nil)
	ch := n.Enter(t, "lobby", "ana")
	at, next := n.Wire.hold(asked, "write", always)
	removed := make(chan error, 1)
	go func() {
		_, err := n.Remove(t.Context(), "lobby", ch.Name())
		removed <- err
	}()
	<-at
	probe.mustReach(t, "lobby", []*groups.Channel{ch}, ch)
	close(next)
	if err := <-removed; !errors.Is(err, presence.ErrUnavailable) {
		t.Errorf("remove: %v", err)
	}
	probe.mustReach(t, "lobby", []*groups.Channel{ch}, ch)
	n.Wire.heal()
	// A removal that failed is carried on, in both.
	redistest.Eventually(t, patience, func() error {
		members, err := probe.trial(t.Context(), "lobby", ch)
		if len(members) != 0 {
			return fmt.Errorf("still in the group: %q", members)
		}
		return err
	})
	if state, err := present(t.Context(), n, "lobby"); err != nil || len(state) != 0 {
		t.Errorf("present %q, %v", state, err)
	}
}

func removeUnknown(t *testing.T, s *redistest.Server) {
	n := newNode(t, s, config{})
	ch := n.Enter(t, "lobby", "ana")
	if _, err := n.Remove(t.Context(), "lobby", ch.Name()); err != nil {
		t.Fatal(err)
	}
	before := keys(t, n.Client, "*")
	for name, call := range map[string][2]string{
		"twice":             {"lobby", ch.Name()},
		"unknown room":      {"nowhere", ch.Name()},
		"unknown channel":   {"lobby", n.Layer.NodeID() + "!zz"},
		"no channel's name": {"lobby", "nobody"},
	} {
		if revision, err := n.Remove(t.Context(), call[0], call[1]); err != nil || revision != 0 {
			t.Errorf("%s: %d, %v", name, revision, err)
		}
	}
	if after := keys(t, n.Client, "*"); !slices.Equal(before, after) {
		t.Errorf("keys %q, before %q", after, before)
	}
	if changes := n.told(t, "lobby"); len(changes) != 2 {
		t.Errorf("%d changes, want 2: %+v", len(changes), changes)
	}
}

// The name of a room is that of its group.
func roomChannelName(t *testing.T, s *redistest.Server) {
	n, probe := newNode(t, s, config{}), newProber(t, s, nil)
	for _, name := range []string{"lobby", "a room: {1} é 💡"} {
		ch := n.Open(t)
		p, _, err := n.Add(t.Context(), name, ch.Name(), presence.Member{})
		if err != nil || p.Room != name {
			t.Fatalf("%+v, %v", p, err)
		}
		probe.mustReach(t, p.Room, []*groups.Channel{ch}, ch)
	}
}

func roomUsers(t *testing.T, s *redistest.Server) {
	a, b := newNode(t, s, config{}), newNode(t, s, config{})
	first := a.Enter(t, "lobby", "ana")
	second := b.Enter(t, "lobby", "ana")
	a.Enter(t, "lobby", "ben")
	b.Enter(t, "lobby", "")
	users := func(want ...string) {
		t.Helper()
		if got, err := b.Users(t.Context(), "lobby"); err != nil || !slices.Equal(got, want) {
			t.Errorf("users %q, %v, want %q", got, err, want)
		}
	}
	users("ana", "ben")
	if _, err := a.Remove(t.Context(), "lobby", first.Name()); err != nil {
		t.Fatal(err)
	}
	users("ana", "ben")
	if _, err := b.Remove(t.Context(), "lobby", second.Name()); err != nil {
		t.Fatal(err)
	}
	users("ben")
}

func roomAnonymousCount(t *testing.T, s *redistest.Server) {
	a, b := newNode(t, s, config{}), newNode(t, s, config{})
	for range 2 {
		a.Enter(t, "lobby", "")
	}
	ch := b.Enter(t, "lobby", "")
	b.Enter(t, "lobby", "ana")
	if n, err := a.AnonymousCount(t.Context(), "lobby"); err != nil || n != 3 {
		t.Errorf("%d, %v, want 3 channels", n, err)
	}
	b.add(t, "lobby", ch, "ben")
	if n, err := a.AnonymousCount(t.Context(), "lobby"); err != nil || n != 2 {
		t.Errorf("%d, %v, want 2 channels", n, err)
	}
	if n, err := a.AnonymousCount(t.Context(), "nowhere"); err != nil || n != 0 {
		t.Errorf("%d, %v, want none", n, err)
	}
}
