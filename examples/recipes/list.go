package recipes

import (
	"context"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

// wholeList is the largest number of users for which the list itself is sent. It goes
// to all of them after each change, so the bytes grow with the square of the room.
const wholeList = 200

// list is what pages get. They drop one with an older revision than the last.
type list struct {
	Revision presence.Revision `json:"revision"`
	Users    []string          `json:"users,omitempty"` // none in a larger room
	Count    int               `json:"count"`
}

// BroadcastList is for presence.Options.OnChange: everybody in the room gets its new
// list after each change, as in django-channels-presence.
func BroadcastList(ctx context.Context, layer *groups.Layer, tracker *presence.Tracker, c presence.Change) error {
	if len(c.Added)+len(c.Removed) == 0 && !c.Bulk {
		return nil // an update of an info
	}
	l := list{Revision: c.Counts.Revision, Count: c.Counts.Users}
	if l.Count <= wholeList {
		s, err := tracker.Snapshot(ctx, c.Room)
		if err != nil {
			return err
		}
		l = list{Revision: s.Counts.Revision, Users: s.Users(), Count: s.Counts.Users}
	}
	m, err := groups.NewJSON("presence", l)
	if err != nil {
		return err
	}
	return layer.GroupSend(ctx, c.Room, m)
}
