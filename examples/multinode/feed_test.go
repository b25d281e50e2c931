//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// newTestNode is a node without its web server.
func newTestNode(t *testing.T, s *redistest.Server) *node {
	t.Helper()
	n := &node{
		config:     nodeConfig{Number: 1, MaxAge: time.Minute},
		client:     s.NewClient(t),
		log:        zap.NewNop(),
		supervisor: &reports{out: io.Discard},
	}
	if err := n.join(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(n.tracker.Close(context.Background()), n.layer.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return n
}

func (n *node) add(t *testing.T, room, user string) (channel string) {
	t.Helper()
	c, err := n.layer.NewChannel()
	if err == nil {
		_, _, err = n.tracker.Add(t.Context(), room, c.Name(), presence.Member{User: user})
	}
	if err != nil {
		t.Fatal(err)
	}
	return c.Name()
}

func (n *node) watch(t *testing.T, room string) *presence.Watcher {
	t.Helper()
	w, err := n.tracker.Watch(t.Context(), room, &presence.WatchOptions{MinInterval: viewInterval})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// startFeed feeds a client whose socket is take, and returns when it has taken
// the snapshot.
func startFeed(t *testing.T, w *presence.Watcher, take func(roomDiff)) *roster {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, ready, done := &roster{t: t}, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = feed(ctx, w, "me", func(typ string, payload any) error {
			switch p := payload.(type) {
			case roomSnapshot:
				r.begin(p)
				close(ready)
			case roomDiff:
				take(p)
				r.apply(p)
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		w.Close()
	})
	<-ready
	return r
}

// Diffs begin where the snapshot ends, however late that is written.
func TestSnapshotAndDiffsFit(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newTestNode(t, s)
		goes := n.add(t, "hall", "ada")
		w := n.watch(t, "hall")
		n.add(t, "hall", "leo")
		if _, err := n.tracker.Remove(t.Context(), "hall", goes); err != nil {
			t.Fatal(err)
		}
		redistest.Advance(t, time.Second)
		r := startFeed(t, w, func(roomDiff) {})
		redistest.Advance(t, time.Second)
		if got := slices.Sorted(maps.Keys(r.users)); !slices.Equal(got, []string{"leo"}) {
			t.Errorf("there are %q", got)
		}
	})
}

func TestAStormCostsFewDiffs(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newTestNode(t, s)
		diffs := 0
		r := startFeed(t, n.watch(t, "hall"), func(roomDiff) { diffs++ })
		const storm, visitors = time.Second, 500
		for i := range visitors {
			n.add(t, "hall", fmt.Sprint("v", i))
			redistest.Advance(t, storm/visitors)
		}
		redistest.Advance(t, viewInterval)
		if most := int(storm/viewInterval) + 2; diffs > most {
			t.Errorf("%d diffs in %v, more than %d", diffs, storm, most)
		}
		if len(r.presences) != visitors {
			t.Errorf("%d of %d have come", len(r.presences), visitors)
		}
	})
}

// What happens while a socket takes nothing is one diff, of what is left of it.
func TestASlowSocketGetsTheNetEffect(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newTestNode(t, s)
		n.add(t, "hall", "ada")
		unstuck := make(chan struct{})
		var diffs []roomDiff
		r := startFeed(t, n.watch(t, "hall"), func(d roomDiff) {
			diffs = append(diffs, d)
			<-unstuck
		})
		n.add(t, "hall", "first") // with which it gets stuck
		redistest.Advance(t, time.Second)
		for i := range 300 {
			channel := n.add(t, "hall", fmt.Sprint("v", i))
			if i == 7 {
				continue
			}
			if _, err := n.tracker.Remove(t.Context(), "hall", channel); err != nil {
				t.Fatal(err)
			}
		}
		redistest.Advance(t, time.Hour)
		close(unstuck)
		redistest.Advance(t, time.Second)
		if len(diffs) != 2 || len(diffs[1].Added) != 1 || *diffs[1].Added[0].User != "v7" || len(diffs[1].Removed) != 0 {
			t.Errorf("got %d diffs, the last %+v", len(diffs), diffs[len(diffs)-1])
		}
		if len(r.presences) != 3 {
			t.Errorf("left: %v", r.presences)
		}
	})
}

func TestTypingEndsBySilence(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		told := make(chan bool, 10)
		var down atomic.Bool
		typist := newTypist(func(_ context.Context, typing bool) error {
			if down.Load() {
				return presence.ErrUnavailable
			}
			told <- typing
			return nil
		})
		go typist.run(t.Context())
		check := func(what string, want ...bool) {
			t.Helper()
			redistest.Advance(t, time.Millisecond)
			var got []bool
			for len(told) > 0 {
				got = append(got, <-told)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: told %v, want %v", what, got, want)
			}
		}
		typist.hear(false)
		check("nothing typed")
		for range 3 {
			typist.hear(true)
			redistest.Advance(t, typingTime/2)
		}
		check("keys", true)
		redistest.Advance(t, typingTime)
		check("silence", false)
		typist.hear(true)
		check("keys again", true)
		typist.hear(false)
		check("sent", false)

		// What may be in effect though it has failed is taken back.
		down.Store(true)
		typist.hear(true)
		redistest.Advance(t, time.Minute)
		check("Redis away")
		down.Store(false)
		redistest.Advance(t, typingTime)
		check("Redis back", false)
		redistest.Advance(t, time.Minute)
		check("told already")
	})
}

func TestALineEndsTyping(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		told := make(chan bool, 10)
		v := &visitor{node: newTestNode(t, s), room: "hall", typist: newTypist(func(_ context.Context, typing bool) error {
			told <- typing
			return nil
		})}
		go v.typist.run(t.Context())
		for _, each := range []struct {
			text string
			want bool
		}{{typingOn, true}, {"hello", false}, {typingOn, true}, {typingOff, false}} {
			if err := v.receive(t.Context(), websocket.MessageText, []byte(each.text)); err != nil {
				t.Fatal(err)
			}
			redistest.Advance(t, time.Millisecond)
			if len(told) != 1 || <-told != each.want {
				t.Errorf("%s: not told once that it is %t", each.text, each.want)
			}
		}
	})
}

func TestTypingMessage(t *testing.T) {
	for text, want := range map[string]string{
		`{"type":"typing","payload":true}`:         "true true",
		` { "type": "typing", "payload": false } `: "false true",
		`{"type":"typing","payload":"yes"}`:        "false false",
		`{"type":"typing"}`:                        "false false",
		`{"type":"message","payload":true}`:        "false false",
		`typing`:                                   "false false",
		``:                                         "false false",
	} {
		typing, ok := typingMessage([]byte(text))
		if got := fmt.Sprint(typing, ok); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
