package presence_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-go/rollcall/presence"
)

// member is who a channel is in a room.
type member struct {
	user, info string
	joined     time.Time
	exclusive  bool // which no presence tells
}

func memberOf(p presence.Presence) member {
	return member{user: p.User, info: string(p.Info), joined: p.JoinedAt}
}

func (m member) presence(room, channel string) presence.Presence {
	p := presence.Presence{Room: room, Channel: channel, User: m.user, JoinedAt: m.joined}
	if m.info != "" {
		p.Info = []byte(m.info)
	}
	return p
}

func (m member) same(o member) bool {
	return m.user == o.user && m.info == o.info && m.joined.Equal(o.joined)
}

// state is who is in a room, by channel.
type state map[string]member

func (s state) users() []string {
	users := make(map[string]bool)
	for _, m := range s {
		if m.user != "" {
			users[m.user] = true
		}
	}
	return slices.Sorted(maps.Keys(users))
}

func (s state) counts(at presence.Revision) presence.Counts {
	c := presence.Counts{Presences: len(s), Users: len(s.users()), Revision: at}
	for _, m := range s {
		if m.user == "" {
			c.Anonymous++
		}
	}
	return c
}

func (s state) presences(room string) []presence.Presence {
	var all []presence.Presence
	for _, channel := range slices.Sorted(maps.Keys(s)) {
		all = append(all, s[channel].presence(room, channel))
	}
	return all
}

// isFullFor reports whether a limit keeps a channel out that is to be added as a user.
func (s state) isFullFor(channel *modelChannel, user string, limit int) bool {
	counted := func(s state) int {
		c := s.counts(0)
		return c.Users + c.Anonymous
	}
	then := maps.Clone(s)
	then[channel.name] = member{user: user}
	return counted(s) >= limit && counted(then) > counted(s)
}

// diff is the net difference of two states of a room. A departure has the last
// of the reasons.
func diff(room string, was, is state, why map[string][]presence.Reason) presence.Diff {
	d := presence.Diff{Room: room}
	all := maps.Clone(was)
	maps.Copy(all, is)
	for _, channel := range slices.Sorted(maps.Keys(all)) {
		before, wasThere := was[channel]
		after, isThere := is[channel]
		switched := wasThere && isThere && before.user != after.user
		if wasThere && !isThere {
			reasons := why[channel]
			d.Removed = append(d.Removed, presence.Departure{
				Presence: before.presence(room, channel), Reason: reasons[len(reasons)-1],
			})
		}
		if switched {
			d.Removed = append(d.Removed, presence.Departure{
				Presence: before.presence(room, channel), Reason: presence.Switched,
			})
		}
		if isThere && !wasThere || switched {
			d.Added = append(d.Added, after.presence(room, channel))
		}
		if wasThere && isThere && !switched && !before.same(after) {
			d.Updated = append(d.Updated, after.presence(room, channel))
		}
	}
	d.UsersCame, d.UsersWent = usersBetween(was, is)
	return d
}

func usersBetween(was, is state) (came, went []string) {
	before, after := was.users(), is.users()
	for _, u := range after {
		if !slices.Contains(before, u) {
			came = append(came, u)
		}
	}
	for _, u := range before {
		if !slices.Contains(after, u) {
			went = append(went, u)
		}
	}
	return came, went
}

// model is what the fleet and Redis should have.
type model struct {
	rooms    []*modelRoom
	channels []*modelChannel
}

type modelRoom struct {
	name string
	state
	revision presence.Revision            // 0: the room is not in Redis
	pruned   presence.Revision            // the last revision of a room that was pruned
	why      map[string][]presence.Reason // of all departures of a channel
}

func (r *modelRoom) counts() presence.Counts { return r.state.counts(r.revision) }

type modelChannel struct {
	name    string
	owner   int       // the node that holds it
	seen    time.Time // zero where it has no presence
	touched bool      // and not written yet
	evicted map[string]member
}

// in returns the rooms that a channel is in.
func (m *model) in(c *modelChannel) []*modelRoom {
	var in []*modelRoom
	for _, r := range m.rooms {
		if _, ok := r.state[c.name]; ok {
			in = append(in, r)
		}
	}
	return in
}

// rival returns the other channel in a room that has the place of an exclusive one.
func (m *model) rival(r *modelRoom, c *modelChannel, who member) *modelChannel {
	for _, other := range m.channels {
		at, there := r.state[other.name]
		if other != c && there && who.exclusive && at.exclusive && at.user == who.user {
			return other
		}
	}
	return nil
}

// spot is one channel in one room.
type spot struct{ room, channel string }

// deed is what was done to the presence at a spot.
type deed struct {
	by  int               // the node whose handler hears of it
	why presence.Reason   // where it departed
	at  presence.Revision // 0: not known
}

// step is what happens between two checks. It does at most one thing to each
// spot.
type step struct {
	was   map[string]modelRoom // the rooms before it
	deeds map[spot]deed
	as    map[spot]presence.Revision // what a call found as it wanted it
	seen  []*modelChannel            // seen within the step
	from  time.Time                  // by Redis's clock
	loose bool                       // connections were lost, and calls repeated

	read []presence.Snapshot // meanwhile
	lost []spot              // places that were another's when a channel would have come back

	bulk     bool // a prune
	returned []presence.Change
}

func (m *model) begin(now time.Time) *step {
	st := &step{
		was: make(map[string]modelRoom), deeds: make(map[spot]deed), as: make(map[spot]presence.Revision), from: now,
	}
	for _, r := range m.rooms {
		old := *r
		old.state = maps.Clone(r.state)
		st.was[r.name] = old
	}
	return st
}

// enter puts a channel into a room, or changes what it is there.
func (m *model) enter(st *step, r *modelRoom, c *modelChannel, who member, d deed) {
	r.state[c.name] = who
	delete(c.evicted, r.name)
	st.deeds[spot{r.name, c.name}] = d
}

// depart takes a channel out of a room.
func (m *model) depart(st *step, r *modelRoom, c *modelChannel, d deed) {
	delete(r.state, c.name)
	st.deeds[spot{r.name, c.name}] = d
	m.settle(c)
}

// settle forgets what is known of a channel that is nowhere.
func (m *model) settle(c *modelChannel) {
	if len(m.in(c)) > 0 {
		return
	}
	c.seen = time.Time{}
	if len(c.evicted) == 0 {
		c.touched = false // the node has forgotten it
	}
}

// stale returns the channels that were last seen before a time, by node.
func (m *model) stale(before func(owner int) time.Time) []*modelChannel {
	var stale []*modelChannel
	for _, c := range m.channels {
		if !c.seen.IsZero() && c.seen.UnixMilli() < before(c.owner).UnixMilli() {
			stale = append(stale, c)
		}
	}
	return stale
}

// What the tests compare is written as text first, as it is read when a
// comparison fails.

func tellPresence(p presence.Presence) string {
	return fmt.Sprintf("%s in %s as %q %q since %d%s", p.Channel, p.Room, p.User, p.Info, p.JoinedAt.UnixMilli(),
		map[bool]string{true: " unopened"}[p.Unopened])
}

func tellPresences(all []presence.Presence) string {
	var b strings.Builder
	for _, p := range all {
		b.WriteString("\n" + tellPresence(p))
	}
	return b.String()
}

func tellDiff(d presence.Diff) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:", d.Room)
	for _, p := range d.Added {
		b.WriteString("\n+ " + tellPresence(p))
	}
	for _, r := range d.Removed {
		fmt.Fprintf(&b, "\n- %s, %v", tellPresence(r.Presence), r.Reason)
	}
	for _, p := range d.Updated {
		b.WriteString("\n~ " + tellPresence(p))
	}
	fmt.Fprintf(&b, "\ncame %q, went %q", d.UsersCame, d.UsersWent)
	return b.String()
}
