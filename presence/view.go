package presence

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/luascripts"
)

const (
	maxBuffered   = 4096 // events that wait for a snapshot; more means another one
	checkViews    = 3 * time.Second
	retryShortest = 50 * time.Millisecond
	retryLongest  = 2 * time.Second
)

// view is this node's replica of one room, shared by all who watch it here.
//
// It applies an event only if the revision before it is its own. Anything else
// means that something was missed, and it reads the room again: events that
// arrive meanwhile wait, and those newer than the snapshot follow it.
type view struct {
	tracker   *Tracker
	room      string
	listening *groups.Listening
	ctx       context.Context
	stop      context.CancelFunc
	holds     int // guarded by views.mu

	mu       sync.Mutex
	members  map[string]Presence
	users    map[string]int
	head     luascripts.Header
	ready    chan struct{} // closed once the first snapshot is there
	moved    chan struct{} // closed, and made anew, when the revision changes
	watchers map[*Watcher]struct{}

	syncing bool
	again   bool // what is being read may be too old already
	buffer  []luascripts.Event
	doubt   Revision // what Redis had at the last check, where it was not this
}

// Event implements groups.Listener.
func (v *view) Event(frame string) {
	e, err := luascripts.DecodeEvent(frame)
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case err != nil:
		v.tracker.log.Warn("malformed event, reading the room again", zap.String("room", v.room))
		v.resync()
	case v.syncing && len(v.buffer) < maxBuffered:
		v.buffer = append(v.buffer, e)
	case v.syncing:
		v.again, v.buffer = true, nil
	case !v.follows(e):
		v.resync()
		v.buffer = append(v.buffer, e)
	default:
		v.apply(e)
		v.publish(false)
	}
}

// Gap implements groups.Listener.
func (v *view) Gap() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.resync()
}

// follows tells whether an event is the next one.
func (v *view) follows(e luascripts.Event) bool {
	return e.Previous == v.head.Revision && (e.Birth == v.head.Birth || v.head.Revision == 0)
}

// resync has the room read again. The caller holds mu.
func (v *view) resync() {
	if v.syncing {
		v.again = true
		return
	}
	v.syncing = true
	v.buffer = nil
	v.tracker.spawn(v.sync)
}

// sync reads the room until the snapshot and the events after it fit.
func (v *view) sync() {
	pause := retryShortest
	for !v.read() {
		select {
		case <-time.After(pause):
		case <-v.ctx.Done():
			return
		}
		pause = min(2*pause, retryLongest)
	}
}

// read returns true when the view is right, or no longer wanted.
func (v *view) read() bool {
	v.mu.Lock()
	v.again = false
	v.mu.Unlock()
	ctx, cancel := context.WithTimeout(v.ctx, writeTimeout)
	defer cancel()
	if v.listening.Wait(ctx) != nil {
		return v.ctx.Err() != nil
	}
	s, err := v.tracker.Snapshot(ctx, v.room)
	if err != nil {
		return v.ctx.Err() != nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.again {
		v.buffer = nil
		return false
	}
	v.replace(s)
	for len(v.buffer) > 0 {
		e := v.buffer[0]
		if e.Revision > v.head.Revision && !v.follows(e) {
			return false
		}
		v.buffer = v.buffer[1:]
		if e.Revision > v.head.Revision {
			v.apply(e)
		}
	}
	v.syncing, v.buffer = false, nil
	first := false
	select {
	case <-v.ready:
	default:
		first = true
		close(v.ready)
	}
	v.publish(!first)
	return true
}

// replace makes the members those of a snapshot.
func (v *view) replace(s Snapshot) {
	is := make(map[string]struct{}, len(s.Presences))
	for _, p := range s.Presences {
		is[p.Channel] = struct{}{}
		if old, ok := v.members[p.Channel]; !ok || !same(old, p) {
			v.put(p)
		}
	}
	for channel := range v.members {
		if _, ok := is[channel]; !ok {
			v.drop(channel, Unknown)
		}
	}
	v.head = s.header
}

// apply is called with the event that comes next.
func (v *view) apply(e luascripts.Event) {
	for _, it := range e.Items {
		if it.Kind == luascripts.Removed {
			v.drop(it.Channel, Reason(it.Reason))
		} else {
			v.put(v.tracker.presenceOf(v.room, it.Channel, it.Record))
		}
	}
	v.head = e.Header
}

func (v *view) put(p Presence) {
	old, present := v.members[p.Channel]
	for w := range v.watchers {
		w.pending.note(p.Channel, old, present, 0, true)
	}
	v.members[p.Channel] = p
	if present && old.User == p.User {
		return
	}
	v.tally(p.User, 1)
	if present {
		v.tally(old.User, -1)
	}
}

func (v *view) drop(channel string, why Reason) {
	old, present := v.members[channel]
	if !present {
		return
	}
	for w := range v.watchers {
		w.pending.note(channel, old, true, why, false)
	}
	delete(v.members, channel)
	v.tally(old.User, -1)
}

func (v *view) tally(user string, by int) {
	if user == "" {
		return
	}
	before := v.users[user]
	after := before + by
	if after == 0 {
		delete(v.users, user)
	} else {
		v.users[user] = after
	}
	if (before > 0) == (after > 0) {
		return
	}
	for w := range v.watchers {
		w.pending.noteUser(user, before > 0)
	}
}

// publish tells those who wait that the view has moved.
func (v *view) publish(resync bool) {
	for w := range v.watchers {
		w.pending.resync = w.pending.resync || resync
		w.signal()
	}
	close(v.moved)
	v.moved = make(chan struct{})
}

func (v *view) counts() Counts { return countsOf(v.head) }

func (v *view) snapshot() Snapshot {
	s := Snapshot{Room: v.room, Counts: v.counts(), header: v.head, Presences: slices.Collect(maps.Values(v.members))}
	slices.SortFunc(s.Presences, func(a, b Presence) int { return strings.Compare(a.Channel, b.Channel) })
	return s
}

// check compares the view with the revision that Redis has. Only if it is still
// behind what Redis had at the last check was an event lost.
func (v *view) check(redis Revision) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.syncing || redis == Revision(v.head.Revision) {
		v.doubt = 0
		return
	}
	if v.doubt != 0 && (Revision(v.head.Revision) < v.doubt || redis < Revision(v.head.Revision)) {
		v.doubt = 0
		v.resync()
		return
	}
	v.doubt = max(redis, 1)
}
