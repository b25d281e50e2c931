package presence_test

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

func TestAdd(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{})
		ana, ben, anon := a.open(t), b.open(t), b.open(t)
		r1 := a.add(t, "lobby", ana, "ana")
		r2 := b.add(t, "lobby", ben, "ben")
		r3 := b.add(t, "lobby", anon, "")
		if !(r1 < r2 && r2 < r3) {
			t.Errorf("revisions %d, %d, %d do not rise", r1, r2, r3)
		}
		got, err := a.Snapshot(t.Context(), "lobby")
		if err != nil {
			t.Fatal(err)
		}
		want := presence.Counts{Presences: 3, Users: 2, Anonymous: 1, Revision: r3}
		if got.Counts != want {
			t.Errorf("counts %+v, want %+v", got.Counts, want)
		}
		if users := got.Users(); !slices.Equal(users, []string{"ana", "ben"}) {
			t.Errorf("users %v", users)
		}
		for _, p := range got.Presences {
			if p.JoinedAt.IsZero() || p.Room != "lobby" {
				t.Errorf("presence %+v", p)
			}
		}
		changes := b.heard(t, 2)
		if len(changes[0].Added) != 1 || changes[0].Added[0].User != "ben" || changes[0].Bulk ||
			!slices.Equal(changes[0].UsersCame, []string{"ben"}) || changes[0].Counts.Revision != r2 {
			t.Errorf("change %+v", changes[0])
		}
		a.heard(t, 1)

		if err := a.Layer.GroupSend(t.Context(), "lobby", groups.Message{Type: "hi"}); err != nil {
			t.Fatal(err)
		}
		ch, _ := b.Layer.Channel(ben)
		if m, err := ch.Receive(t.Context()); err != nil || m.Type != "hi" {
			t.Errorf("received %+v, %v", m, err)
		}
	})
}

func TestAddAgain(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		c := n.open(t)
		first, r1, err := n.Add(t.Context(), "lobby", c, presence.Member{User: "ana", Info: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		second, r2, err := n.Add(t.Context(), "lobby", c, presence.Member{User: "ana"})
		if err != nil {
			t.Fatal(err)
		}
		if r1 != r2 || !first.JoinedAt.Equal(second.JoinedAt) || string(second.Info) != "x" {
			t.Errorf("second add: %+v at %d, first %+v at %d", second, r2, first, r1)
		}
		n.add(t, "lobby", c, "ben")
		changes := n.heard(t, 2)
		switched := changes[1]
		if len(switched.Added) != 1 || switched.Added[0].User != "ben" || len(switched.Removed) != 1 ||
			switched.Removed[0].User != "ana" || switched.Removed[0].Reason != presence.Switched ||
			!slices.Equal(switched.UsersCame, []string{"ben"}) || !slices.Equal(switched.UsersWent, []string{"ana"}) {
			t.Errorf("switch of user: %+v", switched)
		}
		if switched.Counts.Presences != 1 || switched.Counts.Users != 1 {
			t.Errorf("counts %+v", switched.Counts)
		}
	})
}

func TestRemoveAndLeaveAll(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		c, other := n.open(t), n.open(t)
		for _, room := range []string{"one", "two", "three"} {
			n.add(t, room, c, "ana")
		}
		n.add(t, "two", other, "ana")
		if r, err := n.Remove(t.Context(), "one", c); err != nil || r == 0 {
			t.Errorf("remove: %d, %v", r, err)
		}
		for name, call := range map[string]func() (presence.Revision, error){
			"twice":             func() (presence.Revision, error) { return n.Remove(t.Context(), "one", c) },
			"unknown room":      func() (presence.Revision, error) { return n.Remove(t.Context(), "nowhere", c) },
			"unknown channel":   func() (presence.Revision, error) { return n.Remove(t.Context(), "one", n.Layer.NodeID()+"!zz") },
			"no channel at all": func() (presence.Revision, error) { return n.Remove(t.Context(), "one", "x") },
		} {
			if r, err := call(); err != nil || r != 0 {
				t.Errorf("remove %s: %d, %v", name, r, err)
			}
		}
		left, err := n.LeaveAll(t.Context(), c, presence.Disconnected)
		if err != nil || len(left) != 2 || left["two"] == 0 || left["three"] == 0 {
			t.Errorf("leave all: %v, %v", left, err)
		}
		if again, err := n.LeaveAll(t.Context(), c, presence.Disconnected); err != nil || len(again) != 0 {
			t.Errorf("leave all again: %v, %v", again, err)
		}
		told := 0
		for _, change := range n.heard(t, 7) { // of different rooms in any order
			if change.Counts.Revision != left[change.Room] {
				continue
			}
			told++
			if len(change.Removed) != 1 || change.Removed[0].Reason != presence.Disconnected {
				t.Errorf("change %+v", change)
			}
			if change.Room == "two" && len(change.UsersWent) != 0 {
				t.Errorf("ana is still in two, and went: %+v", change)
			}
		}
		if told != 2 {
			t.Errorf("%d of 2 changes", told)
		}
		counts, err := n.CountsOf(t.Context(), "one", "two", "three", "nowhere")
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []int{0, 1, 0, 0} {
			if counts[i].Presences != want {
				t.Errorf("counts %d: %+v, want %d presences", i, counts[i], want)
			}
		}
		if err := n.Layer.GroupSend(t.Context(), "two", groups.Message{Type: "hi"}); err != nil {
			t.Fatal(err)
		}
		ch, _ := n.Layer.Channel(other)
		if _, err := ch.Receive(t.Context()); err != nil {
			t.Error(err)
		}
		gone, _ := n.Layer.Channel(c)
		if m, ok := gone.TryReceive(); ok {
			t.Errorf("a channel that left received %+v", m)
		}
	})
}

func TestUpdate(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		c := n.open(t)
		r1 := n.add(t, "lobby", c, "ana")
		r2, err := n.Update(t.Context(), "lobby", c, []byte("typing"))
		if err != nil || r2 <= r1 {
			t.Fatalf("update: %d after %d, %v", r2, r1, err)
		}
		got, err := n.Presences(t.Context(), "lobby")
		if err != nil || len(got) != 1 || string(got[0].Info) != "typing" || got[0].LastSeen.IsZero() {
			t.Errorf("presences %+v, %v", got, err)
		}
		changes := n.heard(t, 2)
		if c := changes[1]; len(c.Updated) != 1 || len(c.Added)+len(c.Removed) != 0 {
			t.Errorf("change %+v", c)
		}
		if _, err := n.Update(t.Context(), "other", c, nil); !errors.Is(err, presence.ErrNotPresent) {
			t.Errorf("update where it is not: %v", err)
		}
	})
}

// Who is connected can be updated, though Redis has just lost all.
func TestUpdateOfWhatRedisHasLost(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		c := n.open(t)
		n.add(t, "lobby", c, "ana")
		s.Flush()
		if _, err := n.Update(t.Context(), "lobby", c, []byte("typing")); err != nil {
			t.Fatal(err)
		}
		got, err := n.Snapshot(t.Context(), "lobby")
		if err != nil || len(got.Presences) != 1 || string(got.Presences[0].Info) != "typing" {
			t.Errorf("%+v, %v", got.Presences, err)
		}
	})
}

func TestBadInputIsRefusedBeforeRedisIsAsked(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		c := n.open(t)
		s.Stop()
		defer s.Start()
		for name, call := range map[string]func() error{
			"empty room": func() error { _, _, err := n.Add(t.Context(), "", c, presence.Member{}); return err },
			"long room": func() error {
				_, err := n.Remove(t.Context(), strings.Repeat("x", 256), c)
				return err
			},
			"not UTF-8": func() error {
				_, _, err := n.Add(t.Context(), "r", c, presence.Member{User: "\xff"})
				return err
			},
			"long info": func() error { _, err := n.Update(t.Context(), "r", c, make([]byte, 4097)); return err },
			"counts":    func() error { _, err := n.Counts(t.Context(), ""); return err },
		} {
			var invalid *presence.InvalidError
			if err := call(); !errors.As(err, &invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, _, err := n.Add(t.Context(), "r", "nobody", presence.Member{}); !errors.Is(err, presence.ErrUnknownChannel) {
			t.Errorf("no channel's name: %v", err)
		}
	})
}

func TestNamesHoldAnyText(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		names := []string{"{}", "{", "}{a}", "!", ":", "*", "\x00", " ", "a\nb", "é!{0}", strings.Repeat("💡", 63)}
		for _, name := range names {
			n.add(t, name, n.open(t), name)
		}
		var rooms []string
		for room, err := range n.Rooms(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			rooms = append(rooms, room)
			users, err := n.Users(t.Context(), room)
			if err != nil || !slices.Equal(users, []string{room}) {
				t.Errorf("users of %q: %q, %v", room, users, err)
			}
		}
		slices.Sort(rooms)
		slices.Sort(names)
		if !slices.Equal(rooms, names) {
			t.Errorf("rooms %q, want %q", rooms, names)
		}
	})
}

func TestRedisAway(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{Lease: 3 * time.Second})
		stays, leaves, never := n.open(t), n.open(t), n.open(t)
		n.add(t, "lobby", stays, "ana")
		n.add(t, "lobby", leaves, "ben")
		s.Stop()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, _, err := n.Add(ctx, "lobby", never, presence.Member{User: "cleo"}); !errors.Is(err, presence.ErrUnavailable) {
			t.Errorf("add: %v", err)
		}
		if _, err := n.LeaveAll(ctx, leaves, presence.Disconnected); !errors.Is(err, presence.ErrUnavailable) {
			t.Errorf("leave all: %v", err)
		}
		s.Start()
		redistest.Eventually(t, patience, func() error {
			users, err := n.Users(t.Context(), "lobby")
			if err == nil && !slices.Equal(users, []string{"ana"}) {
				err = errors.New(strings.Join(users, " "))
			}
			return err
		})
		redistest.Eventually(t, patience, func() error {
			_, _, err := n.Add(t.Context(), "lobby", never, presence.Member{User: "cleo"})
			return err
		})
	})
}

// Revisions are ahead of the clock where Redis's was set back. What Add returns
// is what Redis has all the same.
func TestAddReturnsWhenRedisSaysItJoined(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		r := n.add(t, "lobby", n.open(t), "ana")
		key, client := n.Store().Room("lobby"), s.NewClient(t)
		ahead := fmt.Sprintf("%d %d 1 1 0", int64(r)+time.Hour.Microseconds(), r)
		if err := client.HSet(t.Context(), key, "", ahead).Err(); err != nil {
			t.Fatal(err)
		}
		c := n.open(t)
		first, _, err := n.Add(t.Context(), "lobby", c, presence.Member{User: "ben", Info: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := n.Add(t.Context(), "lobby", c, presence.Member{User: "ben"})
		if err != nil || !again.JoinedAt.Equal(first.JoinedAt) || string(first.Info) != "x" || first.User != "ben" {
			t.Errorf("%+v, then %+v, %v", first, again, err)
		}
	})
}
