package recipes

import (
	"context"
	"encoding/json"
	"time"

	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/presence"
)

const (
	peopleEvery = 100 * time.Millisecond // the minimum time between two messages
	writeTime   = 10 * time.Second       // how long a peer may take for one
)

// people tells a page who is in its room: first everybody, then who comes and goes.
type people struct {
	Users []string `json:"users,omitempty"`
	Came  []string `json:"came,omitempty"`
	Went  []string `json:"went,omitempty"`
}

// socket is a *websocket.Conn, or its replacement in a test.
type socket = heartbeat.Conn[websocket.MessageType, websocket.StatusCode]

// ServePeople runs a user's connection to a room, whose page shows who is there.
func ServePeople(ctx context.Context, conn socket, tracker *presence.Tracker, channel *groups.Channel, room, user string) error {
	var entered presence.Revision
	return heartbeat.Serve(ctx, conn, tracker, channel, heartbeat.Handler[websocket.MessageType]{
		Connect: func(ctx context.Context) (err error) {
			_, entered, err = tracker.Add(ctx, room, channel.Name(), presence.Member{User: user})
			return err
		},
		Run: func(ctx context.Context) error {
			return showPeople(ctx, tracker, room, entered, func(p people) error {
				data, err := json.Marshal(p)
				if err != nil {
					return err
				}
				ctx, cancel := context.WithTimeout(ctx, writeTime)
				defer cancel()
				return conn.Write(ctx, websocket.MessageText, data)
			})
		},
	}, nil)
}

// showPeople writes who is in a room, including the caller's own entry, and then what
// changes, until ctx or the tracker ends or a write fails. A slow peer holds up nobody:
// what happens meanwhile is merged into the next message.
func showPeople(ctx context.Context, tracker *presence.Tracker, room string, entered presence.Revision, write func(people) error) error {
	w, err := tracker.Watch(ctx, room, &presence.WatchOptions{MinInterval: peopleEvery, After: entered})
	if err != nil {
		return err
	}
	defer w.Close()
	if err := write(people{Users: w.Start().Users()}); err != nil {
		return err
	}
	for {
		d, err := w.Next(ctx)
		if err != nil {
			return err // also presence.ErrClosed: Serve knows what to tell the peer
		}
		if len(d.UsersCame)+len(d.UsersWent) == 0 {
			continue // another socket of a user, or an info
		}
		if err := write(people{Came: d.UsersCame, Went: d.UsersWent}); err != nil {
			return err
		}
	}
}
