package presencetest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/presencetest"
)

// What an application does when somebody comes or goes: it tells the room how many
// are there.
func tellCounts(ctx context.Context, layer *groups.Layer, c presence.Change) {
	m, err := groups.NewJSON("counts", c.Counts.Users)
	if err == nil {
		_ = layer.GroupSend(ctx, c.Room, m) // delivered at most once
	}
}

// start has a node of the test run that.
func start(n *presencetest.Node) error {
	return n.Track(nil, &presence.Options{
		OnChange: func(ctx context.Context, _ *presence.Tracker, c presence.Change) { tellCounts(ctx, n.Layer, c) },
	})
}

// An application's own logic, tested on three nodes of which one crashes.
func Example() {
	var t *testing.T // that of your test
	presencetest.Run(t, 3, start, theRoomIsToldOfACrash)
}

func theRoomIsToldOfACrash(t *testing.T, fleet *presencetest.Fleet) {
	bob := fleet.Node(1).Connect(presence.Member{User: "bob"}, "lobby")
	fleet.Advance(time.Second) // until all is told
	fleet.Node(0).Connect(presence.Member{User: "ann"}, "lobby")
	fleet.Advance(time.Second)

	fleet.Node(0).Crash()
	fleet.AwaitUsers("lobby", "bob")

	var told []string
	for _, m := range bob.Messages() {
		told = append(told, string(m.Payload))
	}
	if fmt.Sprint(told) != "[1 2 1]" {
		t.Errorf("bob was told %v", told)
	}
}
