package recipes

import (
	"context"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

// ShowCrowd tells this node's connections in a large room how many are there, at most
// once a second, until ctx ends. Run it once for the room on each node. A join costs no
// message to all: the numbers come with the events that the node hears anyway, and go
// to its own mailboxes without Redis.
func ShowCrowd(ctx context.Context, layer *groups.Layer, tracker *presence.Tracker, room string) error {
	w, err := tracker.WatchCounts(ctx, room, &presence.WatchOptions{MinInterval: time.Second})
	if err != nil {
		return err
	}
	defer w.Close()
	for {
		counts, err := w.Next(ctx)
		if err != nil {
			return err
		}
		m, err := groups.NewJSON("crowd", counts.Presences)
		if err != nil {
			return err
		}
		for _, channel := range layer.Members(room) {
			_ = layer.Send(ctx, channel, m) // a full mailbox gets the next one
		}
	}
}
