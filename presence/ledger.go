package presence

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ledger is what this node knows of its own channels.
type ledger struct {
	closing atomic.Pointer[departure] // how all channels leave; nil while the tracker is open
	entries sync.Map                  // short name -> *entry
}

// entry is one channel of this node and its rooms.
type entry struct {
	short   string
	channel string
	op      lock // held during an operation on the channel

	touched atomic.Bool
	unsure  atomic.Bool  // events were missed, so it may have been pruned
	written atomic.Int64 // when it was last flushed or added, in ticks

	mu      sync.Mutex
	seen    time.Time            // when it was last known to be alive
	joining *joining             // an addition whose outcome is not known yet
	rooms   []held               // sorted by name
	evicted map[string]Member    // rooms that it was pruned from: a touch adds them again
	leaving map[string]departure // removals not yet written
	gone    bool                 // no longer in the ledger
}

// held is a presence as it was last written.
type held struct {
	room     *localRoom
	record   string   // as stored
	revision Revision // of the write
}

// joining is an addition that Redis may have made already.
type joining struct {
	room string
	as   Member
}

// departure is how a channel leaves a room: why, and after what grace, if any.
type departure struct {
	why           Reason
	grace         time.Duration
	unlessInGrace bool // at once, except for a channel that has already left with a grace
}

func (l *ledger) get(short string) *entry {
	if e, ok := l.entries.Load(short); ok {
		return e.(*entry)
	}
	return nil
}

// lock returns the entry of a channel, locked for an operation on it. It makes one if
// need be. The caller unlocks it.
func (l *ledger) lock(ctx context.Context, short, channel string) (*entry, error) {
	for {
		made, found := l.entries.Load(short)
		if !found {
			made, _ = l.entries.LoadOrStore(short, &entry{short: short, channel: channel, op: newLock(), seen: time.Now()})
		}
		e := made.(*entry)
		if ok, err := e.lock(ctx); ok || err != nil {
			return e, err
		}
	}
}

// lockKnown is lock for an operation that makes no entry. It returns nil if there is
// none.
func (l *ledger) lockKnown(ctx context.Context, short string) (*entry, error) {
	for {
		e := l.get(short)
		if e == nil {
			return nil, nil
		}
		if ok, err := e.lock(ctx); ok || err != nil {
			return e, err
		}
	}
}

// lock returns false, and locks nothing, if the entry is no longer in the ledger: its
// lock would not exclude operations on an entry that replaced it.
func (e *entry) lock(ctx context.Context) (bool, error) {
	if err := e.op.try(ctx); err != nil {
		return false, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone {
		e.op.unlock()
	}
	return !e.gone, nil
}

// unlock ends an operation. An entry without rooms is forgotten.
func (l *ledger) unlock(e *entry) {
	e.mu.Lock()
	if len(e.rooms) == 0 && len(e.evicted) == 0 && len(e.leaving) == 0 && !e.gone {
		e.gone = true
		l.entries.CompareAndDelete(e.short, e)
	}
	e.mu.Unlock()
	e.op.unlock()
}

// close returns false if the ledger was already closed.
func (l *ledger) close(d departure) bool { return l.closing.CompareAndSwap(nil, &d) }

func (l *ledger) closed() bool { return l.closing.Load() != nil }

func (l *ledger) all() []*entry {
	var all []*entry
	l.entries.Range(func(_, e any) bool {
		all = append(all, e.(*entry))
		return true
	})
	return all
}

// find returns the index of a room among those held. The caller holds mu.
func (e *entry) find(room string) (int, bool) {
	return slices.BinarySearchFunc(e.rooms, room, func(h held, name string) int { return strings.Compare(h.room.name, name) })
}

func (e *entry) held(room string) (held, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i, ok := e.find(room); ok {
		return e.rooms[i], true
	}
	return held{}, false
}

// holding returns all that is held, except for the rooms that are to be left.
func (e *entry) holding() []held {
	e.mu.Lock()
	defer e.mu.Unlock()
	holding := make([]held, 0, len(e.rooms))
	for _, h := range e.rooms {
		if _, leaving := e.leaving[h.room.name]; !leaving {
			holding = append(holding, h)
		}
	}
	return holding
}

// count returns the length of what holding returns.
func (e *entry) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(e.rooms)
	for room := range e.leaving {
		if _, held := e.find(room); held {
			n--
		}
	}
	return n
}

// record notes a written presence, and returns the one it replaces.
func (e *entry) record(h held) (old held, replaced bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i, replaced := e.find(h.room.name)
	if replaced {
		old, e.rooms[i] = e.rooms[i], h
	} else {
		e.rooms = slices.Insert(e.rooms, i, h)
	}
	delete(e.evicted, h.room.name)
	delete(e.leaving, h.room.name)
	return old, replaced
}

// rewrite notes a write to a room that is held.
func (e *entry) rewrite(room, record string, revision Revision) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i, ok := e.find(room); ok {
		e.rooms[i].record, e.rooms[i].revision = record, revision
	}
}

// erase forgets a room, and returns what was held there.
func (e *entry) erase(room string) (held, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.evicted, room)
	delete(e.leaving, room)
	return e.take(room)
}

func (e *entry) take(room string) (held, bool) {
	i, ok := e.find(room)
	if !ok {
		return held{}, false
	}
	h := e.rooms[i]
	e.rooms = slices.Delete(e.rooms, i, i+1)
	return h, true
}

// evict sets aside a room that the channel was pruned from at a revision. It returns
// false if the channel has been written there since, or is about to leave.
func (e *entry) evict(room string, as Member, at Revision) (held, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.mayLose(room, at) {
		return held{}, false
	}
	return e.putAside(room, as)
}

// setAside has the next touch add the channel to a room again.
func (e *entry) setAside(room string, as Member) (held, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.putAside(room, as)
}

// putAside is setAside for callers that hold mu.
func (e *entry) putAside(room string, as Member) (held, bool) {
	if e.evicted == nil {
		e.evicted = make(map[string]Member, 1)
	}
	e.evicted[room] = as
	return e.take(room)
}

// lose makes the channel leave a room where it was replaced at a revision. It returns
// false in the same cases as evict.
func (e *entry) lose(room string, at Revision) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.mayLose(room, at) {
		return false
	}
	e.depart(room, departure{why: Replaced})
	return true
}

// mayLose reports whether a removal at a revision came after everything that this node
// has done in the room. The caller holds mu.
func (e *entry) mayLose(room string, at Revision) bool {
	i, ok := e.find(room)
	_, leaving := e.leaving[room]
	return ok && !leaving && e.rooms[i].revision < at
}

// evictions returns the rooms from which the channel was pruned, with its Member in
// each, except for those that are to be left.
func (e *entry) evictions() map[string]Member {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all map[string]Member
	for room, m := range e.evicted {
		if _, leaving := e.leaving[room]; !leaving {
			if all == nil {
				all = make(map[string]Member, len(e.evicted))
			}
			all[room] = m
		}
	}
	return all
}

// isEvicted reports whether the channel was pruned from a room, and not added since.
func (e *entry) isEvicted() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.evicted) > 0
}

func (e *entry) forgetEvictions() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.evicted)
}

// noted returns all rooms that it holds, and was pruned from, including those that are
// to be left, and what is being added, if anything is.
func (e *entry) noted() ([]held, map[string]Member, *joining) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.rooms), maps.Clone(e.evicted), e.joining
}

// join notes an addition until its outcome is known, which is when nil is noted.
func (e *entry) join(j *joining) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.joining = j
}

// isIn reports whether the channel should be in a room.
func (e *entry) isIn(room string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, leaving := e.leaving[room]
	_, held := e.find(room)
	return held && !leaving
}

// knows reports whether anything is noted of a room: that the channel is in it, was
// pruned from it, or is to leave it.
func (e *entry) knows(room string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, held := e.find(room)
	_, evicted := e.evicted[room]
	_, leaving := e.leaving[room]
	return held || evicted || leaving
}

// leave notes that the channel is to leave a room, until erase or record. What is noted
// already stays, unless a kick cuts its grace short.
func (e *entry) leave(room string, d departure) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.depart(room, d)
}

// depart is leave for callers that hold mu.
func (e *entry) depart(room string, d departure) {
	if e.leaving == nil {
		e.leaving = make(map[string]departure, 1)
	}
	if owed, leaving := e.leaving[room]; !leaving || owed.grace > 0 && d.why == Kicked {
		e.leaving[room] = d
	}
}

// leavings returns the removals that are not yet written, by kind of departure.
func (e *entry) leavings() map[departure][]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var rooms map[departure][]string
	for room, d := range e.leaving {
		if rooms == nil {
			rooms = make(map[departure][]string, 1)
		}
		rooms[d] = append(rooms[d], room)
	}
	return rooms
}

// see notes that the channel is alive.
func (e *entry) see(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = now
}

// unseen returns how long the channel has not been known to be alive.
func (e *entry) unseen() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.touched.Load() {
		return 0
	}
	return time.Since(e.seen)
}
