package prune

import (
	"fmt"
	"time"

	"github.com/rollcall-go/rollcall/luascripts"
)

// nodes checks what the nodes of a shard hold, and then their leases.
func (w *walk) nodes(shard int) error {
	return w.scan(func(cursor uint64) ([]string, uint64, error) {
		return w.scanSorted(w.store.Nodes(shard), cursor)
	}, func(nodes []string) error {
		for _, node := range nodes {
			if err := w.index(shard, node); err != nil {
				return err
			}
			if err := w.presences(shard, node); err != nil {
				return err
			}
		}
		overdue, err := w.store.Overdue(w.ctx, shard, nodes, w.opts.Overdue)
		if err != nil {
			return err
		}
		for _, row := range overdue {
			what := fmt.Sprintf("its lease of %v is from %v", row.Lease, row.LeasedAt.UTC().Format(time.DateTime))
			if err := w.found(Problem{Kind: NodeOverdue, Shard: shard, Node: row.Node, What: what}); err != nil {
				return err
			}
		}
		return nil
	})
}

// index checks the entries of a node's index.
func (w *walk) index(shard int, node string) error {
	return w.scanHash(w.store.Index(shard, node), func(entries []luascripts.Field) error {
		var places []luascripts.Place
		for _, entry := range entries {
			rooms, whole := luascripts.IndexEntry(entry.Value)
			if !whole {
				rooms = append(rooms, "") // for the entry itself
			}
			for _, room := range rooms {
				places = append(places, luascripts.Place{Room: room, Node: node, Short: entry.Name})
			}
		}
		return w.look(shard, places, func(st luascripts.Standing) error { return w.judgeIndex(shard, st) })
	})
}

func (w *walk) judgeIndex(shard int, st luascripts.Standing) error {
	if st.Entry == "" || !st.Listed {
		return nil // it has left, or its node has
	}
	if _, whole := luascripts.IndexEntry(st.Entry); !whole {
		return w.found(channel(IndexUnreadable, shard, st, fmt.Sprintf("its entry is %q", st.Entry)))
	}
	if !st.Seen {
		if err := w.found(channel(NotSeen, shard, st, "")); err != nil {
			return err
		}
	}
	if stray(st) {
		w.strays.add(shard, st.Place)
	}
	return nil
}

// channel returns a problem of a channel, whatever the room.
func channel(kind Kind, shard int, st luascripts.Standing, what string) Problem {
	p := place(kind, shard, st, what)
	p.Room = ""
	return p
}

// presences looks for channels that are seen but in no room.
func (w *walk) presences(shard int, node string) error {
	err := w.scan(func(cursor uint64) ([]string, uint64, error) {
		return w.scanSorted(w.store.Presences(shard, node), cursor)
	}, func(shorts []string) error {
		places := make([]luascripts.Place, len(shorts))
		for i, short := range shorts {
			places[i] = luascripts.Place{Node: node, Short: short}
		}
		return w.look(shard, places, func(st luascripts.Standing) error {
			if st.Seen && st.Entry == "" && st.Listed {
				return w.found(channel(SeenStray, shard, st, ""))
			}
			return nil
		})
	})
	return w.elsewhere(err)
}
