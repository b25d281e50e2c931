package presence

import (
	"context"
	"sync"

	"go.uber.org/zap"
)

// views are the rooms watched on this node.
type views struct {
	mu     sync.Mutex
	byRoom map[string]*view
	counts map[*CountsWatcher]struct{}
	ended  chan struct{} // closed when the tracker is done: watchers end last
}

// acquire returns the view of a room with a hold on it for the caller.
func (vs *views) acquire(t *Tracker, room string) (*view, error) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if t.ledger.closed() {
		return nil, ErrClosed
	}
	v := vs.byRoom[room]
	if v == nil {
		v = &view{
			tracker:  t,
			room:     room,
			members:  make(map[string]*Presence),
			users:    make(map[string]int),
			ready:    make(chan struct{}),
			failed:   make(chan struct{}),
			moved:    make(chan struct{}),
			arrived:  make(chan struct{}),
			watchers: make(map[*Watcher]struct{}),
		}
		v.ctx, v.stop = context.WithCancel(t.ctx)
		v.mu.Lock() // an event may come before Listen returns
		listening, err := t.layer.Listen(room, v)
		if err != nil {
			v.mu.Unlock()
			v.stop()
			return nil, err
		}
		v.listening = listening
		v.resync()
		v.mu.Unlock()
		vs.byRoom[room] = v
	}
	v.holds++
	return v, nil
}

func (vs *views) release(v *view) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	v.holds--
	if v.holds == 0 {
		delete(vs.byRoom, v.room)
		v.listening.Close()
		v.stop()
	}
}

// checked is regularly compared with Redis, in case an event was lost and none followed
// it.
type checked interface {
	check(redis Counts)
}

// checkViews compares all views with Redis in one round trip, except in shards that do
// not answer: these would hold up the others.
func (t *Tracker) checkViews() {
	t.views.mu.Lock()
	var rooms []string
	var views []checked
	add := func(room string, v checked) {
		if t.writer(room).down() == nil {
			rooms, views = append(rooms, room), append(views, v)
		}
	}
	for room, v := range t.views.byRoom {
		add(room, v)
	}
	for w := range t.views.counts {
		add(w.room, w)
	}
	t.views.mu.Unlock()
	if len(rooms) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(t.ctx, writeTimeout)
	defer cancel()
	counts, errs := t.countsOf(ctx, rooms)
	for i, v := range views {
		if errs[i] != nil {
			if t.writers[t.store.Shard(rooms[i])].away.Load() == nil { // otherwise the outage is logged
				t.log.Warn("view not checked", zap.String("room", rooms[i]), zap.Error(errs[i]))
			}
			continue
		}
		v.check(counts[i])
	}
}
