package simulation_test

import (
	"context"
	"time"

	"github.com/rollcall-go/rollcall/presence"
)

// follow watches a room as long as the node lives, and holds each diff against
// those before it.
func (n *node) follow(room string) {
	for n.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(n.ctx, 5*time.Second)
		w, err := n.tracker.Watch(ctx, room, nil)
		cancel()
		if err == nil {
			n.read(w, room)
			w.Close()
			return
		}
		select {
		case <-time.After(time.Second):
		case <-n.ctx.Done():
		}
	}
}

func (n *node) read(w *presence.Watcher, room string) {
	f := n.fleet
	members, users := make(map[string]string), make(map[string]bool)
	for _, p := range w.Start().Presences {
		members[p.Channel] = p.User
	}
	for _, u := range w.Start().Users() {
		users[u] = true
	}
	for {
		d, err := w.Next(n.ctx)
		if err != nil {
			return
		}
		for _, p := range d.Removed {
			if user, ok := members[p.Channel]; !ok || user != p.User {
				f.fail("%s: %s left %s, and was not there", n.name, p.Channel, room)
			}
			delete(members, p.Channel)
			f.truth.departed(n, room, p.Channel, p.Reason)
		}
		for _, p := range d.Added {
			if _, ok := members[p.Channel]; ok {
				f.fail("%s: %s came to %s, and was there", n.name, p.Channel, room)
			}
			members[p.Channel] = p.User
		}
		for _, p := range d.Updated {
			if _, ok := members[p.Channel]; !ok {
				f.fail("%s: %s was updated in %s, and was not there", n.name, p.Channel, room)
			}
		}
		for _, u := range d.UsersWent {
			if !users[u] {
				f.fail("%s: user %s went from %s, and was not there", n.name, u, room)
			}
			delete(users, u)
		}
		for _, u := range d.UsersCame {
			if users[u] {
				f.fail("%s: user %s came to %s, and was there", n.name, u, room)
			}
			users[u] = true
		}
		has := make(map[string]bool)
		for _, u := range members {
			if u != "" {
				has[u] = true
			}
		}
		if c := d.Counts; c.Presences != len(members) || c.Users != len(users) || len(has) != len(users) {
			f.fail("%s: %s has %d presences and %d users, told %+v", n.name, room, len(members), len(users), c)
		}
	}
}
