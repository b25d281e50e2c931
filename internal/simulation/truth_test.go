package simulation_test

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/presence"
)

// seat is a channel in a room.
type seat struct{ room, channel string }

// truth is who is really connected, and what the handlers were told.
type truth struct {
	f  *fleet
	mu sync.Mutex
	of map[seat]*presenceTruth
}

type presenceTruth struct {
	node     *node
	user     string
	state    state
	since    time.Time
	changes  []change
	crashed  bool      // its node may have kept changes to itself
	replaced bool      // its node was told so
	first    time.Time // when its node first tried to add it
	last     time.Time
}

type state int

const (
	entering state = iota // maybe present
	present
	parting // maybe present
)

// change is an arrival or a departure that a handler was told of.
type change struct {
	at    presence.Revision
	added bool
	why   presence.Reason
}

func (t *truth) seat(p *person, room string) *presenceTruth {
	k := seat{room, p.channel.Name()}
	if t.of[k] == nil {
		t.of[k] = &presenceTruth{node: p.node, user: p.user}
	}
	return t.of[k]
}

func (t *truth) set(p *person, room string, s state) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at := t.seat(p, room); at.state < s || s == entering {
		at.state, at.since = s, time.Now()
	}
}

func (t *truth) adding(p *person, room string) {
	t.set(p, room, entering)
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.seat(p, room)
	at.last = time.Now()
	if at.first.IsZero() {
		at.first = at.last
	}
}

// added is called when an add has returned. The node may have crashed meanwhile.
func (t *truth) added(p *person, room string) {
	if p.leave.Err() == nil {
		t.set(p, room, present)
	}
}

func (t *truth) leaving(p *person) {
	for _, room := range p.rooms {
		t.set(p, room, parting)
	}
}

// drained and crashed tell that all who are connected to a node no longer are.
func (t *truth) drained(n *node) { t.end(n, false) }
func (t *truth) crashed(n *node) { t.end(n, true) }

func (t *truth) end(n *node, crashed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, at := range t.of {
		if at.node == n {
			at.state, at.since, at.crashed = parting, time.Now(), at.crashed || crashed
		}
	}
}

// told is called by the change handlers of all nodes.
func (t *truth) told(c presence.Change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	note := func(channel string, ch change) {
		if at := t.of[seat{c.Room, channel}]; at != nil {
			at.changes = append(at.changes, ch)
		}
	}
	for _, d := range c.Removed {
		note(d.Channel, change{c.Counts.Revision, false, d.Reason})
	}
	for _, p := range c.Added {
		note(p.Channel, change{c.Counts.Revision, true, 0})
	}
}

// evicted is called by the eviction handlers of all nodes.
func (t *truth) evicted(e presence.Eviction) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at := t.of[seat{e.Room, e.Channel}]; at != nil && e.Reason == presence.Replaced {
		at.replaced = true
	}
}

// departed is called when a watcher is told that a presence has gone: nobody who
// is connected may be told of, unless others cannot know better.
func (t *truth) departed(by *node, room, channel string, why presence.Reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.of[seat{room, channel}]
	if at == nil {
		t.f.fail("%s was told that %s left %s, who never came", by.name, channel, room)
		return
	}
	if room == sessions && t.mayBeReplaced(at, channel) {
		return
	}
	if at.state == present && !at.node.excused() && !by.excused() {
		t.f.fail("%s was told that %s left %s (%v), who is connected to %s since %v", by.name, channel, room, why, at.node.name, at.since.Sub(t.f.began))
	}
}

// mayBeReplaced tells whether somebody may have taken the session of a channel.
func (t *truth) mayBeReplaced(at *presenceTruth, channel string) bool {
	for k, other := range t.of {
		if k.room == sessions && k.channel != channel && other.user == at.user && !other.last.Before(at.first) {
			return true
		}
	}
	return false
}

// members returns who is in a room: who is connected and was not replaced.
func (t *truth) members(room string) map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	members := make(map[string]string)
	for k, at := range t.of {
		if k.room == room && at.state == present && !at.replaced {
			members[k.channel] = at.user
		}
	}
	return members
}

// checkDepartures finds a presence that departed twice without an arrival in
// between, and forgets those that are gone.
func (t *truth) checkDepartures() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, at := range t.of {
		slices.SortStableFunc(at.changes, func(a, b change) int { return cmp.Compare(a.at, b.at) })
		for i := 1; i < len(at.changes) && !at.crashed; i++ {
			if !at.changes[i].added && !at.changes[i-1].added {
				t.f.fail("%v departed twice: %s", k, fmt.Sprint(at.changes))
			}
		}
		if at.state == parting {
			delete(t.of, k)
		} else {
			at.changes = nil
		}
	}
}
