package presence

import (
	"sync/atomic"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/luascripts"
)

// Stats are a node's numbers. Counters start at 0 when the Tracker is made. What this
// node did is counted here and on no other node, so the sum over the fleet counts
// everything once.
type Stats struct {
	Health Health
	Layer  groups.Stats // connections, sends, deliveries, drops

	Rooms     int // in which this node has presences
	Presences int // of this node's channels
	Views     int // rooms watched here, and CountsWatchers

	Joins         uint64            // presences that this node added
	Updates       uint64            // infos that this node changed
	Leaves        map[Reason]uint64 // presences that this node removed or pruned, whichever node they were of
	Restored      uint64            // presences that this node put back, after Redis lost them or took the node for dead
	Evictions     uint64            // presences of this node's channels that were pruned or replaced, as told to OnEvict
	Touches       uint64            // touches written: one per channel, shard and flush, however often it was touched
	Flushes       uint64            // calls that wrote touches
	FlushErrors   uint64            // such calls that failed; their touches wait for the next flush
	Resyncs       uint64            // times that a view had to read its room again
	Registered    uint64            // times that this node was forgotten and registered again
	Merged        uint64            // calls of OnChange that were merged into a waiting bulk change
	HandlerPanics uint64            // panics of OnChange and OnEvict, all caught

	// LeaseAge is how long ago the lease was last signed, in the shard where that is
	// longest. Beyond Options.Lease, other nodes take this one for dead.
	LeaseAge time.Duration
	// Sweeps counts the shards that this node has swept. PruneLag is how long ago it
	// last swept one, in the shard where that is longest. Stale presences stay for that
	// much longer, unless another node sweeps. It is 0 if this node has never swept.
	Sweeps   uint64
	PruneLag time.Duration

	// Scripts has the timing of each script that was called, by name.
	Scripts map[string]Timing
	// RedisErrors counts failed scripts and sends by kind: "timeout", "connection", the
	// first word of Redis's answer, such as "oom" or "clusterdown", or "other". All
	// kinds are present.
	RedisErrors map[string]uint64
}

// Timing is how long this process has waited for a script.
type Timing = luascripts.Timing

// Bucket is one bucket of a Timing.
type Bucket = luascripts.Bucket

// counters are the counters behind Stats.
type counters struct {
	joins, updates, restored, evictions    atomic.Uint64
	touches, flushes, flushErrors, resyncs atomic.Uint64
	registered, sweeps                     atomic.Uint64
	leaves                                 [256]atomic.Uint64 // by reason
}

// clock is the time of the latest event of a kind, in ns since the Tracker was made. It
// does not use the wall clock, which may be set.
type clock struct{ at atomic.Int64 }

func (c *clock) note(t *Tracker, when time.Time) { c.at.Store(int64(max(1, when.Sub(t.began)))) }

func (c *clock) age(t *Tracker) time.Duration {
	return time.Since(t.began) - time.Duration(c.at.Load())
}

// Stats returns the numbers of this node, from memory. It looks at each of the node's
// channels, which takes about a millisecond for 10,000 of them.
func (t *Tracker) Stats() Stats {
	s := Stats{
		Health:        t.Health(),
		Layer:         t.layer.Stats(),
		Joins:         t.stats.joins.Load(),
		Updates:       t.stats.updates.Load(),
		Leaves:        make(map[Reason]uint64, len(reasonNames)),
		Restored:      t.stats.restored.Load(),
		Evictions:     t.stats.evictions.Load(),
		Touches:       t.stats.touches.Load(),
		Flushes:       t.stats.flushes.Load(),
		FlushErrors:   t.stats.flushErrors.Load(),
		Resyncs:       t.stats.resyncs.Load(),
		Registered:    t.stats.registered.Load(),
		Merged:        t.changes.merged.Load(),
		HandlerPanics: t.changes.panics.Load(),
		Sweeps:        t.stats.sweeps.Load(),
		Scripts:       t.store.Timings(),
		RedisErrors:   t.store.Failures(),
	}
	for reason := range reasonNames {
		s.Leaves[reason] = t.stats.leaves[reason].Load()
	}
	t.ledger.entries.Range(func(_, e any) bool {
		s.Presences += e.(*entry).count()
		return true
	})
	t.rooms.mu.Lock()
	s.Rooms = len(t.rooms.byName)
	t.rooms.mu.Unlock()
	t.views.mu.Lock()
	s.Views = len(t.views.byRoom) + len(t.views.counts)
	t.views.mu.Unlock()
	for _, w := range t.writers {
		s.LeaseAge = max(s.LeaseAge, w.signed.age(t))
		if s.Sweeps > 0 {
			s.PruneLag = max(s.PruneLag, w.swept.age(t))
		}
	}
	return s
}

// wrote counts the effects of a batch.
func (c *counters) wrote(batch []*write, reply luascripts.Reply) {
	at := 0
	for _, p := range batch {
		for i, op := range p.ops {
			switch status := reply.Results[at+i].Status; {
			case status == luascripts.StatusUpdated && op.Action == luascripts.Update:
				c.updates.Add(1)
			case status == luascripts.StatusAdded && (op.Action == luascripts.Keep || op.Action == luascripts.Confirm):
				c.restored.Add(1)
			case status == luascripts.StatusAdded:
				c.joins.Add(1)
			}
		}
		at += len(p.ops)
	}
	c.removed(reply.Events)
}

// removed counts departures.
func (c *counters) removed(events []luascripts.RoomEvent) {
	for _, e := range events {
		for _, it := range e.Items {
			if it.Kind == luascripts.Removed {
				c.leaves[it.Reason].Add(1)
			}
		}
	}
}

// flushed counts a call that wrote touches.
func (c *counters) flushed(channels int, err error) {
	switch {
	case channels == 0:
	case err != nil:
		c.flushErrors.Add(1)
	default:
		c.flushes.Add(1)
		c.touches.Add(uint64(channels))
	}
}

// Swept notes that a shard was swept. Package prune calls it.
func (t *Tracker) Swept(shard int) {
	t.stats.sweeps.Add(1)
	t.writers[shard].swept.note(t, time.Now())
}
