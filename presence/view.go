package presence

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/luascripts"
)

// checkViews is how often views are compared with Redis.
const checkViews = 3 * time.Second

// view is this node's replica of one room, shared by all watchers on the node.
//
// It applies an event only if the event's previous revision is the view's own.
// Otherwise something was missed, and it reads the room again. Events that arrive
// meanwhile wait; those newer than the snapshot are applied to it.
type view struct {
	tracker   *Tracker
	room      string
	listening *groups.Listening
	ctx       context.Context
	stop      context.CancelFunc
	holds     int // guarded by views.mu

	mu        sync.Mutex
	members   map[string]*Presence // values are replaced, never changed
	users     map[string]int
	anonymous int
	head      luascripts.Header
	healing   bool // Redis may not have all of the room at the moment
	missing   missing
	ready     chan struct{} // closed once there is a first snapshot
	failed    chan struct{} // closed and renewed when a read fails, as Redis is away
	cause     error         // of that, until Redis answers
	moved     chan struct{} // closed and renewed when the revision changes
	watchers  map[*Watcher]struct{}

	syncing bool
	again   bool // what is being read may already be too old
	buffer  []luascripts.Event
	arrived chan struct{} // closed and renewed when the buffer grows
	doubt   doubt
}

// Event implements groups.Listener.
func (v *view) Event(frame string) error {
	e, err := luascripts.DecodeEvent(frame)
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case err != nil:
		v.resync()
	case v.syncing && len(v.buffer) < maxBuffered:
		v.keep(e)
	case v.syncing:
		v.again, v.buffer = true, nil
	case !v.follows(e):
		v.resync() // which also reads what this event did
	default:
		v.apply(e)
		v.publish(false)
	}
	return err
}

// keep makes an event wait for the snapshot.
func (v *view) keep(e luascripts.Event) {
	v.buffer = append(v.buffer, e)
	close(v.arrived)
	v.arrived = make(chan struct{})
}

// Gap implements groups.Listener. A lost connection may mean a failover that lost
// writes.
func (v *view) Gap() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.missing.suspicious = true
	v.resync()
}

// follows reports whether an event is the next one.
func (v *view) follows(e luascripts.Event) bool {
	return e.Previous == v.head.Revision && e.Revision > e.Previous && (e.Birth == v.head.Birth || v.head.Revision == 0)
}

// replace sets the members to those of a snapshot and those that Redis may have lost.
func (v *view) replace(s Snapshot) {
	v.missing.judge(v.head, s.header)
	is := make(map[string]struct{}, len(s.Presences))
	for _, p := range s.Presences {
		is[p.Channel] = struct{}{}
		if old := v.members[p.Channel]; old == nil || !same(old, &p) {
			v.put(p)
		}
	}
	for channel := range v.members {
		if _, ok := is[channel]; ok {
			v.missing.found(channel)
		} else if !v.missing.keep(channel) {
			v.drop(channel, Unknown)
		}
	}
	v.head, v.healing = s.header, s.Counts.Healing
	if v.missing.settle() {
		v.tracker.seekMissing()
	}
}

// apply is called with the next event in order.
func (v *view) apply(e luascripts.Event) {
	for _, it := range e.Items {
		v.missing.found(it.Channel)
		if it.Kind == luascripts.Removed {
			v.drop(it.Channel, Reason(it.Reason))
		} else {
			v.put(v.tracker.presenceOf(v.room, it.Channel, it.Record))
		}
	}
	v.head = e.Header
}

// put copies the names. They are parts of a frame or a record, which they would
// otherwise keep in memory.
func (v *view) put(p Presence) {
	names, c, u := p.Channel+p.User+p.Key, len(p.Channel), len(p.Channel)+len(p.User)
	p.Room, p.Channel, p.User, p.Key = v.room, names[:c], names[c:u], names[u:]
	old := v.members[p.Channel]
	for w := range v.watchers {
		w.pending.note(p.Channel, old, 0, true)
	}
	v.members[p.Channel] = &p
	if old != nil && old.identity() == p.identity() {
		return
	}
	v.tally(p.identity(), 1)
	if old != nil {
		v.tally(old.identity(), -1)
	}
}

func (v *view) drop(channel string, why Reason) {
	old := v.members[channel]
	if old == nil {
		return
	}
	for w := range v.watchers {
		w.pending.note(old.Channel, old, why, false)
	}
	delete(v.members, channel)
	v.tally(old.identity(), -1)
}

func (v *view) tally(user string, by int) {
	if user == "" {
		v.anonymous += by
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

// reach waits until the view is at a revision or past it. It fails if done is closed.
func (v *view) reach(ctx context.Context, done <-chan struct{}, revision Revision) error {
	for {
		v.mu.Lock()
		head, moved := v.head, v.moved
		v.mu.Unlock()
		if reached, err := reaches(head, revision); reached {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-done:
			return ErrClosed
		case <-v.tracker.views.ended:
			return ErrClosed
		}
	}
}

// reaches reports whether a room is at a revision or past it. The error is ErrRemade if
// the room was made after that revision.
func reaches(head luascripts.Header, revision Revision) (bool, error) {
	if Revision(head.Revision) < revision {
		return false, nil
	}
	if Revision(head.Birth) > revision {
		return true, ErrRemade
	}
	return true, nil
}

// publish tells the watchers and waiters that the view has moved.
func (v *view) publish(resync bool) {
	for w := range v.watchers {
		w.pending.resync = w.pending.resync || resync
		w.signal()
	}
	close(v.moved)
	v.moved = make(chan struct{})
}

// counts returns the counts of the members, which are exact even if Redis misses some
// of them.
func (v *view) counts() Counts {
	return Counts{
		Presences: len(v.members), Users: len(v.users), Anonymous: v.anonymous,
		Revision: Revision(v.head.Revision), Healing: v.healing || v.missing.any(),
	}
}

func (v *view) snapshot() Snapshot {
	s := Snapshot{Room: v.room, Counts: v.counts(), header: v.head, Presences: make([]Presence, 0, len(v.members))}
	for _, p := range v.members {
		s.Presences = append(s.Presences, *p)
	}
	slices.SortFunc(s.Presences, func(a, b Presence) int { return strings.Compare(a.Channel, b.Channel) })
	return s
}

// check compares the view with Redis.
func (v *view) check(redis Counts) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if redis.tellsOfHealing(v.healing, Revision(v.head.Revision)) {
		v.healing = redis.Healing
		v.publish(false)
	}
	if !v.syncing && v.doubt.confirmed(Revision(v.head.Revision), redis.Revision) {
		v.resync()
	}
}

// tellsOfHealing reports whether counts in Redis change what is known at a revision. A
// lower one that is not healing was read before the loss.
func (c Counts) tellsOfHealing(known bool, at Revision) bool {
	return c.Healing != known && (c.Healing || c.Revision >= at)
}

// doubt is what a check found in Redis when a view had another revision. An event was
// lost, and not merely delayed, only if the view has not come closer by the next check.
// If Redis then has less than the view had, the room was removed, or Redis went back in
// time.
type doubt struct {
	redis, view Revision
}

func (d *doubt) confirmed(view, redis Revision) bool {
	before := *d
	*d = doubt{}
	if view == redis {
		return false
	}
	if before != (doubt{}) && (view < before.redis || view == before.view || redis < before.view) {
		return true
	}
	*d = doubt{redis: redis, view: view}
	return false
}
