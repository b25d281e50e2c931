package recipes

import (
	"context"
	"errors"

	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/presence"
)

// tableSize is how many people fit at a table.
const tableSize = 4

// SitDown adds a connection to a table, as heartbeat.Handler.Connect does. If the table
// is full, the socket is closed with a code that the page knows.
func SitDown(ctx context.Context, tracker *presence.Tracker, table, channel string, m presence.Member) error {
	_, _, err := tracker.AddWithin(ctx, table, channel, m, tableSize)
	if errors.Is(err, presence.ErrRoomFull) {
		return heartbeat.CloseError{Code: 4003, Reason: "the table is full"}
	}
	return err
}
