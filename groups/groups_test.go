package groups_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

func TestGroupAcrossNodes(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b, c := newLayer(t, s), newLayer(t, s), newLayer(t, s)
		other := beside(a, "lobby")
		a1, a2 := newChannel(t, a, "lobby", other), newChannel(t, a, "lobby")
		b1, b2 := newChannel(t, b, "lobby"), newChannel(t, b, other)

		groupSend(t, a, "lobby", "from a")
		groupSend(t, b, "lobby", "from b")
		groupSend(t, c, "lobby", "from c") // no member itself
		groupSend(t, c, other, "end")
		for _, m := range []*groups.Channel{a1, a2, b1} {
			receive(t, m, "from a", "from b", "from c")
		}
		receive(t, a1, "end")
		receive(t, b2, "end")

		if err := a.GroupDiscard(t.Context(), "lobby", a1.Name()); err != nil {
			t.Fatal(err)
		}
		groupSend(t, c, "lobby", "second")
		groupSend(t, c, other, "third")
		receive(t, a2, "second")
		receive(t, b1, "second")
		receive(t, a1, "third")
		receive(t, b2, "third")
	})
}

func TestAddTwiceDeliversOnce(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := newLayer(t, s, func(o *groups.Options) { o.Linger = time.Millisecond })
		mark := beside(l, "g")
		c := newChannel(t, l, "g", "g", mark)
		groupSend(t, l, "g", "once")
		groupSend(t, l, mark, "end")
		receive(t, c, "once", "end")

		// One discard undoes both, and another does nothing.
		for range 2 {
			if err := l.GroupDiscard(t.Context(), "g", c.Name()); err != nil {
				t.Fatal(err)
			}
		}
		subscribers(t, s, l.Store().Room("g"), 0)
		groupSend(t, l, "g", "never")
		groupSend(t, l, mark, "end")
		receive(t, c, "end")
	})
}

func TestSendAcrossNodes(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := newLayer(t, s), newLayer(t, s)
		ca, cb, other := newChannel(t, a), newChannel(t, b), newChannel(t, b)
		send(t, a, cb, "remote", "remote 2")
		send(t, b, cb, "local")
		send(t, b, ca, "back")
		send(t, a, other, "other")
		receive(t, other, "other")
		receive(t, ca, "back")
		got := map[string]bool{}
		for range 3 { // the local one does not go through Redis
			m, err := cb.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got[m.Type] = true
		}
		if len(got) != 3 {
			t.Fatal(got)
		}
	})
}

func TestLocalSendCopiesThePayload(t *testing.T) {
	l := newLayer(t, redistest.Mini(t))
	c := newChannel(t, l)
	m := text("kept")
	if err := l.Send(t.Context(), c.Name(), m); err != nil {
		t.Fatal(err)
	}
	clear(m.Payload) // the sender's buffer is the sender's again
	receive(t, c, "kept")
}

func TestMessagesOfOneSenderStayInOrder(t *testing.T) {
	const senders, each = 4, 300
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		wide := func(o *groups.Options) { o.Capacity = senders * each }
		a, b := newLayer(t, s, wide), newLayer(t, s, wide)
		ca, cb := newChannel(t, a, "g"), newChannel(t, b, "g")
		var wg sync.WaitGroup
		for i := range senders {
			wg.Go(func() {
				l := []*groups.Layer{a, b}[i%2]
				for n := range each {
					m, err := groups.NewJSON(fmt.Sprint(i), n)
					if err == nil {
						err = l.GroupSend(t.Context(), "g", m)
					}
					if err != nil {
						t.Errorf("sender %d, message %d: %v", i, n, err)
						return
					}
				}
			})
		}
		wg.Wait()
		for _, c := range []*groups.Channel{ca, cb} {
			next := map[string]int{}
			for range senders * each {
				m, err := c.Receive(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				var n int
				if err := m.Decode(&n); err != nil || n != next[m.Type] {
					t.Fatalf("sender %s: message %d, want %d, %v", m.Type, n, next[m.Type], err)
				}
				next[m.Type]++
			}
		}
	})
}

func TestMessageRoundTrip(t *testing.T) {
	l := newLayer(t, redistest.Mini(t), func(o *groups.Options) { o.MaxPayload = 1 << 20 })
	c := newChannel(t, l, "g")
	for _, m := range []groups.Message{
		{},
		{Type: "no payload"},
		{Payload: []byte{0, 255, '\r', '\n', 1}},
		{Type: strings.Repeat("t", 255), Payload: make([]byte, 1<<20)},
	} {
		if err := l.GroupSend(t.Context(), "g", m); err != nil {
			t.Fatal(err)
		}
		got, err := c.Receive(t.Context())
		if err != nil || got.Type != m.Type || string(got.Payload) != string(m.Payload) {
			t.Fatalf("type %q, %d bytes, %v", got.Type, len(got.Payload), err)
		}
	}
	if _, err := groups.NewJSON("bad", make(chan int)); err == nil {
		t.Fatal("a channel is no JSON")
	}
}

func TestPrefixesAreApart(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a := newLayer(t, s)
		b := newLayer(t, s, func(o *groups.Options) { o.Prefix = "another" })
		ca, cb := newChannel(t, a, "g"), newChannel(t, b, "g")
		groupSend(t, a, "g", "of a")
		groupSend(t, b, "g", "of b")
		receive(t, cb, "of b")
		receive(t, ca, "of a")
		wantErr(t, "send to another prefix", a.Send(t.Context(), cb.Name(), text("x")), groups.ErrUnknownChannel)
	})
}

func TestClosedLayer(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		ctx := t.Context()
		l, other := newLayer(t, s), newLayer(t, s)
		c := newChannel(t, l, "g")
		send(t, l, c, "left")
		for range 2 {
			if err := l.Close(ctx); err != nil {
				t.Fatal(err)
			}
		}
		receive(t, c, "left")
		_, err := c.Receive(ctx)
		wantErr(t, "receive", err, groups.ErrClosed)
		_, err = l.NewChannel()
		wantErr(t, "new channel", err, groups.ErrClosed)
		_, err = l.Listen("g", &listener{})
		wantErr(t, "listen", err, groups.ErrClosed)
		wantErr(t, "add", l.GroupAdd(ctx, "g", c.Name()), groups.ErrClosed)
		wantErr(t, "discard", l.GroupDiscard(ctx, "g", c.Name()), groups.ErrClosed)
		wantErr(t, "group send", l.GroupSend(ctx, "g", text("x")), groups.ErrClosed)
		wantErr(t, "send to its own", l.Send(ctx, c.Name(), text("x")), groups.ErrClosed)
		wantErr(t, "send away", l.Send(ctx, newChannel(t, other).Name(), text("x")), groups.ErrClosed)
		subscribers(t, s, l.Store().Room("g"), 0)
	})
}

// Two add a channel to a group at once, and one of them gives up before Redis answers:
// the other has added it all the same.
func TestGroupAddBesideOneThatGivesUp(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		l := newLayer(t, s)
		c := newChannel(t, l)
		s.Freeze()
		added := make(chan error, 2)
		add := func(patience time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			added <- l.GroupAdd(ctx, "g", c.Name())
		}
		go add(100 * time.Millisecond)
		redistest.Advance(t, time.Millisecond)
		go add(10 * time.Second)
		wantErr(t, "the first", <-added, context.DeadlineExceeded)
		s.Thaw()
		wantErr(t, "the second", <-added, nil)
		groupSend(t, l, "g", "hi")
		receive(t, c, "hi")
	})
}
