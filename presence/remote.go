package presence

import (
	"context"
	"encoding/json"
	"time"

	"github.com/rollcall-go/rollcall/groups"
)

// For a channel on another node, that node is asked. It is that node's change handler
// that is then called.
const (
	opAdd      = "presence.add"
	opUpdate   = "presence.update"
	opRemove   = "presence.remove"
	opLeaveAll = "presence.leave_all"
	opKick     = "presence.kick"
	opConfirm  = "presence.confirm"
)

// call is the body of a request. Info is sealed with the frame that carries it.
type call struct {
	Room      string        `json:"room,omitempty"`
	Channel   string        `json:"channel"`
	User      string        `json:"user,omitempty"`
	Key       string        `json:"key,omitempty"`
	Info      []byte        `json:"info,omitempty"`
	Reason    Reason        `json:"reason,omitempty"`
	Grace     time.Duration `json:"grace,omitempty"`
	Limit     int           `json:"limit,omitempty"`
	Exclusive bool          `json:"exclusive,omitempty"`
}

// added is the answer to opAdd.
type added struct {
	Presence Presence
	Revision Revision
}

// isElsewhere reports whether another node holds a channel. A name that is not a
// channel's is nowhere.
func (t *Tracker) isElsewhere(channel string) bool {
	node, _, ok := groups.SplitChannel(channel)
	return ok && node != t.layer.NodeID()
}

// respond lets other nodes do what this node does with its own channels.
func (t *Tracker) respond() {
	on := func(op string, do func(context.Context, call) (any, error)) {
		t.layer.Respond(op, func(ctx context.Context, body []byte) (any, error) {
			var c call
			if err := json.Unmarshal(body, &c); err != nil {
				return nil, err
			}
			if t.isElsewhere(c.Channel) {
				return nil, ErrUnknownChannel // a request is not forwarded
			}
			return do(ctx, c)
		}, ErrNotPresent, ErrRoomFull)
	}
	on(opAdd, func(ctx context.Context, c call) (any, error) {
		p, revision, err := t.addWithin(ctx, c.Room, c.Channel, Member{User: c.User, Key: c.Key, Exclusive: c.Exclusive, Info: c.Info}, max(0, c.Limit))
		return added{p, revision}, err
	})
	on(opUpdate, func(ctx context.Context, c call) (any, error) {
		return t.Update(ctx, c.Room, c.Channel, c.Info)
	})
	on(opRemove, func(ctx context.Context, c call) (any, error) {
		return t.removeOne(ctx, c.Room, c.Channel, c.Reason)
	})
	on(opLeaveAll, func(ctx context.Context, c call) (any, error) {
		return t.LeaveAllAfter(ctx, c.Channel, c.Reason, c.Grace)
	})
}

// respondToNodes answers requests that concern all of this node's channels.
func (t *Tracker) respondToNodes() {
	t.layer.Respond(opKick, func(ctx context.Context, body []byte) (any, error) {
		var k Kick
		if err := json.Unmarshal(body, &k); err != nil {
			return nil, err
		}
		if k.Channel == "" {
			return t.kickLocal(ctx, k)
		}
		if t.isElsewhere(k.Channel) {
			return nil, ErrUnknownChannel // a request is not forwarded
		}
		return t.kickHeld(ctx, k)
	})
	t.layer.Respond(opConfirm, func(ctx context.Context, body []byte) (any, error) {
		var rooms []string
		if err := json.Unmarshal(body, &rooms); err != nil {
			return nil, err
		}
		return nil, t.confirm(ctx, rooms)
	})
}

// ask asks another node to do op, and decodes its answer into reply.
func (t *Tracker) ask(ctx context.Context, op string, c call, reply any) error {
	return t.layer.Ask(ctx, c.Channel, op, c, reply)
}
