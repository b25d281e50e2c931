package presence

import (
	"context"
	"time"

	"github.com/rollcall-go/rollcall/luascripts"
)

// LastSeen returns when each user was last in a room: when the last of their
// connections went, or its grace ended. The time is zero if that is not known: the user
// has not gone, or went before all that the room remembers, or Options.RememberUsers is
// 0 on all nodes.
func (r *Reader) LastSeen(ctx context.Context, room string, users ...string) ([]time.Time, error) {
	if err := checkRoom(room); err != nil {
		return nil, err
	}
	for _, user := range users {
		if err := luascripts.CheckName("user", user); err != nil {
			return nil, err
		}
	}
	if len(users) == 0 {
		return nil, nil
	}
	if err := r.reachable(room); err != nil {
		return nil, opError("last seen", room, "", err)
	}
	scores, err := r.store.Client().ZMScore(ctx, r.store.RoomSeen(room), users...).Result()
	if err != nil {
		return nil, opError("last seen", room, "", r.failed(err))
	}
	times := make([]time.Time, len(users))
	for i, ms := range scores {
		if ms > 0 {
			times[i] = time.UnixMilli(int64(ms))
		}
	}
	return times, nil
}
