package presence

import (
	"bytes"
	"slices"
	"strings"
)

// Diff is the net difference of a room between two looks at it. A presence that
// came and went in between is not in it.
type Diff struct {
	Room    string
	From    Revision // of the state that it is the difference to
	Counts  Counts   // after it
	Added   []Presence
	Removed []Departure // with the info that they had
	Updated []Presence
	// UsersCame and UsersWent are the users who have a connection in the room
	// now and had none, or the other way round, sorted.
	UsersCame []string
	UsersWent []string
	// Resync tells that changes were missed, and that the room was read again.
	Resync bool
}

func (d *Diff) empty() bool {
	return len(d.Added)+len(d.Removed)+len(d.Updated)+len(d.UsersCame)+len(d.UsersWent) == 0
}

// pending is what a watcher has not read yet: how each presence and user that
// changed was at its last look. What is again as it was is dropped, so that it
// is bounded by the size of the room, whatever its churn.
type pending struct {
	presences map[string]formerly
	users     map[string]bool // whether the user was there
	from      Revision
	resync    bool
}

// formerly is how a channel was.
type formerly struct {
	presence *Presence // nil: it was not there
	reason   Reason    // why it departed since, where it did
}

func newPending(from Revision) pending {
	return pending{presences: make(map[string]formerly), users: make(map[string]bool), from: from}
}

// note is called before a channel changes.
func (p *pending) note(channel string, was *Presence, reason Reason, stays bool) {
	f, ok := p.presences[channel]
	if !ok {
		f.presence = was
	}
	if f.presence == nil && !stays {
		delete(p.presences, channel)
		return
	}
	if reason != 0 {
		f.reason = reason
	}
	p.presences[channel] = f
}

// noteUser is called when a user came or went.
func (p *pending) noteUser(user string, was bool) {
	before, ok := p.users[user]
	switch {
	case !ok:
		p.users[user] = was
	case before != was:
		delete(p.users, user)
	}
}

// diff returns the difference to the members as they are now.
func (p *pending) diff(room string, members map[string]*Presence, now Counts) Diff {
	d := Diff{Room: room, From: p.from, Counts: now, Resync: p.resync}
	for channel, f := range p.presences {
		is, was := members[channel], f.presence
		switch {
		case was == nil && is == nil:
		case was == nil:
			d.Added = append(d.Added, *is)
		case is == nil:
			d.Removed = append(d.Removed, Departure{Presence: *was, Reason: f.reason})
		case is.User != was.User || is.Key != was.Key:
			d.Removed = append(d.Removed, Departure{Presence: *was, Reason: Switched})
			d.Added = append(d.Added, *is)
		case !same(is, was):
			d.Updated = append(d.Updated, *is)
		}
	}
	for user, was := range p.users {
		if was {
			d.UsersWent = append(d.UsersWent, user)
		} else {
			d.UsersCame = append(d.UsersCame, user)
		}
	}
	byChannel := func(a, b Presence) int { return strings.Compare(a.Channel, b.Channel) }
	slices.SortFunc(d.Added, byChannel)
	slices.SortFunc(d.Updated, byChannel)
	slices.SortFunc(d.Removed, func(a, b Departure) int { return byChannel(a.Presence, b.Presence) })
	slices.Sort(d.UsersCame)
	slices.Sort(d.UsersWent)
	return d
}

func same(a, b *Presence) bool {
	return a.User == b.User && a.Key == b.Key && a.Unopened == b.Unopened && a.JoinedAt.Equal(b.JoinedAt) && bytes.Equal(a.Info, b.Info)
}
