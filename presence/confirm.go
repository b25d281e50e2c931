package presence

import "context"

// confirm asserts this node's presences in some rooms again, for a node that misses
// them.
func (t *Tracker) confirm(ctx context.Context, rooms []string) error {
	for _, room := range rooms {
		err := concurrently(ctx, t.layer.Members(room), func(channel string) error {
			return t.confirmOne(ctx, room, channel)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Tracker) confirmOne(ctx context.Context, room, channel string) error {
	e, err := t.lockOwn(ctx, channel)
	if e == nil || err != nil {
		return err
	}
	defer t.ledger.unlock(e)
	if h, ok := e.held(room); ok && e.isIn(room) {
		return t.keep(ctx, e, []held{h}, false)
	}
	return nil
}
