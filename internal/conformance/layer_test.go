package conformance_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

var layerRows = []row{
	{"channel layer", "names", layerNames},
	{"channel layer", "capacity", layerCapacity},
	{"channel layer", "capacity: policies", layerPolicies},
	{"channel layer", "expiry", layerKeepsNothing},
	{"channel layer", "group membership", layerMembership},
	{"channel layer", "group_add of another process's channel", layerRemote},
	{"channel layer", "reconnect", layerReconnect},
	{"channel layer", "payload", layerPayload},
	{"channel layer", "encryption", layerEncryption},
	{"channel layer", "flush", layerFlush},
	{"channel layer", "message type", layerMux},
}

func layerNames(t *testing.T, s *redistest.Server) {
	a := newNode(t, s, config{groups: groups.Options{NodeID: "web-1.eu_west"}})
	b := newNode(t, s, config{})
	seen := map[string]bool{}
	for _, n := range []*node{a, b} {
		for range 100 {
			name := n.Open(t).Name()
			if !strings.HasPrefix(name, n.Layer.NodeID()+"!") || seen[name] || len(name) >= 100 ||
				!regexp.MustCompile(`^[A-Za-z0-9._-]+![A-Za-z0-9]+$`).MatchString(name) {
				t.Fatalf("name %q", name)
			}
			seen[name] = true
		}
	}
	var invalid *groups.InvalidError
	for _, id := range []string{"a!b", "a b", strings.Repeat("x", 65)} {
		if _, err := groups.New(t.Context(), b.Client, &groups.Options{NodeID: id}); !errors.As(err, &invalid) {
			t.Errorf("node id %q: %v", id, err)
		}
	}
}

// A full channel loses what does not fit, and no other does.
func layerCapacity(t *testing.T, s *redistest.Server) {
	n, other := newNode(t, s, config{}), newNode(t, s, config{})
	full, sibling := n.Enter(t, "lobby", "ana"), n.Enter(t, "lobby", "ben")
	const sent = 130
	for i := range sent {
		if err := other.Layer.GroupSend(t.Context(), "lobby", groups.Message{Type: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		if m, err := sibling.Receive(t.Context()); err != nil || m.Type != fmt.Sprint(i) {
			t.Fatalf("sibling received %q, %v", m.Type, err)
		}
	}
	// To one channel: an error on its node, a count elsewhere.
	if err := n.Layer.Send(t.Context(), full.Name(), groups.Message{Type: "x"}); !errors.Is(err, groups.ErrChannelFull) {
		t.Errorf("local send: %v", err)
	}
	if err := other.Layer.Send(t.Context(), full.Name(), groups.Message{Type: "x"}); err != nil {
		t.Errorf("send from another node: %v", err)
	}
	redistest.Eventually(t, patience, func() error {
		if got := n.Layer.Stats().Overflowed; got != sent-100+2 {
			return fmt.Errorf("%d counted, want %d", got, sent-100+2)
		}
		return nil
	})
	for i := range 100 {
		if m, ok := full.TryReceive(); !ok || m.Type != fmt.Sprint(i) {
			t.Fatalf("message %d is %q, %v", i, m.Type, ok)
		}
	}
	if m, ok := full.TryReceive(); ok {
		t.Errorf("more than the capacity: %q", m.Type)
	}
}

func layerPolicies(t *testing.T, s *redistest.Server) {
	oldest := newNode(t, s, config{groups: groups.Options{Capacity: 2, Overflow: groups.DropOldest}})
	ch := oldest.Open(t)
	for i := range 3 {
		_ = oldest.Layer.Send(t.Context(), ch.Name(), groups.Message{Type: fmt.Sprint(i)}) // the third tells of the first
	}
	for _, want := range []string{"1", "2"} {
		if m, err := ch.Receive(t.Context()); err != nil || m.Type != want {
			t.Errorf("received %q, %v, want %q", m.Type, err, want)
		}
	}
	closing := newNode(t, s, config{groups: groups.Options{Capacity: 1, Overflow: groups.CloseChannel}})
	ch, sibling := closing.Enter(t, "lobby", "ana"), closing.Enter(t, "lobby", "ben")
	if err := closing.Layer.Send(t.Context(), ch.Name(), groups.Message{Type: "first"}); err != nil {
		t.Fatal(err)
	}
	if err := oldest.Layer.GroupSend(t.Context(), "lobby", groups.Message{Type: "second"}); err != nil {
		t.Fatal(err)
	}
	<-ch.Done()
	if m, err := ch.Receive(t.Context()); err != nil || m.Type != "first" {
		t.Errorf("received %q, %v", m.Type, err)
	}
	if _, err := ch.Receive(t.Context()); !errors.Is(err, groups.ErrChannelFull) {
		t.Errorf("closed with %v", err)
	}
	if m, err := sibling.Receive(t.Context()); err != nil || m.Type != "second" {
		t.Errorf("sibling received %q, %v", m.Type, err)
	}
}

// Nothing is stored, so nothing can expire: who joins later gets nothing.
func layerKeepsNothing(t *testing.T, s *redistest.Server) {
	n, probe := newNode(t, s, config{}), newProber(t, s, nil)
	before := keys(t, n.Client, "*")
	for range 10 {
		if err := n.Layer.GroupSend(t.Context(), "lobby", groups.Message{Type: "early"}); err != nil {
			t.Fatal(err)
		}
	}
	if after := keys(t, n.Client, "*"); len(after) != len(before) {
		t.Errorf("keys %q, before %q", after, before)
	}
	ch := n.Enter(t, "lobby", "ana")
	probe.mustReach(t, "lobby", []*groups.Channel{ch}, ch)
	if m, ok := ch.TryReceive(); ok {
		t.Errorf("received %q", m.Type)
	}
}

// A group is what its nodes are subscribed to, which ends with them.
func layerMembership(t *testing.T, s *redistest.Server) {
	n, probe := newNode(t, s, config{}), newProber(t, s, nil)
	topic := n.Store().Room("lobby")
	subscribed := func(want int64) {
		t.Helper()
		redistest.Eventually(t, patience, func() error {
			got, err := redistest.Subscribers(t.Context(), probe.layer.Store().Client(), topic)
			if err == nil && got != want {
				err = fmt.Errorf("%d nodes subscribed, want %d", got, want)
			}
			return err
		})
	}
	ch := n.Open(t)
	if err := n.Layer.GroupAdd(t.Context(), "lobby", ch.Name()); err != nil {
		t.Fatal(err)
	}
	subscribed(1)
	if ttl := n.Client.TTL(t.Context(), topic).Val(); ttl > 0 {
		t.Errorf("membership ends in %v", ttl)
	}
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	subscribed(1) // the group is the layer's, with or without presence
	if err := n.Layer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	subscribed(0)
	if err := probe.layer.Send(t.Context(), ch.Name(), groups.Message{}); !errors.Is(err, groups.ErrUnknownChannel) {
		t.Errorf("send to a dead node: %v", err)
	}
}

func layerRemote(t *testing.T, s *redistest.Server) {
	owner, other, probe := newNode(t, s, config{}), newNode(t, s, config{}), newProber(t, s, nil)
	ch := owner.Open(t)
	if err := other.Layer.GroupAdd(t.Context(), "lobby", ch.Name()); err != nil {
		t.Fatal(err)
	}
	probe.mustReach(t, "lobby", []*groups.Channel{ch}, ch)
	if err := other.Layer.GroupDiscard(t.Context(), "lobby", ch.Name()); err != nil {
		t.Fatal(err)
	}
	probe.mustReach(t, "lobby", []*groups.Channel{ch})
	if p, revision, err := other.Add(t.Context(), "lobby", ch.Name(), presence.Member{User: "ana"}); err != nil || revision == 0 || p.User != "ana" {
		t.Errorf("%+v, %d, %v", p, revision, err)
	}
	probe.mustReach(t, "lobby", []*groups.Channel{ch}, ch)

	before := keys(t, other.Client, "*")
	for name, channel := range map[string]string{
		"dead node": "dead!1", "closed channel": owner.Layer.NodeID() + "!zz", "no channel": "nobody",
	} {
		if err := other.Layer.GroupAdd(t.Context(), "garden", channel); !errors.Is(err, groups.ErrUnknownChannel) {
			t.Errorf("%s: group add: %v", name, err)
		}
		if _, _, err := other.Add(t.Context(), "garden", channel, presence.Member{}); !errors.Is(err, presence.ErrUnknownChannel) {
			t.Errorf("%s: add: %v", name, err)
		}
	}
	if after := keys(t, other.Client, "*"); len(after) != len(before) {
		t.Errorf("keys %q, before %q: something stays", after, before)
	}
}

// gaps counts how often a listener was told that it may have missed something.
type gaps chan struct{}

func (gaps) Event(string) error { return nil }
func (g gaps) Gap()             { g <- struct{}{} }

// What is sent while the node is cut off is lost, which it is told; what is
// sent afterwards arrives, without anything being done.
func layerReconnect(t *testing.T, s *redistest.Server) {
	n, probe := newNode(t, s, config{}), newProber(t, s, nil)
	ch := n.Enter(t, "lobby", "ana")
	told := make(gaps, 1)
	listening, err := n.Layer.Listen("lobby", told)
	if err != nil {
		t.Fatal(err)
	}
	defer listening.Close()
	if err := listening.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Restart(false)
	select {
	case <-told:
	case <-time.After(patience):
		t.Fatal("not told of the gap")
	}
	redistest.Eventually(t, patience, func() error {
		members, err := probe.trial(t.Context(), "lobby", ch)
		if err == nil && len(members) != 1 {
			err = fmt.Errorf("group reaches %q", members)
		}
		return err
	})
	if m, ok := ch.TryReceive(); ok {
		t.Errorf("twice: %q", m.Type)
	}
	if state, err := present(t.Context(), n, "lobby"); err != nil || len(state) != 1 {
		t.Errorf("present %q, %v", state, err)
	}
}

func layerPayload(t *testing.T, s *redistest.Server) {
	n, other := newNode(t, s, config{}), newNode(t, s, config{groups: groups.Options{MaxPayload: 10}})
	ch := n.Enter(t, "lobby", "ana")
	largest := strings.Repeat("\xff", 64<<10)
	if err := n.Layer.GroupSend(t.Context(), "lobby", groups.Message{Type: "bytes", Payload: []byte(largest)}); err != nil {
		t.Fatal(err)
	}
	if m, err := ch.Receive(t.Context()); err != nil || string(m.Payload) != largest {
		t.Errorf("received %d bytes, %v", len(m.Payload), err)
	}
	var invalid *groups.InvalidError
	for _, send := range []func(*node, []byte) error{
		func(n *node, b []byte) error {
			return n.Layer.GroupSend(t.Context(), "lobby", groups.Message{Payload: b})
		},
		func(n *node, b []byte) error { return n.Layer.Send(t.Context(), ch.Name(), groups.Message{Payload: b}) },
	} {
		if err := send(n, make([]byte, 64<<10+1)); !errors.As(err, &invalid) {
			t.Errorf("64 KiB and a byte: %v", err)
		}
		if err := send(other, make([]byte, 11)); !errors.As(err, &invalid) {
			t.Errorf("more than the option: %v", err)
		}
	}
	m, err := groups.NewJSON("forward.message", map[string]int{"n": 7})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Layer.Send(t.Context(), ch.Name(), m); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	if m, err := ch.Receive(t.Context()); err != nil || m.Decode(&got) != nil || got["n"] != 7 {
		t.Errorf("received %q %v, %v", m.Type, got, err)
	}
	if m, ok := ch.TryReceive(); ok {
		t.Errorf("what was refused was sent: %d bytes", len(m.Payload))
	}
}

func layerMux(t *testing.T, s *redistest.Server) {
	n, other := newNode(t, s, config{}), newNode(t, s, config{})
	ch := n.Enter(t, "lobby", "ana")
	done := errors.New("done")
	var got []string
	note := func(name string, err error) func(context.Context, groups.Message) error {
		return func(_ context.Context, m groups.Message) error {
			got = append(got, name+":"+m.Type+":"+string(m.Payload))
			return err
		}
	}
	mux := groups.NewMux()
	mux.Handle("forward.message", note("forward", nil))
	mux.Handle("stop", note("stop", done))
	mux.Default(note("default", nil))
	for _, typ := range []string{"forward.message", "forward_message", "", "stop"} {
		if err := other.Layer.GroupSend(t.Context(), "lobby", groups.Message{Type: typ, Payload: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := mux.Serve(t.Context(), ch); !errors.Is(err, done) {
		t.Errorf("serve: %v", err)
	}
	want := "forward:forward.message:x default:forward_message:x default::x stop:stop:x"
	if all := strings.Join(got, " "); all != want {
		t.Errorf("handled %q, want %q", all, want)
	}
}

// The first key seals and every key opens; names and counts stay in clear; what
// does not open is dropped and counted.
func layerEncryption(t *testing.T, s *redistest.Server) {
	older, newer := bytes.Repeat([]byte("o"), 32), bytes.Repeat([]byte("n"), 32)
	with := func(keys ...[]byte) config { return config{groups: groups.Options{Keys: keys}} }
	old, both, fresh := newNode(t, s, with(older)), newNode(t, s, with(newer, older)), newNode(t, s, with(newer))
	clear := newNode(t, s, config{})
	raw := redistest.Subscribe(t, clear.Client, clear.Store().Room("lobby"))
	const secret = "attack at dawn"
	ch := old.Open(t)
	if _, _, err := old.Add(t.Context(), "lobby", ch.Name(), presence.Member{User: "ana", Info: []byte(secret)}); err != nil {
		t.Fatal(err)
	}
	receivers := map[*node]*groups.Channel{old: ch}
	for _, n := range []*node{both, fresh, clear} {
		receivers[n] = n.Enter(t, "lobby", "ben")
	}
	for sender, reached := range map[*node][]*node{old: {old, both}, both: {both, fresh}, fresh: {both, fresh}, clear: {clear}} {
		if err := sender.Layer.GroupSend(t.Context(), "lobby", groups.Message{Type: "order", Payload: []byte(secret)}); err != nil {
			t.Fatal(err)
		}
		for _, n := range reached {
			if m, err := receivers[n].Receive(t.Context()); err != nil || m.Type != "order" || string(m.Payload) != secret {
				t.Errorf("received %+v, %v", m, err)
			}
		}
	}
	for n, want := range map[*node]uint64{old: 3, both: 1, fresh: 2, clear: 3} {
		redistest.Eventually(t, patience, func() error {
			if got := n.Layer.Stats().Unopened; got != want {
				return fmt.Errorf("%d dropped, want %d", got, want)
			}
			return nil
		})
		if m, ok := receivers[n].TryReceive(); ok {
			t.Errorf("received %+v", m)
		}
	}
	// The info is sealed in Redis and in the event; the names are not.
	stored, err := clear.Client.HGet(t.Context(), clear.Store().Room("lobby"), ch.Name()).Result()
	if err != nil || strings.Contains(stored, secret) || !strings.Contains(stored, "ana") {
		t.Errorf("stored %q, %v", stored, err)
	}
	sealed := 0
	for range 8 { // four changes and four messages
		select {
		case m := <-raw:
			if !strings.Contains(m.Payload, secret) {
				sealed++
			}
		case <-time.After(patience):
			t.Fatal("a frame is missing")
		}
	}
	if sealed != 7 {
		t.Errorf("%d of 8 frames hide the secret, want all but the clear one", sealed)
	}
	for n, want := range map[*node]string{old: secret, both: secret, fresh: "", clear: ""} {
		snapshot, err := n.Snapshot(t.Context(), "lobby")
		if err != nil || snapshot.Counts.Presences != 4 || snapshot.Counts.Users != 2 {
			t.Fatalf("%+v, %v", snapshot.Counts, err)
		}
		for _, p := range snapshot.Presences {
			if p.Channel == ch.Name() && (string(p.Info) != want || p.Unopened != (want == "")) {
				t.Errorf("%+v, want info %q", p, want)
			}
		}
	}
}

// Flush deletes what is under its prefix, and nothing under a longer one.
func layerFlush(t *testing.T, s *redistest.Server) {
	short := newNode(t, s, config{groups: groups.Options{Prefix: "app"}})
	long := newNode(t, s, config{groups: groups.Options{Prefix: "app:test"}})
	short.Enter(t, "lobby", "ana")
	long.Enter(t, "lobby", "ben")
	before := keys(t, long.Client, "app:test:*")
	if err := short.Store().Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := keys(t, short.Client, "app:{*"); len(left) != 0 {
		t.Errorf("left %q", left)
	}
	if after := keys(t, long.Client, "app:test:*"); !slices.Equal(after, before) || len(before) == 0 {
		t.Errorf("keys of another prefix %q, before %q", after, before)
	}
}
