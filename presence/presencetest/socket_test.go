package presencetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/presencetest"
)

const grace = 5 * time.Second

// page is a page of an application, with its socket.
type page struct {
	*presencetest.Socket[websocket.MessageType, websocket.StatusCode]
	channel *groups.Channel
	ended   chan error
}

// open has a node serve a page: what it says goes to all in the lobby.
func open(t *testing.T, n *presencetest.Node, user string) *page {
	t.Helper()
	ch, err := n.Layer.NewChannel()
	if err != nil {
		t.Fatal(err)
	}
	p := &page{presencetest.NewSocket[websocket.MessageType, websocket.StatusCode](), ch, make(chan error, 1)}
	n.Go(func(ctx context.Context) {
		p.ended <- heartbeat.Serve(ctx, p, n.Tracker, ch, heartbeat.Handler[websocket.MessageType]{
			Connect: func(ctx context.Context) error {
				_, _, err := n.Tracker.Add(ctx, "lobby", ch.Name(), member(user))
				return err
			},
			Receive: func(ctx context.Context, _ websocket.MessageType, data []byte) error {
				return n.Layer.GroupSend(ctx, "lobby", groups.Message{Type: "say", Payload: data})
			},
		}, &heartbeat.Options{Grace: grace})
	})
	return p
}

func TestASocketUnderServe(t *testing.T) {
	presencetest.Run(t, 2, nil, func(t *testing.T, fleet *presencetest.Fleet) {
		ann, bob := open(t, fleet.Node(0), "ann"), open(t, fleet.Node(1), "bob")
		fleet.AwaitUsers("lobby", "ann", "bob")
		ann.Say("hello")
		fleet.Advance(time.Second)
		for i := range 2 {
			if got := fmt.Sprintf("%s", bob.Received()); got != []string{"[hello]", "[]"}[i] {
				t.Errorf("bob received %s", got)
			}
		}
		fleet.Throughout(3*time.Minute, func() error { return has(fleet, "ann", "bob") }) // pings are answered
		fleet.Node(0).Deploy(time.Minute)
		if code := ann.CloseCode(); code != websocket.StatusGoingAway {
			t.Errorf("closed with %d", code)
		}
		if code := bob.CloseCode(); code != 0 {
			t.Errorf("closed with %d", code)
		}
		ann.Say("nobody hears it")
		ann.Leave(websocket.StatusNormalClosure) // too late
		if err := ann.Write(t.Context(), websocket.MessageText, nil); err == nil || ann.CloseCode() != websocket.StatusGoingAway {
			t.Errorf("it is open: %v, %d", err, ann.CloseCode())
		}
	})
}

func TestHowASocketEnds(t *testing.T) {
	for _, row := range []struct {
		name string
		end  func(p *page)
		code websocket.StatusCode
		want error
		stay time.Duration
	}{
		{"reload", func(p *page) { p.Leave(websocket.StatusGoingAway) }, 1001, nil, grace},
		{"own code", func(p *page) { p.Leave(4000) }, 4000, heartbeat.ErrConn, grace},
		{"broken", func(p *page) { p.Leave(websocket.StatusAbnormalClosure) }, 1006, heartbeat.ErrConn, grace},
		{"silent", func(p *page) { p.Silence() }, 1006, heartbeat.ErrDeadPeer, grace},
		{"sent away", func(p *page) { p.channel.CloseWith(groups.CloseError{Code: 4001}) }, 4001, heartbeat.ErrChannel, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			presencetest.Run(t, 1, nil, func(t *testing.T, fleet *presencetest.Fleet) {
				p := open(t, fleet.Node(0), "ann")
				fleet.AwaitUsers("lobby", "ann")
				row.end(p)
				if err := <-p.ended; !errors.Is(err, row.want) || p.CloseCode() != row.code {
					t.Errorf("%v, closed with %d", err, p.CloseCode())
				}
				if row.stay > 0 {
					fleet.Throughout(row.stay-time.Second, func() error { return has(fleet, "ann") })
					fleet.Advance(10 * time.Second) // a sweep
				}
				if err := has(fleet); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A Conn whose channel is closed leaves as heartbeat.Serve has it leave.
func TestAConnLeavesWithItsChannel(t *testing.T) {
	presencetest.Run(t, 1, nil, func(t *testing.T, fleet *presencetest.Fleet) {
		n := fleet.Node(0)
		ann, bob, carl := n.Connect(member("ann"), "lobby"), n.Connect(member("bob"), "lobby"), n.Connect(member("carl"), "lobby")
		w, err := n.Tracker.Watch(t.Context(), "lobby", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		bob.Silence()
		ann.CloseWith(groups.CloseError{Code: 4001})
		bob.CloseWith(groups.CloseError{Code: 4001})
		fleet.Advance(0)
		if err := has(fleet, "carl"); err != nil {
			t.Error(err)
		}
		d, err := w.Next(t.Context())
		if err != nil || len(d.Removed) != 2 || d.Removed[0].Reason != presence.Disconnected {
			t.Errorf("%+v, %v", d, err)
		}
		ann.Disconnect(0) // does nothing
		carl.Disconnect(time.Minute)
		fleet.Throughout(50*time.Second, func() error { return has(fleet, "carl") })
	})
}
