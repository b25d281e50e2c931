package main

import (
	"context"
	"time"
)

type nodeRow struct {
	Node     string    `json:"node"`
	Alive    bool      `json:"alive"`
	LeasedAt time.Time `json:"leased_at"`
	Channels int       `json:"channels"`
}

func (n nodeRow) cells() []any {
	state := "alive"
	if !n.Alive {
		state = "dead"
	}
	return []any{quoted(n.Node), state, moment(n.LeasedAt), n.Channels}
}

// nodes prints what the answering shards know, even with an error.
func (c *ctl) nodes(ctx context.Context) error {
	nodes, err := c.reader.Nodes(ctx)
	c.out.head("NODE", "STATE", "LAST LEASE", "CHANNELS")
	for _, n := range nodes {
		c.out.row(nodeRow{n.ID, n.Alive, n.LeasedAt, n.Channels})
	}
	return err
}
