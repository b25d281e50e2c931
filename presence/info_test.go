package presence_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/nodetest"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

func testKey(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// newSealedNode is newNode with keys, and must end in good order.
func newSealedNode(t *testing.T, s *redistest.Server, keys ...[]byte) *node {
	t.Helper()
	n := &node{}
	n.Node = nodetest.Start(t, s.NewClient(t), nodetest.Options{
		Groups: &groups.Options{Keys: keys}, Presence: n.Record(presence.Options{MaxInfo: 16}),
	})
	return n
}

func (n *node) enter(t *testing.T, room, user, info string) string {
	t.Helper()
	c := n.open(t)
	p, _, err := n.Add(t.Context(), room, c, presence.Member{User: user, Info: []byte(info)})
	if err != nil || p.Unopened || string(p.Info) != info {
		t.Fatalf("add: %+v, %v", p, err)
	}
	return c
}

// infos returns the info of each user of a room, "?" where it does not open.
func infos(t *testing.T, r *presence.Reader, room string) map[string]string {
	t.Helper()
	s, err := r.Snapshot(t.Context(), room)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, p := range s.Presences {
		found[p.User] = string(p.Info)
		if p.Unopened {
			found[p.User] = string(p.Info) + "?"
		}
	}
	return found
}

func newReader(t *testing.T, s *redistest.Server, keys ...[]byte) *presence.Reader {
	t.Helper()
	r, err := presence.NewReader(t.Context(), s.NewClient(t), &presence.ReaderOptions{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSealedInfo(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newSealedNode(t, s, testKey('a'))
		c := n.enter(t, "lobby", "ana", "a secret of 16 b") // MaxInfo is of the plaintext
		if _, err := n.Update(t.Context(), "lobby", c, []byte("another secret")); err != nil {
			t.Fatal(err)
		}
		again, _, err := n.Add(t.Context(), "lobby", c, presence.Member{User: "ana"})
		if err != nil || string(again.Info) != "another secret" {
			t.Errorf("add again: %+v, %v", again, err)
		}
		n.enter(t, "lobby", "ben", "")

		stored, err := s.NewClient(t).HGetAll(t.Context(), n.Store().Room("lobby")).Result()
		if err != nil {
			t.Fatal(err)
		}
		if all := fmt.Sprint(stored); strings.Contains(all, "secret") || !strings.Contains(all, "ana") {
			t.Errorf("stored: %q", stored)
		}
		for name, want := range map[string]struct {
			reader *presence.Reader
			ana    string
		}{
			"tracker":     {n.Reader, "another secret"},
			"reader":      {newReader(t, s, testKey('b'), testKey('a')), "another secret"},
			"wrong key":   {newReader(t, s, testKey('b')), "?"},
			"without key": {newReader(t, s), "?"},
		} {
			if got := infos(t, want.reader, "lobby"); len(got) != 2 || got["ana"] != want.ana || got["ben"] != "" {
				t.Errorf("%s: %v", name, got)
			}
			seen, err := want.reader.Presences(t.Context(), "lobby")
			if err != nil || len(seen) != 2 || seen[0].Unopened != (want.ana == "?") {
				t.Errorf("%s: %+v, %v", name, seen, err)
			}
		}
		n.End(t)
		changes := n.heard(t, 5)
		if p := changes[0].Added[0]; string(p.Info) != "a secret of 16 b" || p.Unopened {
			t.Errorf("added %+v", p)
		}
		if p := changes[1].Updated[0]; string(p.Info) != "another secret" || p.Unopened {
			t.Errorf("updated %+v", p)
		}
		for _, c := range changes[3:] {
			if d := c.Removed[0]; d.Info != nil || d.Unopened {
				t.Errorf("removed %+v", d)
			}
		}
	})
}

// An info opens in its place alone, so that nobody who can write to Redis can
// give one presence the info of another, or one of their own.
func TestInfoElsewhere(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newSealedNode(t, s, testKey('a'))
		clear := newSealedNode(t, s)
		ana := n.enter(t, "lobby", "ana", "admin")
		n.enter(t, "garden", "ana", "admin")
		eva := n.enter(t, "lobby", "eva", "guest")
		clear.enter(t, "lobby", "mal", "admin")
		client, room := s.NewClient(t), n.Store().Room("lobby")
		record, err := client.HGet(t.Context(), room, ana).Result()
		if err != nil {
			t.Fatal(err)
		}
		for field, value := range map[string]string{
			eva: strings.Replace(record, "ana", "eva", 1),
			ana: record[:len(record)-1] + string(record[len(record)-1]^1),
		} {
			if err := client.HSet(t.Context(), room, field, value).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.HSet(t.Context(), n.Store().Room("garden"), ana, record).Err(); err != nil {
			t.Fatal(err)
		}
		if got := infos(t, n.Reader, "lobby"); got["ana"] != "?" || got["eva"] != "?" || got["mal"] != "?" {
			t.Errorf("lobby: %v", got)
		}
		// Nor does it open as the info of the same channel in another room.
		garden, err := n.Snapshot(t.Context(), "garden")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range garden.Presences {
			if p.Unopened != (p.Channel == ana) {
				t.Errorf("garden: %+v", p)
			}
		}
	})
}

func TestReAddedInfoIsSealed(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newSealedNode(t, s, testKey('a'))
		c := n.enter(t, "lobby", "ana", "secret")
		if err := s.NewClient(t).FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		n.Touch(c)
		redistest.Advance(t, time.Minute)
		if got := infos(t, newReader(t, s, testKey('a')), "lobby"); got["ana"] != "secret" {
			t.Errorf("added again with %v", got)
		}
		if got := infos(t, newReader(t, s), "lobby"); got["ana"] != "?" {
			t.Errorf("added again in clear: %v", got)
		}
	})
}

func TestReaderKeys(t *testing.T) {
	_, err := presence.NewReader(t.Context(), nil, &presence.ReaderOptions{Keys: [][]byte{[]byte("short")}})
	var invalid *presence.InvalidError
	if !errors.As(err, &invalid) || invalid.Field != "Keys" {
		t.Errorf("%v, want an *InvalidError", err)
	}
}

// TestKeyRotation follows the steps of docs/encryption.md: a fleet of two is
// replaced node by node, once for each step, and each node that is up reads
// every info and hears every message at every moment.
func TestKeyRotation(t *testing.T) {
	before, after := testKey('a'), testKey('b')
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		type member struct {
			*node
			user string
			ch   *groups.Channel
		}
		var fleet []*member
		started := 0
		start := func(keys ...[]byte) *member {
			m := &member{node: newSealedNode(t, s, keys...), user: fmt.Sprint("user ", started)}
			started++
			m.ch, _ = m.Layer.Channel(m.enter(t, "lobby", m.user, "of "+m.user))
			return m
		}
		check := func(step string) {
			t.Helper()
			for _, from := range fleet {
				if err := from.Layer.GroupSend(t.Context(), "lobby", groups.Message{Type: "hi", Payload: []byte(from.user)}); err != nil {
					t.Fatal(err)
				}
				for _, to := range fleet {
					if m, err := to.ch.Receive(t.Context()); err != nil || string(m.Payload) != from.user {
						t.Fatalf("%s: %s received %+v, %v from %s", step, to.user, m, err, from.user)
					}
				}
			}
			for _, reads := range fleet {
				got := infos(t, reads.Reader, "lobby")
				for _, of := range fleet {
					if got[of.user] != "of "+of.user {
						t.Errorf("%s: %s reads %q of %s", step, reads.user, got[of.user], of.user)
					}
				}
				if stats := reads.Layer.Stats(); stats.Dropped() != 0 {
					t.Errorf("%s: %s: %+v", step, reads.user, stats)
				}
			}
		}
		fleet = []*member{start(before), start(before)}
		check("before")
		for _, step := range []struct {
			name string
			keys [][]byte
		}{
			{"the new key opens", [][]byte{before, after}},
			{"the new key seals", [][]byte{after, before}},
			{"the old key is dropped", [][]byte{after}},
		} {
			for range 2 {
				fleet = append(fleet, start(step.keys...))
				check(step.name + ", beside the node that is replaced")
				fleet[0].End(t)
				fleet = fleet[1:]
				check(step.name + ", in its place")
			}
		}
		if got := infos(t, newReader(t, s, before), "lobby"); got[fleet[0].user] != "?" || got[fleet[1].user] != "?" {
			t.Errorf("the old key still opens: %v", got)
		}
	})
}
