package groups

import (
	"context"
	"encoding/json"
)

// member is the body of requests to add to a group or to discard from it.
type member struct {
	Group   string `json:"group"`
	Channel string `json:"channel"`
}

const (
	opGroupAdd     = "group.add"
	opGroupDiscard = "group.discard"
)

// respondToGroups lets other nodes add and discard this node's channels.
func (l *Layer) respondToGroups() {
	on := func(op string, do func(context.Context, string, string) error) {
		l.Respond(op, func(ctx context.Context, body []byte) (any, error) {
			var m member
			if err := json.Unmarshal(body, &m); err != nil {
				return nil, err
			}
			if _, err := l.local(m.Channel); err != nil {
				return nil, err // a request is not forwarded
			}
			return nil, do(ctx, m.Group, m.Channel)
		})
	}
	on(opGroupAdd, l.GroupAdd)
	on(opGroupDiscard, l.GroupDiscard)
}

// isOwn reports whether a channel's name belongs to this node, whether it is open or
// not.
func (l *Layer) isOwn(channel string) bool {
	node, _, ok := SplitChannel(channel)
	return ok && node == l.opts.NodeID
}
