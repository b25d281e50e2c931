package presence

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/luascripts"
)

// localRooms are the rooms in which this node has channels.
type localRooms struct {
	tracker *Tracker
	mu      sync.Mutex
	byName  map[string]*localRoom
}

// localRoom listens to a room for what other nodes do to this node's channels.
type localRoom struct {
	tracker   *Tracker
	name      string
	shard     int
	listening *groups.Listening
	holds     int // guarded by localRooms.mu
}

var _ groups.Listener = (*localRoom)(nil)

// acquire returns a room with a hold on it for the caller.
func (r *localRooms) acquire(name string) (*localRoom, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	room := r.byName[name]
	if room == nil {
		room = &localRoom{tracker: r.tracker, name: name, shard: r.tracker.store.Shard(name)}
		listening, err := r.tracker.layer.Listen(name, room)
		if err != nil {
			return nil, err
		}
		room.listening = listening
		r.byName[name] = room
	}
	room.holds++
	return room, nil
}

func (r *localRooms) release(room *localRoom) {
	r.mu.Lock()
	defer r.mu.Unlock()
	room.holds--
	if room.holds == 0 {
		delete(r.byName, room.name)
		room.listening.Close()
	}
}

// Event implements groups.Listener. It notices channels of this node that were pruned
// or replaced.
func (r *localRoom) Event(frame string) error {
	event, err := luascripts.DecodeDepartures(frame)
	if err != nil {
		return err
	}
	for _, it := range event.Items {
		reason := Reason(it.Reason)
		if reason != TimedOut && reason != Pruned && reason != Replaced {
			continue
		}
		node, short, _ := groups.SplitChannel(it.Channel)
		if node != r.tracker.layer.NodeID() {
			continue
		}
		switch e := r.tracker.ledger.get(short); {
		case e == nil:
		case reason == Replaced:
			r.tracker.whenFree(e, func() { r.tracker.replace(r.tracker.ctx, e, r.name, Revision(event.Revision)) })
		default:
			r.tracker.hearPruned(e, r.name, Revision(event.Revision), reason)
		}
	}
	return nil
}

// Gap implements groups.Listener. An eviction may have been missed, so the next touch
// of a channel adds it again wherever it should be.
func (r *localRoom) Gap() {
	if r.tracker.gap.CompareAndSwap(false, true) {
		r.tracker.spawn(r.tracker.doubtAll)
	}
}

// doubtAll runs once for all the rooms of a lost connection.
func (t *Tracker) doubtAll() {
	t.gap.Store(false)
	for _, e := range t.ledger.all() {
		e.unsure.Store(true)
	}
}

// evict removes a pruned channel from its group, and tells the application. The entry must
// be locked.
func (t *Tracker) evict(e *entry, room string, at Revision, why Reason) {
	h, ok := e.held(room)
	if ok {
		h, ok = e.evict(room, t.memberOf(e, h), at)
	}
	if !ok {
		return
	}
	t.discard(room, e.channel)
	t.rooms.release(h.room)
	t.tellEvicted(e, room, why)
}

// hearPruned evicts a channel, at once if it can: many are pruned together.
func (t *Tracker) hearPruned(e *entry, room string, at Revision, why Reason) {
	if !e.op.tryNow() {
		t.whenFree(e, func() { t.evict(e, room, at, why) })
		return
	}
	defer t.ledger.unlock(e)
	t.evict(e, room, at, why)
}

// whenFree calls f when no operation on the channel is in progress: Redis may know of
// its addition or update before this node does.
func (t *Tracker) whenFree(e *entry, f func()) {
	t.spawn(func() {
		if ok, _ := e.lock(t.ctx); ok {
			defer t.ledger.unlock(e)
			f()
		}
	})
}

// replace makes a channel leave a room where another has taken its place. The entry
// must be locked. As with any removal, what cannot be written is carried on.
func (t *Tracker) replace(ctx context.Context, e *entry, room string, at Revision) {
	if !e.lose(room, at) {
		return
	}
	t.discard(room, e.channel)
	t.tellEvicted(e, room, Replaced)
	if _, err := t.remove(ctx, e, []string{room}, departure{why: Replaced}); err != nil {
		t.log.Debug("replaced channel not removed yet", zap.String("room", room), zap.String("channel", e.channel), zap.Error(err))
	}
}

func (t *Tracker) tellEvicted(e *entry, room string, why Reason) {
	t.stats.evictions.Add(1)
	if t.opts.OnEvict != nil {
		t.changes.do(func() { t.opts.OnEvict(t.ctx, t, Eviction{Channel: e.channel, Room: room, Reason: why}) })
	}
}
