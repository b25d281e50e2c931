package presence

import (
	"context"
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/outagelog"
	"github.com/rollcall-go/rollcall/luascripts"
)

// Tracker keeps the presences of one node's channels. It is safe for concurrent use;
// operations on one channel run one after the other. Whoever makes a Tracker closes it,
// before the layer.
type Tracker struct {
	*Reader
	layer   *groups.Layer
	opts    Options
	log     *zap.Logger
	writers []*writer // by shard
	outages *outagelog.Log[int]
	changes *dispatcher
	ledger  ledger
	rooms   localRooms
	views   views
	whole   int // rooms with more presences are read in pages
	stats   counters
	began   time.Time

	owing    atomic.Bool   // there may be removals that are still to be written
	carrying atomic.Bool   // they are being written
	ticks    atomic.Int64  // flushes that have been due so far
	urgent   int64         // a touch is written at once after this many flushes
	hurry    chan struct{} // holds a token while a touch must be written at once
	rolling  []*entry      // still to be asserted in this round; used by flushing alone
	rollStep int

	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup
	gap  atomic.Bool // doubtAll is about to run

	seeking task // seekMissing is running

	spawning sync.Mutex // keeps work from growing once stop is called
}

// New registers the layer's node in Redis and returns its Tracker, which signs the
// node's lease and writes touches until it is closed. A layer has one Tracker. nil
// options mean defaults.
//
// In a cluster, some shards may be away: New tries for up to 8 s, and registers the
// node there when they are back. Until then Health is degraded, and calls that need
// these shards fail with ErrUnavailable. If no shard serves, New fails.
func New(ctx context.Context, layer *groups.Layer, opts *Options) (*Tracker, error) {
	if layer == nil {
		return nil, &InvalidError{Field: "layer", Reason: "nil"}
	}
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	select {
	case <-layer.Done():
		return nil, ErrClosed
	default:
	}
	t := &Tracker{
		Reader: &Reader{store: layer.Store(), sealer: layer.Sealer()},
		layer:  layer,
		opts:   o,
		log:    layer.Logger(),
		urgent: int64(o.MaxAge/o.FlushInterval) - urgentFlushes,
		hurry:  make(chan struct{}, 1),
		whole:  maxWhole,
		began:  time.Now(),
	}
	var changed func(context.Context, Change)
	if o.OnChange != nil {
		changed = func(ctx context.Context, c Change) { o.OnChange(ctx, t, c) }
	}
	t.changes = newDispatcher(changed, t.log)
	t.outages = outagelog.New[int](outagelog.Options{
		Logger: t.log, Field: "shards", Away: "leases not renewed", Back: "shards answer again",
		Gather: max(o.Lease/renewals, time.Second), // long enough to ask each shard
	})
	t.rooms.tracker = t
	t.rooms.byName = make(map[string]*localRoom)
	t.views.byRoom = make(map[string]*view)
	t.views.counts = make(map[*CountsWatcher]struct{})
	t.views.ended = make(chan struct{})
	registration := luascripts.Registration{
		Node: layer.NodeID(), Token: rand.Text(), Lease: o.Lease, MaxAge: o.MaxAge, Remember: o.RememberUsers,
	}
	for shard := range t.store.Shards() {
		t.writers = append(t.writers, newWriter(t, shard, registration))
	}
	t.Reader.down = t.Away
	t.ctx, t.stop = context.WithCancel(context.Background())
	t.respondToNodes() // as soon as one shard lists it, others may ask
	if err := t.enter(ctx); err != nil {
		t.stop()
		t.work.Wait()
		return nil, err
	}
	t.respond()
	t.work.Go(func() { t.outages.Run(t.ctx) })
	t.work.Go(t.flushing)
	t.work.Go(func() { t.every(checkViews, t.checkViews) })
	t.log.Info("node has joined", zap.Int("shards", t.store.Shards()), zap.Duration("lease", o.Lease), zap.Duration("max_age", o.MaxAge))
	return t, nil
}

// spawn runs f in the background, unless the tracker is closed.
func (t *Tracker) spawn(f func()) {
	t.spawning.Lock()
	defer t.spawning.Unlock()
	if t.ctx.Err() == nil {
		t.work.Go(f)
	}
}

// MaxAge returns how long a presence of this node lives without a touch.
func (t *Tracker) MaxAge() time.Duration { return t.opts.MaxAge }

// every calls f at an interval until the tracker is closed.
func (t *Tracker) every(interval time.Duration, f func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			f()
		case <-t.ctx.Done():
			return
		}
	}
}

// Report returns the changes that a prune made, one for each room, and has the change
// handler called with them.
func (t *Tracker) Report(events []luascripts.RoomEvent) []Change {
	changes := t.Reader.Report(events)
	t.stats.removed(events)
	for _, c := range changes {
		t.changes.post(c)
	}
	return changes
}

func (t *Tracker) writer(room string) *writer { return t.writers[t.store.Shard(room)] }
