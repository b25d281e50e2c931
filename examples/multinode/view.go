package main

import (
	"slices"

	"github.com/rollcall-go/rollcall/presence"
)

// roomView is what the page draws, the payload of "view". Only connections
// that ask for it, by view=1, get it: it says more than the list does, and
// may change with the page.
type roomView struct {
	ChannelName string            `json:"channel_name"`
	Revision    presence.Revision `json:"revision"`
	Members     []viewMember      `json:"members"`
	Lurkers     int               `json:"lurkers"`
	Events      []viewEvent       `json:"events"` // what brought the room here
	Node        int               `json:"node"`   // the node that did
}

type viewMember struct {
	ID          string `json:"id"`
	Connections int    `json:"connections"`
}

type viewEvent struct {
	ID     *string `json:"id"`   // null: someone anonymous
	Kind   string  `json:"kind"` // "came" or "went"
	Reason string  `json:"reason,omitempty"`
}

func (n *node) viewOf(s presence.Snapshot, c presence.Change) roomView {
	view := roomView{
		ChannelName: s.Room,
		Revision:    s.Counts.Revision,
		Members:     []viewMember{},
		Lurkers:     s.Counts.Anonymous,
		Events:      []viewEvent{},
		Node:        n.config.Number,
	}
	connections := map[string]int{}
	for _, p := range s.Presences {
		connections[p.User]++
	}
	for _, user := range s.Users() {
		view.Members = append(view.Members, viewMember{user, connections[user]})
	}
	// A user comes with the first connection and goes with the last; of
	// anonymous visitors each is someone.
	for _, user := range c.UsersCame {
		view.Events = append(view.Events, viewEvent{ID: &user, Kind: "came"})
	}
	for _, p := range c.Added {
		if p.User == "" {
			view.Events = append(view.Events, viewEvent{Kind: "came"})
		}
	}
	for _, d := range c.Removed {
		switch {
		case d.User == "":
			view.Events = append(view.Events, viewEvent{Kind: "went", Reason: why(d.Reason)})
		case slices.Contains(c.UsersWent, d.User):
			went := viewEvent{ID: &d.User, Kind: "went", Reason: why(d.Reason)}
			if !slices.ContainsFunc(view.Events, func(e viewEvent) bool { return e.ID != nil && *e.ID == d.User }) {
				view.Events = append(view.Events, went)
			}
		}
	}
	return view
}

// why is the reason where it is worth a word: most just leave.
func why(r presence.Reason) string {
	if r == presence.Left || r == presence.Disconnected {
		return ""
	}
	return r.String()
}
