package presence_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// replica applies diffs and fails where one does not fit.
type replica struct {
	w       *presence.Watcher
	members map[string]string // channel -> user
	users   map[string]bool
}

func newReplica(w *presence.Watcher) *replica {
	r := &replica{w: w, members: map[string]string{}, users: map[string]bool{}}
	for _, p := range w.Start().Presences {
		r.members[p.Channel] = p.User
	}
	for _, u := range w.Start().Users() {
		r.users[u] = true
	}
	return r
}

// read applies diffs until the watcher has told of a revision.
func (r *replica) read(ctx context.Context, t *rapid.T, revision presence.Revision) {
	if err := r.w.WaitFor(ctx, revision); err != nil {
		t.Fatalf("wait for %d: %v", revision, err)
	}
	for {
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		d, err := r.w.Next(short)
		cancel()
		if err != nil {
			return
		}
		for _, p := range d.Removed {
			if r.members[p.Channel] != p.User {
				t.Fatalf("%s left as %q, was %q", p.Channel, p.User, r.members[p.Channel])
			}
			delete(r.members, p.Channel)
		}
		for _, p := range d.Added {
			if _, ok := r.members[p.Channel]; ok {
				t.Fatalf("%s came, and was there", p.Channel)
			}
			r.members[p.Channel] = p.User
		}
		for _, u := range d.UsersWent {
			if !r.users[u] {
				t.Fatalf("user %s went, and was not there", u)
			}
			delete(r.users, u)
		}
		for _, u := range d.UsersCame {
			if r.users[u] {
				t.Fatalf("user %s came, and was there", u)
			}
			r.users[u] = true
		}
	}
}

// Random histories over three nodes against a plain map: the calls' results,
// Redis and what two watchers of different speed were told agree with it.
func TestModel(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		nodes := []*node{
			newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{}),
		}
		room := 0
		// The bubble forbids Deadline, which rapid would ask for.
		rapid.Check(struct{ testing.TB }{t}, func(rt *rapid.T) {
			room++
			checkHistory(t.Context(), t, rt, s, nodes, fmt.Sprint("room", room))
		})
	})
}

// insist calls f until no dropped connection is in its way. A request to another
// node, or its answer, may have been lost with one: f is given a limit.
func insist(ctx context.Context, f func(ctx context.Context) error) (tries int, err error) {
	try := func() error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		return f(ctx)
	}
	for tries = 1; tries < 100; tries++ {
		if err = try(); !errors.Is(err, presence.ErrUnavailable) && !errors.Is(err, presence.ErrNoAnswer) {
			return tries, err
		}
	}
	return tries, err
}

func checkHistory(ctx context.Context, t *testing.T, rt *rapid.T, s *redistest.Server, nodes []*node, room string) {
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	var channels []string
	var owners []*node
	for i := range 6 {
		owners = append(owners, nodes[i%3])
		channels = append(channels, nodes[i%3].open(t))
	}
	var replicas []*replica
	for _, n := range nodes[:2] {
		w, err := n.Watch(ctx, room, nil)
		if err != nil {
			rt.Fatal(err)
		}
		defer w.Close()
		replicas = append(replicas, newReplica(w))
	}
	model := map[string]string{}
	var revision presence.Revision
	for range rapid.IntRange(1, 25).Draw(rt, "steps") {
		i := rapid.IntRange(0, 5).Draw(rt, "channel")
		n, c := owners[i], channels[i]
		if rapid.Bool().Draw(rt, "remote") {
			n = nodes[0]
		}
		_, was := model[c]
		var at presence.Revision
		var err error
		switch op := rapid.SampledFrom([]string{"add", "remove", "leave", "update", "drop"}).Draw(rt, "op"); op {
		case "add":
			user := rapid.SampledFrom([]string{"", "ana", "ben"}).Draw(rt, "user")
			_, err = insist(ctx, func(ctx context.Context) error {
				_, at, err = n.Add(ctx, room, c, presence.Member{User: user})
				return err
			})
			model[c] = user
		case "remove":
			var tries int
			tries, err = insist(ctx, func(ctx context.Context) error { at, err = n.Remove(ctx, room, c); return err })
			if (at != 0) != was && tries == 1 {
				rt.Fatalf("remove of a channel that was there %v gave revision %d", was, at)
			}
			delete(model, c)
		case "leave":
			var left map[string]presence.Revision
			_, err = insist(ctx, func(ctx context.Context) error { left, err = n.LeaveAll(ctx, c, presence.Disconnected); return err })
			at = left[room]
			delete(model, c)
		case "update":
			if was {
				info := []byte(rapid.StringN(0, 5, 20).Draw(rt, "info"))
				_, err = insist(ctx, func(ctx context.Context) error { at, err = n.Update(ctx, room, c, info); return err })
			}
		case "drop":
			if rapid.IntRange(0, 9).Draw(rt, "really") == 0 {
				s.DropClients()
				redistest.Advance(t, 5*time.Second)
			}
		}
		if err != nil {
			rt.Fatal(err)
		}
		revision = max(revision, at)
		if rapid.Bool().Draw(rt, "read") {
			replicas[0].read(ctx, rt, revision)
		}
	}
	var snapshot presence.Snapshot
	_, err := insist(ctx, func(ctx context.Context) (err error) { snapshot, err = nodes[2].Snapshot(ctx, room); return err })
	if err != nil {
		rt.Fatal(err)
	}
	users, anonymous := map[string]bool{}, 0
	stored := map[string]string{}
	for _, p := range snapshot.Presences {
		stored[p.Channel] = p.User
		if p.User == "" {
			anonymous++
		} else {
			users[p.User] = true
		}
	}
	if snapshot.Counts.Revision < revision {
		rt.Fatalf("revision %d in Redis, a write returned %d", snapshot.Counts.Revision, revision)
	}
	revision = snapshot.Counts.Revision // a write whose answer was lost has one, too
	want := presence.Counts{Presences: len(model), Users: len(users), Anonymous: anonymous, Revision: revision}
	if !maps.Equal(stored, model) || snapshot.Counts != want {
		rt.Fatalf("Redis has %v %+v, want %v %+v", stored, snapshot.Counts, model, want)
	}
	for i, r := range replicas {
		r.read(ctx, rt, revision)
		if !maps.Equal(r.members, model) || !maps.Equal(r.users, users) || r.w.Counts() != want {
			rt.Fatalf("watcher %d has %v %v %+v, want %v %v %+v", i, r.members, r.users, r.w.Counts(), model, users, want)
		}
	}
	for i, c := range channels {
		if _, err := insist(ctx, func(ctx context.Context) error { _, err := owners[i].LeaveAll(ctx, c, presence.Left); return err }); err != nil {
			rt.Fatal(err)
		}
		ch, _ := owners[i].Layer.Channel(c)
		ch.Close()
	}
}
