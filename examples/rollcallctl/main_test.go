package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/nodetest"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

func TestMain(m *testing.M) { redistest.Main(m) }

const hostile = "\x1b[2J\n\"room\""

// fleet is one node with some people, and how the command is called for it.
type fleet struct {
	*nodetest.Node
	t     *testing.T
	redis string
}

func newFleet(t *testing.T, s *redistest.Server) *fleet {
	t.Helper()
	return newFleetWith(t, s, nil)
}

func newFleetWith(t *testing.T, s *redistest.Server, opts *presence.Options) *fleet {
	t.Helper()
	n := nodetest.Start(t, s.NewClient(t), nodetest.Options{Presence: opts})
	return &fleet{n, t, strings.Join(s.Addrs, ",")}
}

func (f *fleet) add(room, user string) string {
	f.t.Helper()
	return f.EnterAs(f.t, room, presence.Member{User: user, Info: []byte("busy")}).Name()
}

// call runs the command, and returns what it printed.
func (f *fleet) call(status int, args ...string) string {
	f.t.Helper()
	var stdout, stderr bytes.Buffer
	got := run(f.t.Context(), append([]string{"-redis", f.redis}, args...), &stdout, &stderr)
	if got != status || stderr.Len() > 0 {
		f.t.Errorf("%q: status %d, want %d, stderr %q", args, got, status, &stderr)
	}
	return stdout.String()
}

// fields are the words of a table's lines.
func fields(text string) (lines []string) {
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

// objects are JSON lines.
func objects[T any](t *testing.T, text string) (all []T) {
	t.Helper()
	for line := range strings.Lines(text) {
		var v T
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, v)
	}
	return all
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("have\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRoomsMembersAndNodes(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		f := newFleet(t, s)
		equal(t, fields(f.call(done, "rooms")), "ROOM PRESENCES USERS ANONYMOUS")
		ann := f.add("lobby", "ann")
		f.add("lobby", "ann")
		f.add("lobby", "")
		f.add(hostile, "bob")
		equal(t, fields(f.call(done, "rooms")),
			"ROOM PRESENCES USERS ANONYMOUS", `"\x1b[2J\n\"room\"" 1 1 0`, `"lobby" 3 1 1`)
		rooms := objects[roomRow](t, f.call(done, "-json", "rooms"))
		if fmt.Sprint(rooms) != fmt.Sprint([]roomRow{{hostile, 1, 1, 0}, {"lobby", 3, 1, 1}}) {
			t.Errorf("rooms %+v", rooms)
		}

		members := f.call(done, "members", "lobby")
		if lines := fields(members); len(lines) != 4 || !strings.Contains(members, fmt.Sprintf("%q", ann)) || !strings.Contains(members, `"busy"`) {
			t.Errorf("members:\n%s", members)
		}
		for _, m := range objects[memberRow](t, f.call(done, "-json", "members", "lobby")) {
			if string(m.Info) != "busy" || time.Since(m.JoinedAt).Abs() > time.Minute || m.LastSeen.IsZero() {
				t.Errorf("member %+v", m)
			}
		}
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), []string{"-redis", f.redis, "members", "lobyb"}, &stdout, &stderr)
		if status != failed || stdout.Len() > 0 || !strings.Contains(stderr.String(), `there is no room "lobyb"`) {
			t.Errorf("members of no room: status %d, %q, %q", status, &stdout, &stderr)
		}

		if _, err := f.LeaveAllAfter(t.Context(), ann, presence.Disconnected, time.Minute); err != nil {
			t.Fatal(err)
		}
		if text := f.call(done, "members", "lobby"); strings.Count(text, "in grace until 2") != 1 {
			t.Errorf("members, one in grace:\n%s", text)
		}
		for _, m := range objects[memberRow](t, f.call(done, "-json", "members", "lobby")) {
			if graced := m.Channel == ann; graced == m.LeavesAt.IsZero() || graced != m.LastSeen.IsZero() {
				t.Errorf("member %+v, in grace: %v", m, graced)
			}
		}

		nodes := objects[nodeRow](t, f.call(done, "-json", "nodes"))
		if len(nodes) != 1 || nodes[0].Node != f.Layer.NodeID() || !nodes[0].Alive || nodes[0].Channels == 0 {
			t.Errorf("nodes %+v", nodes)
		}
		if lines := fields(f.call(done, "nodes")); len(lines) != 2 || !strings.Contains(lines[1], "alive") {
			t.Errorf("nodes %q", lines)
		}
	})
}

func TestALargeRoomIsReadInPages(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		f := newFleet(t, s)
		store := f.Store()
		fields := map[string]any{"": fmt.Sprintf("2 1 %d 0 %d", maxWhole+1, maxWhole+1)}
		for i := range maxWhole + 1 {
			fields[fmt.Sprint(f.Layer.NodeID(), "!", i)] = "1700000000000\x00\x00"
		}
		if err := store.Client().HSet(t.Context(), store.Room("stadium"), fields).Err(); err != nil {
			t.Fatal(err)
		}
		members := objects[memberRow](t, f.call(done, "-json", "members", "stadium"))
		if len(members) != maxWhole+1 || !members[0].LastSeen.IsZero() {
			t.Errorf("%d members", len(members))
		}
	})
}

func TestCheckRepairAndPrune(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		f := newFleet(t, s)
		f.add("lobby", "ann")
		equal(t, fields(f.call(done, "check")), "0 found, 0 left")
		store, client := f.Store(), f.Store().Client()
		if err := client.Del(t.Context(), store.RoomUsers("lobby")).Err(); err != nil {
			t.Fatal(err)
		}
		if text := f.call(failed, "check"); !strings.Contains(text, "users differ") || !strings.Contains(text, "1 found, 1 left") {
			t.Errorf("check:\n%s", text)
		}
		mended := objects[problemRow](t, f.call(done, "-json", "repair"))
		if len(mended) != 1 || !mended[0].Mended || mended[0].Kind != "users differ" || mended[0].Room != "lobby" {
			t.Errorf("repair: %+v", mended)
		}
		unknown := store.Rooms(0) + "-of-another"
		if err := client.Set(t.Context(), unknown, "?", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if text := f.call(failed, "repair"); !strings.Contains(text, "left: ") || !strings.Contains(text, "1 left") {
			t.Errorf("repair:\n%s", text)
		}
		left := objects[problemRow](t, f.call(failed, "-json", "repair"))
		if len(left) != 1 || left[0].Mended || left[0].Why == "" || left[0].Key != unknown {
			t.Errorf("repair: %+v", left)
		}

		channel := f.add("attic", "bob")
		_, short, _ := groups.SplitChannel(channel)
		old := redis.Z{Score: 1, Member: short}
		if err := client.ZAdd(t.Context(), store.Presences(store.Shard("attic"), f.Layer.NodeID()), old).Err(); err != nil {
			t.Fatal(err)
		}
		equal(t, fields(f.call(done, "prune")), "ROOM REMOVED USERS GONE", `"attic" 1 "bob"`, `"attic" deleted`)
		f.add("attic", "carl")
		if rows := f.call(done, "-json", "prune"); rows != "" {
			t.Errorf("pruned %q", rows)
		}
	})
}

func TestWatch(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		f := newFleet(t, s)
		f.add("lobby", "ann")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		out, in := io.Pipe()
		status := make(chan int, 1)
		var stderr bytes.Buffer
		go func() {
			status <- run(ctx, []string{"-redis", f.redis, "-json", "watch", "lobby"}, in, &stderr)
			in.Close()
		}()
		lines := json.NewDecoder(out)
		next := func(event, user, reason string, presences int) {
			t.Helper()
			var e eventRow
			if err := lines.Decode(&e); err != nil {
				t.Fatalf("%v, stderr %q", err, &stderr)
			}
			if e.Event != event || e.User != user || e.Reason != reason || e.Presences != presences {
				t.Errorf("have %+v, want %s of %s", e, event, user)
			}
		}
		next("here", "ann", "", 1)
		bob := f.add("lobby", "bob")
		next("joined", "bob", "", 2)
		if _, err := f.Update(t.Context(), "lobby", bob, []byte("away")); err != nil {
			t.Fatal(err)
		}
		next("updated", "bob", "", 2)
		if _, err := f.LeaveAll(t.Context(), bob, presence.Disconnected); err != nil {
			t.Fatal(err)
		}
		next("left", "bob", "disconnected", 1)
		cancel()
		if got := <-status; got != done || stderr.Len() > 0 {
			t.Errorf("status %d, stderr %q", got, &stderr)
		}
		if nodes, err := f.Nodes(t.Context()); err != nil || len(nodes) != 1 {
			t.Errorf("the command has left %+v, %v", nodes, err)
		}
		table := f.call(done, "-timeout", "3s", "watch", "lobby")
		if lines := fields(table); len(lines) != 2 || !strings.Contains(lines[1], `here "ann"`) {
			t.Errorf("watch:\n%s", table)
		}
	})
}

// writing calls itself whenever something is written.
type writing func()

func (w writing) Write(p []byte) (int, error) {
	w()
	return len(p), nil
}

// What watch signs says for how long the fleet is held after an outage.
func TestWatchSignsAsTheFleetDoes(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		f := newFleetWith(t, s, &presence.Options{MaxAge: 10 * time.Minute, Lease: 30 * time.Second})
		store := f.Store()
		f.add("lobby", "ann")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var stderr bytes.Buffer
		status := run(ctx, []string{"-redis", f.redis, "watch", "lobby"}, writing(cancel), &stderr)
		if status != done || stderr.Len() > 0 {
			t.Fatalf("status %d, stderr %q", status, &stderr)
		}
		for shard := range store.Shards() {
			signed, err := store.Client().HMGet(t.Context(), store.Meta(shard), "lease", "wait").Result()
			if err != nil || fmt.Sprint(signed) != "[30000 120000]" {
				t.Errorf("lease and wait in shard %d: %v, %v", shard, signed, err)
			}
		}
	})
}

func TestBadUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"no command":      {},
		"unknown":         {"room"},
		"no room":         {"members"},
		"empty room":      {"watch", ""},
		"too much":        {"nodes", "lobby"},
		"flag at the end": {"rooms", "-json"},
		"unknown flag":    {"-yaml", "rooms"},
		"prefix":          {"-prefix", "a{b", "rooms"},
		"timeout":         {"-timeout", "-1s", "rooms"},
		"password":        {"-redis", "redis://:s3cret@localhost:6379/s3cret", "rooms"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(t.Context(), args, &stdout, &stderr)
			if status != badUsage || stdout.Len() > 0 || stderr.Len() == 0 || strings.Contains(stderr.String(), "s3cret") {
				t.Errorf("status %d, printed %q, stderr %q", status, &stdout, &stderr)
			}
		})
	}
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"-help"}, &stdout, &stderr); status != done || !strings.Contains(stderr.String(), "members ROOM") || strings.Contains(stderr.String(), "-1ns") {
		t.Errorf("help: %d %q", status, &stderr)
	}
}

func TestRedisOutOfReach(t *testing.T) {
	for name := range commands {
		args := []string{"-redis", "redis://user:s3cret@127.0.0.1:1", name} // nothing listens there
		if commands[name].ofRoom {
			args = append(args, "lobby")
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait for the client's attempts
			var stdout, stderr bytes.Buffer
			status := run(t.Context(), args, &stdout, &stderr)
			text := stderr.String()
			if status != failed || !strings.Contains(text, "127.0.0.1:1: ") || strings.Contains(text, "s3cret") {
				t.Errorf("status %d, stderr %q", status, text)
			}
		})
	}
}
