package redistest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"
)

const (
	// migrateKeys is how many keys a MIGRATE moves. It blocks both masters.
	migrateKeys = 100
	// migrateSlots is how many slots Rebalance has on their way at a time. A
	// master writes its file, with fsync, after each round of changes.
	migrateSlots = 128
)

// Slot returns the slot of a key.
func (s *Server) Slot(key string) int {
	s.t.Helper()
	var slot int64
	s.Node(0).ask("slot of", func(ctx context.Context, c *redis.Client) (err error) {
		slot, err = c.ClusterKeySlot(ctx, key).Result()
		return err
	})
	return int(slot)
}

// Owner returns the number of the master that serves a slot.
func (s *Server) Owner(slot int) int {
	s.t.Helper()
	return s.owners()[slot]
}

// owners returns the master of each slot, as the first one sees it.
func (s *Server) owners() []int {
	s.t.Helper()
	index := map[string]int{}
	for i, addr := range s.Addrs {
		index[addr] = i
	}
	owners := make([]int, slots)
	s.Node(0).ask("slots of", func(ctx context.Context, c *redis.Client) error {
		ranges, err := c.ClusterSlots(ctx).Result()
		for _, r := range ranges {
			i, ok := index[r.Nodes[0].Addr]
			if !ok {
				return fmt.Errorf("a stranger serves slot %d: %s", r.Start, r.Nodes[0].Addr)
			}
			for slot := r.Start; slot <= r.End; slot++ {
				owners[slot] = i
			}
		}
		return err
	})
	return owners
}

// A Migration is a slot on its way to another master. Until it is finished, the
// old owner answers for the keys that it has and says ASK for others, and a
// command that needs keys of both is told TRYAGAIN.
type Migration struct {
	s    *Server
	slot int
	way
}

// MigrateSlot moves a slot with its keys to the master of that number.
func (s *Server) MigrateSlot(slot, to int) {
	s.t.Helper()
	s.BeginMigration(slot, to).Finish()
}

// BeginMigration begins to move a slot to the master of that number.
func (s *Server) BeginMigration(slot, to int) *Migration {
	s.t.Helper()
	nodes := s.cluster()
	m := &Migration{s, slot, way{nodes[s.Owner(slot)], nodes[to]}}
	if m.from == m.to {
		s.t.Fatalf("slot %d is there already", slot)
	}
	m.do(func(ctx context.Context, c clients) error { return c.begin(ctx, m.way, slot) })
	return m
}

// Move moves up to n keys, and returns how many there were.
func (m *Migration) Move(n int) (moved int) {
	m.s.t.Helper()
	m.do(func(ctx context.Context, c clients) (err error) {
		moved, err = c.move(ctx, m.way, m.slot, n)
		return err
	})
	return moved
}

// MoveKeys moves these keys.
func (m *Migration) MoveKeys(keys ...string) {
	m.s.t.Helper()
	m.do(func(ctx context.Context, c clients) error { return c.migrate(ctx, m.way, keys) })
}

// Finish moves what is left, and gives the slot to its new owner.
func (m *Migration) Finish() {
	m.s.t.Helper()
	m.do(func(ctx context.Context, c clients) error { return c.finish(ctx, m.way, m.slot) })
}

func (m *Migration) do(f func(context.Context, clients) error) {
	m.s.t.Helper()
	if err := m.s.with(f); err != nil {
		m.s.t.Fatalf("migrate slot %d from %s to %s: %v", m.slot, m.from.address(), m.to.address(), err)
	}
}

// AddMaster starts another master, without slots, and returns its number.
// [Server.Rebalance] gives it its share.
func (s *Server) AddMaster() int {
	s.t.Helper()
	nodes := s.cluster()
	p, err := newProcess(serverPath(s.t), s.bus.args(clusterArgs(nil)))
	if err != nil {
		s.t.Fatalf("start master: %v", err)
	}
	s.t.Cleanup(func() { finish(s.t, p) })
	if err = p.once(func(ctx context.Context, c *redis.Client) error { return meet(ctx, c, nodes[0]) }); err == nil {
		err = clusterReady([]*process{p})
	}
	id, idErr := p.clusterID()
	for _, n := range nodes {
		err = errors.Join(err, idErr, n.await(func(ctx context.Context, c *redis.Client) error {
			return c.Do(ctx, "CLUSTER", "COUNT-FAILURE-REPORTS", id).Err() // an error if not known
		}))
	}
	if err != nil {
		s.t.Fatalf("another master: %v", err)
	}
	s.nodes, s.replicas, s.Addrs = append(s.nodes, p), append(s.replicas, nil), append(s.Addrs, p.address())
	return len(s.nodes) - 1
}

// Rebalance migrates slots until each master has its share.
func (s *Server) Rebalance() {
	s.t.Helper()
	nodes, owners := s.cluster(), s.owners()
	excess := make([]int, len(nodes))
	for i := range excess {
		excess[i] = -((i+1)*slots/len(nodes) - i*slots/len(nodes))
	}
	for _, i := range owners {
		excess[i]++
	}
	moves := map[way][]int{}
	to := 0
	for slot, from := range owners {
		if excess[from] <= 0 {
			continue
		}
		for excess[to] >= 0 {
			to++
		}
		w := way{nodes[from], nodes[to]}
		moves[w] = append(moves[w], slot)
		excess[from]--
		excess[to]++
	}
	err := s.with(func(ctx context.Context, c clients) error {
		for w, all := range moves {
			for some := range slices.Chunk(all, migrateSlots) {
				if err := c.begin(ctx, w, some...); err != nil {
					return err
				}
				if err := c.finish(ctx, w, some...); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		s.t.Fatalf("rebalance: %v", err)
	}
}

// A way leads from one master to another.
type way struct{ from, to *process }

// clients are connections to all masters, with their ids.
type clients map[*process]*clusterClient

type clusterClient struct {
	*redis.Client
	id string
}

// with calls f with clients that exist for this call only.
func (s *Server) with(f func(context.Context, clients) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	all := clients{}
	for _, p := range s.processes() {
		id, err := p.clusterID()
		if err != nil {
			return err
		}
		c := &clusterClient{p.admin(), id}
		defer c.Close()
		all[p] = c
	}
	return f(ctx, all)
}

func (all clients) begin(ctx context.Context, w way, slots ...int) error {
	if err := all[w.to].setSlots(ctx, slots, "IMPORTING", all[w.from].id); err != nil {
		return err
	}
	// What masters hear of an earlier move, late, may have them undo it.
	return poll(patience, func() error {
		err := all[w.from].setSlots(ctx, slots, "MIGRATING", all[w.to].id)
		if err != nil {
			for _, c := range all {
				_ = c.setSlots(ctx, slots, "NODE", all[w.from].id)
			}
		}
		return err
	})
}

func (c *clusterClient) setSlots(ctx context.Context, slots []int, state, id string) error {
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, slot := range slots {
			p.Do(ctx, "CLUSTER", "SETSLOT", slot, state, id)
		}
		return nil
	})
	return err
}

func (all clients) move(ctx context.Context, w way, slot, n int) (int, error) {
	keys, err := all[w.from].ClusterGetKeysInSlot(ctx, slot, n).Result()
	if err != nil {
		return 0, err
	}
	return len(keys), all.migrate(ctx, w, keys)
}

func (all clients) migrate(ctx context.Context, w way, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	args := []any{"MIGRATE", "127.0.0.1", w.to.port, "", 0, patience.Milliseconds(), "KEYS"}
	for _, key := range keys {
		args = append(args, key)
	}
	return all[w.from].Do(ctx, args...).Err()
}

func (all clients) finish(ctx context.Context, w way, slots ...int) error {
	for _, slot := range slots {
		for {
			n, err := all.move(ctx, w, slot, migrateKeys)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
		}
	}
	// The new owner is told first: the old one, once told, sends clients there.
	told := []*clusterClient{all[w.to], all[w.from]}
	for p, c := range all {
		if p != w.from && p != w.to {
			told = append(told, c)
		}
	}
	for _, c := range told {
		if err := c.setSlots(ctx, slots, "NODE", all[w.to].id); err != nil {
			return err
		}
	}
	return nil
}
