package recipes

import (
	"context"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

// Names of rooms begin with their purpose, so that no visitor who names a room can name
// a session.
func roomName(room string) string    { return "room:" + room }
func sessionName(user string) string { return "session:" + user }

// EnterAlone makes a connection enter a room as the only one of its user, wherever the
// others are, as heartbeat.Handler.Connect does. The room comes first: the session ends
// the previous connection, and if the user were not in the room again by then,
// everybody would see the user leave and come back.
func EnterAlone(ctx context.Context, tracker *presence.Tracker, room, channel, user string) error {
	m := presence.Member{User: user}
	if _, _, err := tracker.Add(ctx, roomName(room), channel, m); err != nil {
		return err
	}
	m.Exclusive = true
	_, _, err := tracker.Add(ctx, sessionName(user), channel, m)
	return err
}

// EndReplaced is for presence.Options.OnEvict: it closes the socket of a user who has
// connected again elsewhere, with a code that tells the page not to reconnect by
// itself.
func EndReplaced(layer *groups.Layer) func(context.Context, *presence.Tracker, presence.Eviction) {
	return func(_ context.Context, _ *presence.Tracker, e presence.Eviction) {
		if e.Reason != presence.Replaced {
			return
		}
		if ch, ok := layer.Channel(e.Channel); ok {
			ch.CloseWith(groups.CloseError{Code: 4001, Reason: "opened elsewhere"})
		}
	}
}
