package presence

import (
	"sync"
	"sync/atomic"
)

// ledger is what this node knows of its own channels.
type ledger struct {
	closed  atomic.Bool
	entries sync.Map // short name -> *entry
}

// entry is one channel of this node, and the rooms that it is in.
type entry struct {
	short   string
	channel string
	op      sync.Mutex // held during an operation on the channel

	touched atomic.Bool
	unsure  atomic.Bool // events were missed: it may have been pruned

	mu      sync.Mutex
	rooms   map[string]held
	evicted map[string]Member // pruned: a touch adds them again
	leaving map[string]Reason // removals that are not written yet
	gone    bool              // no longer in the ledger
}

// held is a presence as it was last written.
type held struct {
	member   Member
	revision Revision // of the write
	room     *localRoom
}

func (l *ledger) get(short string) *entry {
	if e, ok := l.entries.Load(short); ok {
		return e.(*entry)
	}
	return nil
}

// lock returns the entry of a channel for an operation on it, made if need be.
// The caller unlocks op.
func (l *ledger) lock(short, channel string) *entry {
	for {
		made, _ := l.entries.LoadOrStore(short, &entry{short: short, channel: channel})
		if e := made.(*entry); e.lock() {
			return e
		}
	}
}

// lockKnown is lock for an operation that makes no entry. It returns nil where
// there is none.
func (l *ledger) lockKnown(short string) *entry {
	for {
		e := l.get(short)
		if e == nil || e.lock() {
			return e
		}
	}
}

// lock returns false, and locks nothing, if the entry is no longer in the
// ledger: another may have taken its place, whose lock keeps nobody out here.
func (e *entry) lock() bool {
	e.op.Lock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone {
		e.op.Unlock()
	}
	return !e.gone
}

// unlock ends an operation. An entry without rooms is forgotten.
func (l *ledger) unlock(e *entry) {
	e.mu.Lock()
	if len(e.rooms) == 0 && len(e.evicted) == 0 && len(e.leaving) == 0 && !e.gone {
		e.gone = true
		l.entries.CompareAndDelete(e.short, e)
	}
	e.mu.Unlock()
	e.op.Unlock()
}

// close returns false if it was closed before.
func (l *ledger) close() bool { return l.closed.CompareAndSwap(false, true) }

func (l *ledger) all() []*entry {
	var all []*entry
	l.entries.Range(func(_, e any) bool {
		all = append(all, e.(*entry))
		return true
	})
	return all
}

func (e *entry) held(room string) (held, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h, ok := e.rooms[room]
	return h, ok
}

// record notes a presence that was written, and returns what it replaces.
func (e *entry) record(room string, h held) (old held, replaced bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.rooms == nil {
		e.rooms = make(map[string]held, 1)
	}
	old, replaced = e.rooms[room]
	e.rooms[room] = h
	delete(e.evicted, room)
	delete(e.leaving, room)
	return old, replaced
}

// rewrite notes an update, unless the channel was pruned from the room since.
func (e *entry) rewrite(room string, h held) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.rooms[room]; ok {
		e.rooms[room] = h
	}
}

// erase forgets a room, and returns what was held there.
func (e *entry) erase(room string) (held, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h, ok := e.rooms[room]
	delete(e.rooms, room)
	delete(e.evicted, room)
	delete(e.leaving, room)
	return h, ok
}

// evict moves a room that was pruned at a revision aside. It returns false if
// the channel was written there since.
func (e *entry) evict(room string, at Revision) (held, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h, ok := e.rooms[room]
	if !ok || h.revision >= at {
		return held{}, false
	}
	delete(e.rooms, room)
	if e.evicted == nil {
		e.evicted = make(map[string]Member, 1)
	}
	e.evicted[room] = h.member
	return h, true
}

// wanted returns the rooms that the channel should be in, and as whom.
func (e *entry) wanted() map[string]Member {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make(map[string]Member, len(e.rooms)+len(e.evicted))
	for room, h := range e.rooms {
		all[room] = h.member
	}
	for room, m := range e.evicted {
		all[room] = m
	}
	for room := range e.leaving {
		delete(all, room)
	}
	return all
}

// leave notes that the channel is to leave a room, until erase or record.
func (e *entry) leave(room string, why Reason) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leaving == nil {
		e.leaving = make(map[string]Reason, 1)
	}
	e.leaving[room] = why
}

// leavings returns the removals that are not written yet, by their reason.
func (e *entry) leavings() map[Reason][]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var byReason map[Reason][]string
	for room, why := range e.leaving {
		if byReason == nil {
			byReason = make(map[Reason][]string, 1)
		}
		byReason[why] = append(byReason[why], room)
	}
	return byReason
}
