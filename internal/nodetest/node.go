package nodetest

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

// patience is how long a node may take to close: long, as machines are busy.
const patience = 30 * time.Second

// Options are what a test wants of a node. The zero value is a plain one.
type Options struct {
	Groups   *groups.Options   // nil: the defaults
	Presence *presence.Options // nil: the defaults

	// MayFail says that the tracker may fail to close in good order, as Redis is away
	// by then: that is logged, and no failure of the test.
	MayFail bool
}

// Node is one process of a fleet.
type Node struct {
	*presence.Tracker
	Layer *groups.Layer

	mayFail bool
}

// Start starts a node, which ends with the test.
func Start(t testing.TB, client redis.UniversalClient, o Options) *Node {
	t.Helper()
	layer, err := groups.New(t.Context(), client, o.Groups)
	if err != nil {
		t.Fatal(err)
	}
	tracker, err := presence.New(t.Context(), layer, o.Presence)
	if err != nil {
		_ = layer.Close(context.Background())
		t.Fatal(err)
	}
	n := &Node{Tracker: tracker, Layer: layer, mayFail: o.MayFail}
	t.Cleanup(func() { n.End(t) })
	return n
}

// End closes the tracker and the layer. To end a node again does nothing.
func (n *Node) End(t testing.TB) {
	t.Helper()
	report := t.Error
	if n.mayFail {
		report = t.Log
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Tracker.Close(ctx); err != nil {
		report("close tracker:", err)
	}
	if err := n.Layer.Close(ctx); err != nil {
		t.Error("close layer:", err)
	}
}
