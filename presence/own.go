package presence

import (
	"context"
	"fmt"

	"github.com/rollcall-go/rollcall/groups"
)

// lockOpen locks the entry of an open channel of this node. It makes one if need be.
func (t *Tracker) lockOpen(ctx context.Context, channel string) (*entry, error) {
	if t.ledger.closed() {
		return nil, ErrClosed
	}
	if _, ok := t.layer.Channel(channel); !ok {
		return nil, fmt.Errorf("%w: %q", ErrUnknownChannel, channel)
	}
	_, short, _ := groups.SplitChannel(channel)
	return t.ledger.lock(ctx, short, channel)
}

// own returns the entry of a channel of this node, open or not.
func (t *Tracker) own(channel string) *entry {
	node, short, ok := groups.SplitChannel(channel)
	if !ok || node != t.layer.NodeID() {
		return nil
	}
	return t.ledger.get(short)
}

// lockOwn locks the entry of a channel of this node, open or not. It returns nil if
// there is no entry.
func (t *Tracker) lockOwn(ctx context.Context, channel string) (*entry, error) {
	e := t.own(channel)
	if e == nil {
		return nil, nil
	}
	return t.ledger.lockKnown(ctx, e.short)
}
