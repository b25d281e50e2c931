package recipes

import (
	"context"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

// StartSession makes a connection the only one of its user, wherever the others are,
// as heartbeat.Handler.Connect does. The room is the user's own: there is no other
// join to wait for.
func StartSession(ctx context.Context, tracker *presence.Tracker, channel, user string) error {
	_, _, err := tracker.Add(ctx, "session:"+user, channel, presence.Member{User: user, Exclusive: true})
	return err
}

// EndReplaced is presence.Options.OnEvict: it closes the socket of who has come again
// elsewhere, with a code at which the page does not try again by itself.
func EndReplaced(layer *groups.Layer) func(context.Context, presence.Eviction) {
	return func(_ context.Context, e presence.Eviction) {
		if e.Reason != presence.Replaced {
			return
		}
		if ch, ok := layer.Channel(e.Channel); ok {
			ch.CloseWith(groups.CloseError{Code: 4001, Reason: "opened elsewhere"})
		}
	}
}
