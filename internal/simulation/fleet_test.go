package simulation_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

func TestMain(m *testing.M) { redistest.Main(m) }

const (
	nodes  = 5
	lease  = 10 * time.Second
	maxAge = 60 * time.Second
	grace  = 8 * time.Second
	sweep  = 10 * time.Second // half the work of the default
)

var rooms = []string{"lobby", "garden", "cellar", sessions}

// sessions is a room in which each user is to have one connection, the newest.
const sessions = "sessions"

// fleet is five nodes, the people who are connected to them, and the truth about
// who is.
type fleet struct {
	t       *testing.T
	s       *redistest.Server
	seed    uint64
	rand    *rand.Rand // the schedule's alone
	nodes   [nodes]*node
	people  []*person // who are connected, or about to be
	ended   sync.WaitGroup
	began   time.Time
	journal journal
	wrong   int
	truth   truth
	skew    time.Duration   // of Redis's clock
	damaged bool            // what was evicted is to be mended
	rolled  bool            // nodes must have asserted all again
	lossy   map[string]bool // nodes whose index was evicted: should they crash soon, nothing tells what they held
	crashed time.Time       // the last time that a node did
}

// node is one process, until it crashes or is shut down.
type node struct {
	fleet   *fleet
	name    string
	link    *redistest.Link
	layer   *groups.Layer
	tracker *presence.Tracker
	ctx     context.Context // of the process
	stop    context.CancelFunc
	work    sync.WaitGroup

	mu     sync.Mutex
	faulty time.Time // since when its link is at fault; zero if it is not
	healed time.Time // when it last was no more
}

func newFleet(t *testing.T, s *redistest.Server, seed uint64) *fleet {
	f := &fleet{t: t, s: s, seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), began: time.Now(), lossy: make(map[string]bool)}
	f.skew = f.upTo(2*time.Hour) - time.Hour // all nodes' clocks are wrong by so much
	f.s.SkewClock(f.skew)
	f.truth.f = f
	f.truth.of = make(map[seat]*presenceTruth)
	for i := range f.nodes {
		f.nodes[i] = f.start(i)
	}
	return f
}

// start has the i-th node run as a new process.
func (f *fleet) start(i int) *node {
	f.s.Thaw() // nobody could start while Redis is away
	f.s.Start()
	n := &node{fleet: f, name: fmt.Sprint("n", i), link: f.s.NewLink(f.t)}
	n.ctx, n.stop = context.WithCancel(context.Background())
	client := n.link.NewClient(f.t, func(o *redis.UniversalOptions) { o.ContextTimeoutEnabled = true })
	var err error
	f.insist("start "+n.name, func(ctx context.Context) error {
		n.layer, err = groups.New(ctx, client, nil)
		return err
	})
	f.insist("track "+n.name, func(ctx context.Context) error {
		n.tracker, err = presence.New(ctx, n.layer, &presence.Options{
			MaxAge: maxAge, Lease: lease,
			OnChange: func(_ context.Context, _ *presence.Tracker, c presence.Change) { f.truth.told(c) },
			OnEvict:  func(_ context.Context, _ *presence.Tracker, e presence.Eviction) { f.truth.evicted(e) },
		})
		return err
	})
	f.log("%s is %s", n.name, n.layer.NodeID())
	pruner, err := prune.New(n.tracker, &prune.Options{Interval: sweep})
	if err != nil {
		f.t.Fatal(err)
	}
	n.work.Go(func() { _ = pruner.Run(n.ctx) }) // its only error is the context's
	for _, room := range rooms {
		n.work.Go(func() { n.follow(room) })
	}
	return n
}

// insist tries until it works: Redis may be away when a node starts.
func (f *fleet) insist(what string, do func(ctx context.Context) error) {
	for try := 0; ; try++ {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := do(ctx)
		cancel()
		if err == nil {
			return
		}
		if try == 100 {
			f.fail("%s: %v", what, err)
		}
		time.Sleep(time.Second)
	}
}

// crash ends a node as kill -9 does: nothing that it says arrives any more.
func (n *node) crash() {
	n.link.Cut()
	n.fleet.truth.crashed(n)
	n.fleet.damaged = n.fleet.damaged || n.fleet.lossy[n.layer.NodeID()]
	n.fleet.crashed = time.Now()
	n.end(0)
}

// deploy ends a node in good order.
func (n *node) deploy() {
	n.fleet.truth.drained(n)
	n.end(grace)
}

func (n *node) end(grace time.Duration) {
	n.stop()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var err error
	if grace > 0 {
		err = n.tracker.Drain(ctx, grace)
	} else {
		err = n.tracker.Close(ctx)
	}
	_ = n.layer.Close(ctx)
	n.fleet.log("%s ended: %v", n.name, err)
	n.work.Wait()
}

// alive returns a node by chance.
func (f *fleet) any() *node { return f.nodes[f.rand.IntN(nodes)] }

// fault marks the node's network as at fault, and heal as mended.
func (n *node) fault() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.faulty.IsZero() {
		n.faulty = time.Now()
	}
}

func (n *node) heal() {
	n.link.Heal()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.faulty.IsZero() {
		n.faulty, n.healed = time.Time{}, time.Now()
	}
}

// excused tells whether others may rightly take this node for lost: it could not
// sign its lease for so long that it may have lapsed, or has only just come back.
func (n *node) excused() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	return !n.faulty.IsZero() && now.Sub(n.faulty) > lease/2 || !n.healed.IsZero() && now.Sub(n.healed) < 3*lease
}
