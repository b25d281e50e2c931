package deployments_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// A fleet goes from one Redis to a cluster, as docs/cluster.md says: new nodes are
// started, the old ones drain, and their people come back on the new ones.
func TestFromOneRedisToACluster(t *testing.T) {
	before, after := redistest.Real(t), redistest.ClusterWithReplicas(t)
	old := newNode(t, before.NewClient(t))
	users := []string{"ann", "ben", "cyd"}
	var sockets []*groups.Channel
	for _, user := range users {
		sockets = append(sockets, old.Enter(t, "lobby", user))
	}
	fresh := newNode(t, after.NewClient(t))
	old.must(old.Drain(t.Context(), 100*time.Millisecond))
	for i, socket := range sockets {
		if _, err := socket.Receive(t.Context()); !errors.Is(err, groups.ErrClosed) {
			t.Fatalf("%s is not told to go: %v", users[i], err)
		}
		fresh.Enter(t, "lobby", users[i])
	}
	fresh.present("lobby", len(users))
	reader, err := presence.NewReader(t.Context(), before.NewClient(t), nil)
	old.must(err)
	if nodes, err := reader.Nodes(t.Context()); len(nodes) > 0 || err != nil {
		t.Errorf("left on the old Redis: %+v, %v", nodes, err)
	}
	// The graces are left, and no node to end them.
	pruner, err := prune.New(reader, nil)
	old.must(err)
	ended := 0
	redistest.Eventually(t, patience, func() error {
		changes, err := pruner.Presences(t.Context())
		for _, c := range changes {
			ended += len(c.Removed)
		}
		if ended != len(users) {
			return fmt.Errorf("%d graces ended, %v", ended, err)
		}
		return nil
	})
	if shards := fresh.Store().Shards(); shards != 16 {
		t.Errorf("%d shards", shards)
	}
}
