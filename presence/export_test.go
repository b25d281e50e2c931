package presence

import (
	"context"
	"time"
)

// CheckViews is how often views are compared with Redis.
const CheckViews = checkViews

// ReadInPagesOver has this node read rooms of more presences in pages.
func (t *Tracker) ReadInPagesOver(presences int) { t.whole = presences }

// Silence makes a channel of this node look as if it had been silent for a time.
// write makes Redis have it so, while the node asserts nothing else.
func (t *Tracker) Silence(channel string, ago time.Duration, write func()) {
	e := t.own(channel)
	if e == nil {
		write()
		return
	}
	e.op.lock()
	defer e.op.unlock()
	e.see(time.Now().Add(-ago))
	write()
}

// Confirm asserts this node's presences in some rooms again, as another node
// asks it to.
func (t *Tracker) Confirm(ctx context.Context, rooms ...string) error { return t.confirm(ctx, rooms) }
