package presence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/luascripts"
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
	// Close closes the channel, and so its socket, with a code and a reason. The
	// zero CloseError leaves it open.
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
	if k.Close != (groups.CloseError{}) && !sendable(k.Close.Code) {
		return &InvalidError{Field: "close code", Value: fmt.Sprint(k.Close.Code), Reason: "not one that can be sent"}
	}
	if len(k.Close.Reason) > maxCloseReason {
		return &InvalidError{Field: "close reason", Reason: fmt.Sprintf("%d bytes, more than %d", len(k.Close.Reason), maxCloseReason)}
	}
	if k.Room != "" {
		return checkRoom(k.Room)
	}
	return nil
}

// maxCloseReason is what fits into a close frame beside the code (RFC 6455, 5.5).
const maxCloseReason = 123

// sendable reports whether a websocket may be closed with a code (RFC 6455, 7.4).
func sendable(code int) bool {
	switch {
	case code == 1004, code == 1005, code == 1006, code == 1015:
		return false
	case code >= 1000 && code <= 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}

// Kick removes a channel, or all channels of a user or a key, from one room or all,
// with the reason Kicked, and closes their sockets if asked to. It works from any node,
// and returns how many presences it removed, including those in grace. If a node does
// not answer in time, within 5 s if ctx has no deadline, the error wraps ErrNoAnswer:
// what that node holds may stay, or go later, when it answers again. If shards of a
// cluster are away, presences in grace there stay, nodes may be out of reach, and the
// error has a *PartialError. A node that could not write a removal closes the socket all
// the same, and tries again in the background. A kick may be repeated. A channel whose
// node is gone is an ErrUnknownChannel, unless it was in grace.
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

// kickHeld removes what the node of a channel holds.
func (t *Tracker) kickHeld(ctx context.Context, k Kick) (n int, err error) {
	if t.isElsewhere(k.Channel) {
		err = t.layer.Ask(ctx, k.Channel, opKick, k, &n)
		return n, err
	}
	e, err := t.lockOwn(ctx, k.Channel)
	if err != nil {
		return 0, err
	}
	if e != nil {
		defer t.ledger.unlock(e)
		return t.kickEntry(ctx, e, k)
	}
	t.closeKicked(k.Channel, k)
	return 0, nil
}

// kickUser asks all nodes, as none knows where a user is.
func (t *Tracker) kickUser(ctx context.Context, k Kick) (int, error) {
	nodes, err := t.Nodes(ctx)
	var partial *PartialError // the other shards know all living nodes
	if err != nil && !errors.As(err, &partial) {
		return 0, err
	}
	var total atomic.Int64
	errs := make([]error, len(nodes)+1)
	var work sync.WaitGroup
	for i, node := range nodes {
		work.Go(func() {
			var n int
			if node.ID == t.layer.NodeID() {
				n, errs[i] = t.kickLocal(ctx, k)
			} else {
				errs[i] = t.layer.AskNode(ctx, node.ID, opKick, k, &n)
			}
			if errors.Is(errs[i], ErrUnknownChannel) {
				errs[i] = nil // its lease has ended, and a node that is gone has no connections
			}
			total.Add(int64(n))
		})
	}
	work.Wait()
	n, err := t.kickGraced(ctx, k)
	errs[len(nodes)] = err
	return int(total.Load()) + n, errors.Join(errs...)
}

// kickLocal removes a user's channels on this node.
func (t *Tracker) kickLocal(ctx context.Context, k Kick) (int, error) {
	total := 0
	var failed error
	for _, e := range t.ledger.all() {
		if len(kicked(e, k)) == 0 {
			continue
		}
		ok, err := e.lock(ctx)
		if ok {
			var n int
			n, err = t.kickEntry(ctx, e, k)
			t.ledger.unlock(e)
			total += n
		}
		failed = cmp.Or(failed, err)
	}
	return total, failed
}

// means reports whether a record matches the User and Key of a kick.
func (k Kick) means(r luascripts.Record) bool {
	return (k.User == "" || k.User == r.User) && (k.Key == "" || k.Key == r.Identity())
}

// kicked returns the rooms from which a kick removes a channel. They include those it
// was pruned from, as its next touch would bring it back, and those it is about to
// leave, maybe with a grace that is not written yet. While the channel is not locked,
// they also include the one to which it is being added.
func kicked(e *entry, k Kick) []string {
	var rooms []string
	note := func(room string, r luascripts.Record) {
		if (k.Room == "" || k.Room == room) && k.means(r) {
			rooms = append(rooms, room)
		}
	}
	noted, evicted, joining := e.noted()
	for _, h := range noted {
		if record, err := luascripts.DecodeRecord(h.record); err == nil {
			note(h.room.name, record)
		}
	}
	for room, m := range evicted {
		note(room, luascripts.Record{User: m.User, Key: m.Key})
	}
	if joining != nil {
		note(joining.room, luascripts.Record{User: joining.as.User, Key: joining.as.Key})
	}
	return rooms
}

// kickEntry must be called with the entry locked.
func (t *Tracker) kickEntry(ctx context.Context, e *entry, k Kick) (int, error) {
	rooms := kicked(e, k)
	if len(rooms) == 0 && k.Channel == "" {
		return 0, nil // it is no longer one of that user
	}
	left, err := t.remove(ctx, e, rooms, departure{why: Kicked})
	t.closeKicked(e.channel, k) // even after an error, as the removal is carried on
	return len(left), err
}

func (t *Tracker) closeKicked(channel string, k Kick) {
	if ch, ok := t.layer.Channel(channel); ok && k.Close != (groups.CloseError{}) {
		ch.CloseWith(k.Close)
	}
}

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
	return n, unavailable(err)
}
