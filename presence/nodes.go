package presence

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Node is a process of the fleet as Redis knows it.
type Node struct {
	ID       string
	LeasedAt time.Time // its last sign of life, by Redis's clock
	Alive    bool      // its lease has not expired
	Channels int       // its channels that have presences
}

// Nodes returns the processes of the fleet, sorted by id. Dead ones are included until
// nothing is left of them. If shards are away it returns what the others know, with a
// *PartialError: for a node that is alive, only Channels may be too low.
func (r *Reader) Nodes(ctx context.Context) ([]Node, error) {
	away, err := r.store.Survey(ctx, r.down)
	if err != nil {
		return nil, opError("nodes", "", "", r.failed(err))
	}
	found := make(map[string]Node)
	for shard := range r.store.Shards() {
		if away[shard] != nil {
			continue
		}
		rows, now, err := r.store.NodeRows(ctx, shard)
		if err != nil {
			away[shard] = err
			continue
		}
		for _, row := range rows {
			n := found[row.Node]
			n.ID = row.Node
			n.Channels = max(n.Channels, row.Channels)
			n.Alive = n.Alive || !row.Lapsed(now)
			if row.LeasedAt.After(n.LeasedAt) {
				n.LeasedAt = row.LeasedAt
			}
			found[row.Node] = n
		}
	}
	nodes := make([]Node, 0, len(found))
	for _, n := range found {
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
	return nodes, opError("nodes", "", "", unavailable(away.Err()))
}
