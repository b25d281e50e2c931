package recipes

import (
	"context"
	"fmt"
	"time"

	"github.com/rollcall-go/rollcall/presence"
)

// remembering makes rooms remember for a month when each user was last there.
var remembering = presence.Options{RememberUsers: 30 * 24 * time.Hour}

// Seen returns for each user "online", "last seen 5 minutes ago", or "" if nothing is
// known. A user who is in the room is online.
func Seen(ctx context.Context, r *presence.Reader, room string, users ...string) ([]string, error) {
	here, err := r.Users(ctx, room)
	if err != nil {
		return nil, err
	}
	online := make(map[string]bool, len(here))
	for _, user := range here {
		online[user] = true
	}
	times, err := r.LastSeen(ctx, room, users...)
	if err != nil {
		return nil, err
	}
	said := make([]string, len(users))
	for i, user := range users {
		switch {
		case online[user]:
			said[i] = "online"
		case !times[i].IsZero():
			said[i] = fmt.Sprintf("last seen %d minutes ago", int(max(0, time.Since(times[i])).Minutes()))
		}
	}
	return said, nil
}
