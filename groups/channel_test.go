package groups_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

func TestChannelNames(t *testing.T) {
	l := newLayer(t, redistest.Mini(t), func(o *groups.Options) { o.NodeID = "node-7" })
	seen := map[string]bool{}
	for range 100 {
		c := newChannel(t, l)
		name := c.Name()
		if !strings.HasPrefix(name, "node-7!") || seen[name] {
			t.Fatalf("name %q", name)
		}
		seen[name] = true
		node, short, ok := groups.SplitChannel(name)
		if node != "node-7" || short == "" || !ok {
			t.Fatalf("split %q: %q, %q, %v", name, node, short, ok)
		}
		if got, ok := l.Channel(name); got != c || !ok {
			t.Fatalf("channel %q not found", name)
		}
	}
	for _, name := range []string{"", "!", "node-7", "node-7!", "!1", "node-7!zz", "other!1"} {
		if _, ok := l.Channel(name); ok {
			t.Errorf("channel %q found", name)
		}
	}
}

func TestNodeIDsDiffer(t *testing.T) {
	s := redistest.Mini(t)
	a, b := newLayer(t, s), newLayer(t, s)
	if a.NodeID() == b.NodeID() || len(a.NodeID()) != 16 {
		t.Fatalf("%q, %q", a.NodeID(), b.NodeID())
	}
}

func TestOverflow(t *testing.T) {
	for _, test := range []struct {
		name    string
		policy  groups.Overflow
		keeps   []string
		cause   error
		counted uint64
	}{
		{"DropNewest", groups.DropNewest, []string{"1", "2"}, nil, 3},
		{"DropOldest", groups.DropOldest, []string{"4", "5"}, nil, 3},
		{"CloseChannel", groups.CloseChannel, []string{"1", "2"}, groups.ErrChannelFull, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				l := newLayer(t, s, func(o *groups.Options) { o.Capacity, o.Overflow = 2, test.policy })
				full := newChannel(t, l, "g")
				sibling := newChannel(t, l, "g")
				for _, typ := range []string{"1", "2", "3", "4", "5"} {
					groupSend(t, l, "g", typ)
					receive(t, sibling, typ)
				}
				if got := l.Stats().Overflowed; got != test.counted {
					t.Errorf("%d counted, want %d", got, test.counted)
				}
				receive(t, full, test.keeps...)
				if _, ok := full.TryReceive(); ok {
					t.Error("more than its capacity")
				}
				if err := full.Err(); !errors.Is(err, test.cause) {
					t.Errorf("cause %v, want %v", err, test.cause)
				}
				if test.cause == nil {
					groupSend(t, l, "g", "room again")
					receive(t, full, "room again")
					return
				}
				_, err := full.Receive(t.Context())
				wantErr(t, "receive", err, test.cause)
			})
		})
	}
}

func TestLocalSendTellsOfAFullMailbox(t *testing.T) {
	for _, policy := range []groups.Overflow{groups.DropNewest, groups.DropOldest, groups.CloseChannel} {
		t.Run(fmt.Sprint(int(policy)), func(t *testing.T) {
			l := newLayer(t, redistest.Mini(t), func(o *groups.Options) { o.Capacity, o.Overflow = 1, policy })
			c := newChannel(t, l)
			send(t, l, c, "1")
			wantErr(t, "send", l.Send(t.Context(), c.Name(), text("2")), groups.ErrChannelFull)
			if policy != groups.CloseChannel {
				return
			}
			// Closed at once: what comes later must not follow a hole.
			wantErr(t, "cause", c.Err(), groups.ErrChannelFull)
			receive(t, c, "1")
			wantErr(t, "send", l.Send(t.Context(), c.Name(), text("3")), groups.ErrUnknownChannel)
			if m, ok := c.TryReceive(); ok {
				t.Fatalf("%s after the channel was closed", m.Type)
			}
		})
	}
}

func TestFullMailboxOfAnotherNode(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := newLayer(t, s), newLayer(t, s, func(o *groups.Options) { o.Capacity = 1 })
		c, mark := newChannel(t, b), newChannel(t, b)
		send(t, a, c, "1", "2") // that it was full is not told across nodes
		send(t, a, mark, "end")
		receive(t, mark, "end")
		receive(t, c, "1")
		if got := b.Stats(); got.Overflowed != 1 || a.Stats().Overflowed != 0 {
			t.Fatalf("%+v", got)
		}
	})
}

func TestReceive(t *testing.T) {
	l := newLayer(t, redistest.Mini(t))
	c := newChannel(t, l)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Receive(ctx)
	wantErr(t, "receive", err, context.Canceled)

	send(t, l, c, "1", "2")
	cause := errors.New("kicked")
	c.CloseWith(cause)
	c.CloseWith(errors.New("too late"))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Done():
	default:
		t.Fatal("not done")
	}
	wantErr(t, "cause", c.Err(), cause)
	receive(t, c, "1", "2")
	for range 2 {
		_, err = c.Receive(t.Context())
		wantErr(t, "receive", err, cause)
	}
}

// One token wakes one receiver, which wakes the next.
func TestReceiversThatShareAMailbox(t *testing.T) {
	const receivers = 4
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		l := newLayer(t, s)
		c := newChannel(t, l)
		for range 500 {
			got := make(chan error, receivers)
			for range receivers {
				go func() {
					_, err := c.Receive(t.Context())
					got <- err
				}()
			}
			for range receivers { // while they look into the empty mailbox
				send(t, l, c, "x")
			}
			synctest.Wait()
			if len(got) != receivers {
				c.Close() // let them go
				t.Fatalf("%d of %d received", len(got), receivers)
			}
		}
	})
}

func TestReceiveWakesWhenClosed(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		l := newLayer(t, s)
		c := newChannel(t, l)
		got := make(chan error, 1)
		go func() {
			_, err := c.Receive(context.Background())
			got <- err
		}()
		redistest.Advance(t, time.Second)
		select {
		case err := <-got:
			t.Fatalf("returned %v", err)
		default:
		}
		c.Close()
		wantErr(t, "receive", <-got, groups.ErrChannelClosed)
	})
}

func TestClosedChannelLeavesItsGroups(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := newLayer(t, s, func(o *groups.Options) { o.Linger = 20 * time.Millisecond })
		other := newLayer(t, s)
		c, stays := newChannel(t, l, "g", "h"), newChannel(t, l, "h")
		subscribers(t, s, l.Store().Room("g"), 1)
		c.Close()
		wantErr(t, "add", l.GroupAdd(t.Context(), "g", c.Name()), groups.ErrUnknownChannel)
		if _, ok := l.Channel(c.Name()); ok {
			t.Fatal("still there")
		}
		wantErr(t, "local send", l.Send(t.Context(), c.Name(), text("x")), groups.ErrUnknownChannel)
		send(t, other, c, "x") // its node lives, which is all that can be told
		groupSend(t, other, "h", "end")
		receive(t, stays, "end")
		if m, ok := c.TryReceive(); ok {
			t.Fatalf("%s for a closed channel", m.Type)
		}
		if got := l.Stats(); got.UnknownChannel != 1 {
			t.Fatalf("%+v", got)
		}
		subscribers(t, s, l.Store().Room("g"), 0)
		subscribers(t, s, l.Store().Room("h"), 1)
	})
}
