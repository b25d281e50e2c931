package presencetest

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// Node stands for one process of the fleet, until it crashes or is stopped.
type Node struct {
	Client  redis.UniversalClient // over the node's own network link
	Layer   *groups.Layer
	Tracker *presence.Tracker

	fleet *Fleet
	index int
	link  *redistest.Link
	ctx   context.Context
	stop  context.CancelFunc
	work  sync.WaitGroup
	over  bool
}

const closing = 5 * time.Second

func (f *Fleet) newNode(i int) *Node {
	f.t.Helper()
	n := &Node{fleet: f, index: i, link: f.server.NewLink(f.t)}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.Client = n.link.NewClient(f.t, func(o *redis.UniversalOptions) { o.ContextTimeoutEnabled = true })
	if err := f.start(n); err != nil {
		n.stop()
		n.finish()
		f.t.Fatalf("start node %d: %v", i, err)
	}
	return n
}

// Track makes the node's Layer and Tracker, and runs a pruner. nil options mean
// defaults.
func (n *Node) Track(layer *groups.Options, tracker *presence.Options) (err error) {
	if n.Layer, err = groups.New(n.ctx, n.Client, layer); err != nil {
		return err
	}
	if n.Tracker, err = presence.New(n.ctx, n.Layer, tracker); err != nil {
		return err
	}
	pruner, err := prune.New(n.Tracker, nil)
	if err != nil {
		return err
	}
	n.Go(func(ctx context.Context) { _ = pruner.Run(ctx) }) // the only error is the context's
	return nil
}

// Context returns a context that ends with the node.
func (n *Node) Context() context.Context { return n.ctx }

// Go runs a part of the node in the background. Its context ends with the node, which
// waits for f.
func (n *Node) Go(f func(ctx context.Context)) { n.work.Go(func() { f(n.ctx) }) }

// Crash ends the node as kill -9 does: nothing that it sends arrives any more.
func (n *Node) Crash() {
	if n.over {
		return
	}
	n.over = true
	n.link.Cut()
	n.stop()
	n.fleet.ended.Go(n.finish) // in the background: a crash takes no time
}

// Stop shuts the node down in an orderly way: its presences are removed.
func (n *Node) Stop() {
	n.fleet.t.Helper()
	n.shut(0)
}

// Deploy ends the node as a deployment does: its presences stay for a grace.
func (n *Node) Deploy(grace time.Duration) {
	n.fleet.t.Helper()
	n.shut(grace)
}

// Restart crashes the node if it is still running, starts a new one in its place, and
// returns that.
func (n *Node) Restart() *Node {
	n.fleet.t.Helper()
	n.Crash()
	started := n.fleet.newNode(n.index)
	n.fleet.nodes[n.index] = started
	return started
}

// Freeze holds back everything that the node sends and is sent until Heal, upon which
// it arrives late. To the others the process looks frozen.
func (n *Node) Freeze() { n.link.Freeze(redistest.Both) }

// Partition drops everything that the node sends and is sent, until Heal.
func (n *Node) Partition() { n.link.Swallow(redistest.Both) }

// Heal ends Freeze and Partition.
func (n *Node) Heal() {
	if !n.over {
		n.link.Heal()
	}
}

func (n *Node) shut(grace time.Duration) {
	n.fleet.t.Helper()
	if n.over {
		return
	}
	n.over = true
	if grace > 0 {
		ctx, cancel := context.WithTimeout(context.Background(), closing)
		defer cancel()
		if err := n.Tracker.Drain(ctx, grace); err != nil {
			n.fleet.t.Errorf("drain node %d: %v", n.index, err)
		}
	}
	n.stop()
	n.finish()
}

// finish ends everything that the node runs.
func (n *Node) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	if n.Tracker != nil {
		_ = n.Tracker.Close(ctx) // nothing can be done for a crashed node
	}
	if n.Layer != nil {
		_ = n.Layer.Close(ctx)
	}
	n.work.Wait()
}
