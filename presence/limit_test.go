package presence_test

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// Many come at once to several nodes, and just so many are let in.
func TestARoomIsNeverOverfull(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		const limit, each = 10, 20
		nodes := []*node{newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{})}
		var in, refused atomic.Int64
		var work sync.WaitGroup
		for i, n := range nodes {
			for j := range each {
				c, user := n.open(t), fmt.Sprint("user ", i, j)
				if j%4 == 0 {
					user = ""
				}
				work.Go(func() {
					switch _, _, err := n.AddWithin(t.Context(), "lobby", c, presence.Member{User: user}, limit); {
					case err == nil:
						in.Add(1)
					case errors.Is(err, presence.ErrRoomFull):
						refused.Add(1)
					default:
						t.Error(err)
					}
				})
			}
		}
		work.Wait()
		counts, err := nodes[0].Counts(t.Context(), "lobby")
		if err != nil || in.Load() != limit || refused.Load() != each*3-limit || counts.Presences != limit || counts.Users+counts.Anonymous != limit {
			t.Errorf("%d in, %d refused, %+v, %v", in.Load(), refused.Load(), counts, err)
		}
	})
}

// A refusal changes nothing, not even when the channel was last seen.
func TestARefusedChangeOver(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		first, second := n.open(t), n.open(t)
		n.add(t, "lobby", first, "ana")
		n.add(t, "lobby", second, "ana")
		before, err := n.Presences(t.Context(), "lobby")
		if err != nil {
			t.Fatal(err)
		}
		redistest.Advance(t, 10*time.Second)
		if _, _, err := n.AddWithin(t.Context(), "lobby", second, presence.Member{User: "ben"}, 1); !errors.Is(err, presence.ErrRoomFull) {
			t.Errorf("added: %v", err)
		}
		if after, err := n.Presences(t.Context(), "lobby"); err != nil || !reflect.DeepEqual(after, before) {
			t.Errorf("%+v, %v, before %+v", after, err, before)
		}
	})
}

func TestWhoIsLetIntoAFullRoom(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{})
		add := func(n *node, c string, m presence.Member) error {
			t.Helper()
			_, _, err := n.AddWithin(t.Context(), "lobby", c, m, 2)
			return err
		}
		ana, visitor := a.open(t), a.open(t)
		for c, m := range map[string]presence.Member{ana: {User: "ana"}, visitor: {}} {
			if err := add(a, c, m); err != nil {
				t.Fatal(err)
			}
		}
		refused := b.open(t)
		for name, m := range map[string]presence.Member{"a user": {User: "ben"}, "a key": {Key: "k"}, "an anonymous": {}} {
			if err := add(b, refused, m); !errors.Is(err, presence.ErrRoomFull) {
				t.Errorf("%s: %v", name, err)
			}
			if err := add(a, refused, m); !errors.Is(err, presence.ErrRoomFull) { // asked of another node
				t.Errorf("%s, asked: %v", name, err)
			}
		}
		beside := b.open(t) // the node of who was refused
		if err := add(b, beside, presence.Member{User: "ana"}); err != nil {
			t.Errorf("another channel of a user: %v", err)
		}
		if err := a.Layer.GroupSend(t.Context(), "lobby", groups.Message{Type: "secret"}); err != nil {
			t.Fatal(err)
		}
		hears, _ := b.Layer.Channel(beside)
		if _, err := hears.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		ch, _ := b.Layer.Channel(refused)
		if m, ok := ch.TryReceive(); ok {
			t.Errorf("who was refused hears %s", m.Type)
		}
		if err := add(a, visitor, presence.Member{}); err != nil {
			t.Errorf("who is there: %v", err)
		}
		if err := add(a, visitor, presence.Member{User: "vic"}); err != nil {
			t.Errorf("who is there, as a user: %v", err)
		}
		// In grace a user holds the place, and finds it.
		if _, err := a.LeaveAllAfter(t.Context(), visitor, presence.Disconnected, time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := add(b, refused, presence.Member{User: "ben"}); !errors.Is(err, presence.ErrRoomFull) {
			t.Errorf("in the place of who is in grace: %v", err)
		}
		if err := add(b, b.open(t), presence.Member{User: "vic"}); err != nil {
			t.Errorf("who comes back: %v", err)
		}
		if st := a.Stats(); st.Joins != 3 || st.Restored != 0 {
			t.Errorf("%d joins and %d restored are counted, want 3 and none", st.Joins, st.Restored)
		}
		if n, err := b.Kick(t.Context(), presence.Kick{User: "vic"}); err != nil || n != 2 {
			t.Fatal(n, err)
		}
		if err := add(b, refused, presence.Member{User: "ben"}); err != nil {
			t.Errorf("where there is room: %v", err)
		}
		var invalid *presence.InvalidError
		if _, _, err := a.AddWithin(t.Context(), "lobby", ana, presence.Member{}, 0); !errors.As(err, &invalid) {
			t.Errorf("no limit: %v", err)
		}
	})
}

// A channel that changes over takes a place of its own, unless its user gives one up.
func TestChangingOverInAFullRoom(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		add := func(c, user string) error {
			t.Helper()
			_, _, err := n.AddWithin(t.Context(), "lobby", c, presence.Member{User: user}, 2)
			return err
		}
		first, second, third := n.open(t), n.open(t), n.open(t)
		n.add(t, "lobby", first, "ann")
		n.add(t, "lobby", second, "ann")
		n.add(t, "lobby", third, "bob")
		for _, user := range []string{"eve", ""} {
			if err := add(second, user); !errors.Is(err, presence.ErrRoomFull) {
				t.Errorf("ann, who stays, becomes %q: %v", user, err)
			}
		}
		n.Touch(second) // who was refused has a presence, with all that belongs to it
		if list, err := n.Presences(t.Context(), "lobby"); err != nil || len(list) != 3 {
			t.Errorf("%+v, %v", list, err)
		}
		if err := n.Layer.GroupSend(t.Context(), "lobby", groups.Message{Type: "hi"}); err != nil {
			t.Fatal(err)
		}
		ch, _ := n.Layer.Channel(second)
		if _, err := ch.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, change := range []struct{ channel, user string }{{second, "bob"}, {first, "eve"}, {first, ""}, {first, "ann"}} {
			if err := add(change.channel, change.user); err != nil {
				t.Errorf("as %q: %v", change.user, err)
			}
		}
		if counts, err := n.Counts(t.Context(), "lobby"); err != nil || counts.Users != 2 || counts.Presences != 3 {
			t.Errorf("%+v, %v", counts, err)
		}
	})
}
