package presence

import (
	"bytes"
	"slices"
	"strings"
)

// Diff is the net difference between two looks at a room. It omits a presence that came
// and went in between.
type Diff struct {
	Room    string
	From    Revision // of the state that the difference is relative to
	Counts  Counts   // after the difference
	Added   []Presence
	Removed []Departure // with the info that they had
	Updated []Presence
	// UsersCame and UsersWent are sorted. They are the users who have a connection in
	// the room now and had none before, and the reverse.
	UsersCame []string
	UsersWent []string
	// Resync means that changes were missed and the room was read again.
	Resync bool
}

func (d *Diff) empty() bool {
	return len(d.Added)+len(d.Removed)+len(d.Updated)+len(d.UsersCame)+len(d.UsersWent) == 0
}

// pending is what a watcher has not read yet: the former state of each presence and
// user that changed since its last look. Those back in their former state are dropped,
// so that the size of the room bounds it, whatever the churn.
type pending struct {
	presences map[string]formerly
	users     map[string]bool // whether the user was there
	from      Revision
	resync    bool
}

// formerly is the former state of a channel.
type formerly struct {
	presence *Presence // nil if it was not there
	reason   Reason    // why it has departed since, if it has
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

// diff returns the difference to the current members.
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
