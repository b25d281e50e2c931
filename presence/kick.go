package presence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/rollcall-go/rollcall/groups"
)

// Kick says whom to remove, and how to close the socket.
type Kick struct {
	// Exactly one of Channel, User and Key says whom: one connection, all of a user, or
	// all that count under a key, see Member.Key.
	Channel string
	User    string
	Key     string
	// Room is the room to remove from; empty means all rooms.
	Room string
	// Close closes the channel, and so its socket, with a code and a reason. Kick
	// refuses what its Check refuses. The zero CloseError leaves the channel open.
	Close groups.CloseError
}

func (k Kick) check() error {
	named := 0
	for _, name := range []string{k.Channel, k.User, k.Key} {
		if name != "" {
			named++
		}
	}
	if named != 1 {
		return &InvalidError{Field: "kick", Reason: "needs a channel, a user or a key, one of them"}
	}
	if k.Close != (groups.CloseError{}) {
		if err := k.Close.Check(); err != nil {
			return err
		}
	}
	if k.Room != "" {
		return checkRoom(k.Room)
	}
	return nil
}

// Kick removes a channel, or all channels of a user or a key, from one room or all,
// with the reason Kicked, and closes their sockets if asked to. It works from any node,
// and returns how many presences it removed, including those in grace. If a node does
// not answer in time, within 5 s if ctx has no deadline, the error wraps ErrNoAnswer:
// what that node holds may stay, or go later, when it answers again. If shards of a
// cluster are away, presences in grace there stay, nodes may be out of reach, and the
// error has a *PartialError. When Redis has lost its data, a kick of a user or key is an
// ErrUnavailable until all nodes have had the time to register again, as it may have
// missed some. A node that could not write a removal closes the socket all the same, and
// tries again in the background. A kick may be repeated. A channel whose node is gone is
// an ErrUnknownChannel, unless it was in grace.
func (t *Tracker) Kick(ctx context.Context, k Kick) (int, error) {
	if err := k.check(); err != nil {
		return 0, err
	}
	if k.Channel != "" {
		n, err := t.kickChannel(ctx, k)
		return n, opError("kick", k.Room, k.Channel, err)
	}
	n, err := t.kickUser(ctx, k)
	return n, opError("kick", k.Room, "", err)
}

func (t *Tracker) kickChannel(ctx context.Context, k Kick) (int, error) {
	held, err := t.kickHeld(ctx, k)
	graced, failed := t.kickGraced(ctx, k)
	if graced > 0 && errors.Is(err, ErrUnknownChannel) {
		err = nil // its node is gone, and this is what it left
	}
	return held + graced, errors.Join(err, failed)
}

// kickUser asks all nodes, as none knows where a user is.
func (t *Tracker) kickUser(ctx context.Context, k Kick) (int, error) {
	var total int
	var failed error
	var work sync.WaitGroup
	work.Go(func() { total, failed = t.kickLocal(ctx, k) }) // at once: to list the nodes may take long
	nodes, missed := t.otherNodes(ctx)
	counts, errs := make([]int, len(nodes)), make([]error, len(nodes))
	for i, node := range nodes {
		work.Go(func() {
			errs[i] = t.layer.AskNode(ctx, node.ID, opKick, k, &counts[i])
			if errors.Is(errs[i], ErrUnknownChannel) {
				errs[i] = nil // its lease has ended, and a node that is gone has no connections
			}
		})
	}
	work.Wait()
	graced, err := t.kickGraced(ctx, k)
	for _, n := range append(counts, graced) {
		total += n
	}
	return total, errors.Join(append(errs, missed, failed, err)...)
}

// otherNodes returns the nodes but this one, and an error if some may be missing.
func (t *Tracker) otherNodes(ctx context.Context) ([]Node, error) {
	nodes, err := t.Nodes(ctx)
	var partial *PartialError // the other shards know all living nodes
	if err != nil && !errors.As(err, &partial) {
		return nil, err
	}
	listed := len(nodes)
	nodes = slices.DeleteFunc(nodes, func(n Node) bool { return n.ID == t.layer.NodeID() })
	if t.ledger.closed() { // it has retired, and knows no better
		return nodes, nil
	}
	if len(nodes) == listed || t.store.HealsEverywhere(ctx, t.down) {
		return nodes, fmt.Errorf("%w: Redis lost its data, and some nodes may not have registered again", ErrUnavailable)
	}
	return nodes, nil
}
