package groups

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/internal/seal"
)

func testKey(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func newSealed(t *testing.T, s *redistest.Server, keys ...[]byte) *Layer {
	t.Helper()
	l, err := New(t.Context(), s.NewClient(t), &Options{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

// enter opens a channel in a group.
func enter(t *testing.T, l *Layer, group string) *Channel {
	t.Helper()
	c, err := l.NewChannel()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.GroupAdd(t.Context(), group, c.Name()); err != nil {
		t.Fatal(err)
	}
	return c
}

// wiretap hears what a topic carries.
func wiretap(t *testing.T, s *redistest.Server, topic string) <-chan *redis.Message {
	t.Helper()
	return redistest.Subscribe(t, s.NewClient(t), topic)
}

func unopened(t *testing.T, l *Layer, want uint64) {
	t.Helper()
	redistest.Eventually(t, 30*time.Second, func() error {
		if got := l.Stats(); got.Unopened != want || got.Malformed != 0 {
			return fmt.Errorf("stats %+v, want %d unopened", got, want)
		}
		return nil
	})
}

func TestSealedOnTheBus(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := newSealed(t, s, testKey('a')), newSealed(t, s, testKey('a'))
		ca, cb := enter(t, a, "lobby"), enter(t, b, "lobby")
		secret := Message{Type: "a.secret.type", Payload: []byte("a secret payload")}
		for topic, send := range map[string]func() error{
			a.store.Room("lobby"):        func() error { return a.GroupSend(t.Context(), "lobby", secret) },
			a.store.Inbox(b.NodeID()):    func() error { return a.Send(t.Context(), cb.Name(), secret) },
			b.store.Inbox(a.opts.NodeID): func() error { return b.Send(t.Context(), ca.Name(), secret) },
		} {
			tap := wiretap(t, s, topic)
			if err := send(); err != nil {
				t.Fatal(err)
			}
			if frame := []byte((<-tap).Payload); frame[1] != kindSealed || bytes.Contains(frame, []byte("secret")) {
				t.Errorf("on %s: %q", topic, frame)
			}
		}
		for _, c := range []*Channel{ca, ca, cb, cb} {
			if m, err := c.Receive(t.Context()); err != nil || m.Type != secret.Type || !bytes.Equal(m.Payload, secret.Payload) {
				t.Errorf("received %+v, %v", m, err)
			}
		}
		// What nodes ask of each other is sealed as well.
		tap := wiretap(t, s, a.store.Inbox(b.NodeID()))
		if err := a.GroupAdd(t.Context(), "secret", cb.Name()); err != nil {
			t.Fatal(err)
		}
		if frame := []byte((<-tap).Payload); frame[1] != kindSealed || bytes.Contains(frame, []byte("secret")) {
			t.Errorf("request %q", frame)
		}
		unopened(t, a, 0)
		unopened(t, b, 0)
	})
}

func TestFramesThatDoNotOpen(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := newSealed(t, s, testKey('a')), newSealed(t, s, testKey('b'))
		clear := newSealed(t, s)
		members := map[*Layer]*Channel{}
		for _, l := range []*Layer{a, b, clear} {
			members[l] = enter(t, l, "lobby")
		}
		for from, own := range members {
			if err := from.GroupSend(t.Context(), "lobby", Message{Type: "hi", Payload: []byte(from.NodeID())}); err != nil {
				t.Fatal(err)
			}
			for to, c := range members {
				if to == from {
					continue
				}
				if err := from.Send(t.Context(), c.Name(), Message{Type: "hi"}); err != nil {
					t.Fatal(err)
				}
			}
			if m, err := own.Receive(t.Context()); err != nil || string(m.Payload) != from.NodeID() {
				t.Errorf("its own message: %+v, %v", m, err)
			}
		}
		for l, c := range members {
			unopened(t, l, 4) // by group and direct, of each of the others
			if m, ok := c.TryReceive(); ok {
				t.Errorf("received %+v", m)
			}
		}
	})
}

func TestReplayElsewhere(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a := newSealed(t, s, testKey('a'))
		lobby, other := enter(t, a, "lobby"), enter(t, a, "other")
		tap := wiretap(t, s, a.store.Room("lobby"))
		if err := a.GroupSend(t.Context(), "lobby", Message{Type: "hi"}); err != nil {
			t.Fatal(err)
		}
		if _, err := lobby.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		frame := []byte((<-tap).Payload)
		client := s.NewClient(t)
		publish := func(topic string, frame []byte) {
			t.Helper()
			if _, err := redistest.Publish(t.Context(), client, topic, string(frame)); err != nil {
				t.Fatal(err)
			}
		}
		publish(a.store.Room("other"), frame)
		unopened(t, a, 1)
		publish(a.store.Inbox(a.NodeID()), frame)
		unopened(t, a, 2)
		changed := slices.Clone(frame)
		changed[len(changed)-1] ^= 1
		publish(a.store.Room("lobby"), changed)
		unopened(t, a, 3)
		publish(a.store.Room("lobby"), frame[:10])
		unopened(t, a, 4)
		for _, c := range []*Channel{lobby, other} {
			if m, ok := c.TryReceive(); ok {
				t.Errorf("received %+v", m)
			}
		}
	})
}

func TestBadKeys(t *testing.T) {
	_, err := New(t.Context(), nil, &Options{Keys: [][]byte{testKey('a'), []byte("short")}})
	var invalid *InvalidError
	if !errors.As(err, &invalid) || invalid.Field != "Keys" {
		t.Errorf("%v, want an *InvalidError", err)
	}
}

// place is a hearer of a topic.
type place string

func (p place) topic() string { return string(p) }

func TestNoKeysCostNothing(t *testing.T) {
	frame, h := encodeMessage(Message{Type: "hi", Payload: []byte("x")}), hearer(&group{})
	allocs := testing.AllocsPerRun(100, func() {
		kind, _, err := openFrame(nil, h, sealFrame(nil, "topic", frame))
		if kind != kindMessage || err != nil {
			t.Fatal(kind, err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// FuzzFrames shows that a layer with keys takes no frame that was made without
// them, but for events, and that one without keys survives every frame.
func FuzzFrames(f *testing.F) {
	s, err := seal.New([][]byte{testKey('a'), testKey('b')})
	if err != nil {
		f.Fatal(err)
	}
	clear := encodeMessage(Message{Type: "hi", Payload: []byte("x")})
	f.Add(clear)
	f.Add(encodeDirect("1", Message{Type: "hi"}))
	f.Add(sealFrame(s, "there", clear))
	f.Add("\x01S")
	f.Add("\x01C1 0 1 1 1 0\n")
	f.Fuzz(func(t *testing.T, data string) {
		if kind, _, err := openFrame(s, place("here"), data); err == nil && kind != kindEvent {
			t.Errorf("%q passes as %q", data, kind)
		}
		kind, body, err := openFrame(nil, place("here"), data)
		if err != nil {
			return
		}
		_, _ = decodeMessage(body)
		_, _, _ = decodeDirect(body)
		if kind == kindEvent || kind == kindSealed {
			return
		}
		k, b, err := openFrame(s, place("here"), sealFrame(s, "here", data))
		if err != nil || k != kind || b != body {
			t.Errorf("%q came back as %q %q, %v", data, k, b, err)
		}
	})
}
