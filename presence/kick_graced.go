package presence

import (
	"context"
	"errors"
	"slices"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/luascripts"
)

// kickGraced removes the presences in grace, which no node holds.
func (t *Tracker) kickGraced(ctx context.Context, k Kick) (int, error) {
	if k.Room != "" {
		return t.kickGracedIn(ctx, t.store.Shard(k.Room), k)
	}
	away, err := t.store.Survey(ctx, t.down)
	if err != nil {
		return 0, unavailable(err)
	}
	total := 0
	for shard := range t.store.Shards() {
		if away[shard] != nil {
			continue
		}
		n, err := t.kickGracedIn(ctx, shard, k)
		total += n
		if err != nil {
			away[shard] = err
		}
	}
	return total, unavailable(away.Err())
}

func (t *Tracker) kickGracedIn(ctx context.Context, shard int, k Kick) (total int, err error) {
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		graced, next, err := t.store.AllGraced(ctx, shard, cursor)
		if err != nil {
			return total, unavailable(err)
		}
		n, err := t.kickSome(ctx, shard, graced, k)
		total += n
		if err != nil {
			return total, err
		}
		cursor = next
	}
	return total, nil
}

func (t *Tracker) kickSome(ctx context.Context, shard int, graced []luascripts.Graced, k Kick) (int, error) {
	var theirs []luascripts.Graced
	for _, g := range graced {
		if k.Room != "" && g.Room != k.Room || k.Channel != "" && g.Channel != k.Channel {
			continue
		}
		record, found, err := t.store.Record(ctx, g.Room, g.Channel)
		if err != nil {
			return 0, unavailable(err)
		}
		if found && k.means(record) {
			theirs = append(theirs, g)
		}
	}
	if len(theirs) == 0 {
		return 0, nil
	}
	events, err := t.store.Ungrace(ctx, shard, theirs, byte(Kicked))
	n := 0
	for _, c := range t.Report(events) {
		n += len(c.Removed)
	}
	return n, errors.Join(unavailable(err), t.closeGraced(ctx, theirs, k))
}

// closeGraced closes sockets whose presences are in grace already, as those of a node
// that drains.
func (t *Tracker) closeGraced(ctx context.Context, graced []luascripts.Graced, k Kick) error {
	if k.Close == (groups.CloseError{}) || k.Channel != "" { // its node was asked before
		return nil
	}
	var channels []string
	for _, g := range graced {
		channels = append(channels, g.Channel)
	}
	slices.Sort(channels)
	return concurrently(ctx, slices.Compact(channels), func(channel string) error {
		k := k
		k.Channel = channel
		_, err := t.kickHeld(ctx, k)
		if errors.Is(err, ErrUnknownChannel) {
			return nil // its node is gone, and so is the socket
		}
		return err
	})
}
