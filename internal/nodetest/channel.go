package nodetest

import (
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

// Open returns a new channel of the node, which is closed with it.
func (n *Node) Open(t testing.TB) *groups.Channel {
	t.Helper()
	ch, err := n.Layer.NewChannel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// Enter has a user enter a room, from a new channel.
func (n *Node) Enter(t testing.TB, room, user string) *groups.Channel {
	t.Helper()
	return n.EnterAs(t, room, presence.Member{User: user})
}

// EnterAs is [Node.Enter] for members of any kind.
func (n *Node) EnterAs(t testing.TB, room string, m presence.Member) *groups.Channel {
	t.Helper()
	ch := n.Open(t)
	if _, _, err := n.Add(t.Context(), room, ch.Name(), m); err != nil {
		t.Fatal(err)
	}
	return ch
}

// Age makes a channel look as if it was last seen some time ago, in all shards where
// it is.
func (n *Node) Age(t testing.TB, ch *groups.Channel, ago time.Duration) {
	t.Helper()
	_, short, _ := groups.SplitChannel(ch.Name())
	client := n.Store().Client()
	now, err := client.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	for shard := range n.Store().Shards() {
		key := n.Store().Presences(shard, n.Layer.NodeID())
		if err := client.Do(t.Context(), "ZADD", key, "XX", now.Add(-ago).UnixMilli(), short).Err(); err != nil {
			t.Fatal(err)
		}
	}
}
