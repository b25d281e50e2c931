package faults_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

var connectionRows = []row{
	{"08", "subscriber connections drop", subscribersDropped, everywhere},
	{"09", "command connections drop", commandsDropped, everywhere},
	{"14", "a node is cut off", nodeCutOff, everywhere},
	{"15", "a node is cut off in one direction", nodeCutOffOneWay, everywhere},
	{"16", "a slow subscriber", slowSubscriber, everywhere},
	{"21", "no more connections", noMoreConnections, everywhere},
}

func subscribersDropped(t *testing.T, r run) { clientsKilled(t, r, "pubsub") }
func commandsDropped(t *testing.T, r run)    { clientsKilled(t, r, "normal") }

func clientsKilled(t *testing.T, r run, kind string) {
	f := newFleet(t, r, setup{nodes: 3})
	f.load()
	during(2*time.Second, 50*time.Millisecond, func() { f.s.KillClients(kind) })
	over := time.Now()
	f.calm()
	f.healed(over, back, "")
	f.finish()
}

func nodeCutOff(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 3, linked: true})
	f.cutOff("swallowed", func(l *redistest.Link) { l.Swallow(redistest.Both) })
	f.cutOff("refused", func(l *redistest.Link) { l.Cut() })
	f.finish()
}

func nodeCutOffOneWay(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 3, linked: true})
	f.cutOff("upstream", func(l *redistest.Link) { l.Swallow(redistest.Up) })
	f.cutOff("downstream", func(l *redistest.Link) { l.Swallow(redistest.Down) })
	f.finish()
}

// cutOff breaks the network of one node, under load. The others miss its members
// within the lease and a sweep, it says that it is degraded, and all is right
// soon after it is mended.
func (f *fleet) cutOff(what string, cut func(*redistest.Link)) {
	f.t.Helper()
	m := f.nodes[0]
	f.load()
	last(300 * time.Millisecond)
	back := f.excuse(0)
	start := time.Now()
	cut(m.link)
	redistest.Eventually(f.t, patience, func() error {
		if state := ask[string](f, m, "health", 0); state != "degraded" {
			return errors.New(state)
		}
		return nil
	})
	// It finds out when it next signs its lease, and waits for the client's limit.
	f.within(what+", degraded", start, lease/3+time.Second+2*slack)
	f.calm()
	m.away = true
	redistest.Eventually(f.t, patience, f.agree)
	f.within(what+", gone", start, callBound+lease+sweep+slack) // the load had to end
	m.away = false
	m.link.Heal()
	over := time.Now()
	f.healed(over, 2*lease+2*slack, what)
	back()
}

// within tells that something has happened since a time, and sees that it did in
// a bound.
func (f *fleet) within(what string, since time.Time, bound time.Duration) {
	f.t.Helper()
	took := time.Since(since)
	if took > bound+f.stood(since) {
		f.t.Errorf("row %s %s: after %.2f s, above the bound of %.2f s", f.row, what, took.Seconds(), bound.Seconds())
	}
	f.note(" "+what, "after", took, bound)
}

// A node that does not read is dropped by Redis, and finds out what it has missed.
func slowSubscriber(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 3, linked: true})
	f.s.SetConfig("client-output-buffer-limit", "pubsub 64kb 0 0")
	before, err := subscribers(t.Context(), f.client)
	if err != nil {
		t.Fatal(err)
	}
	back := f.excuse(0)
	slow := f.nodes[0]
	slow.link.Freeze(redistest.Down)
	slow.away = true
	f.load()
	redistest.Eventually(t, patience, func() error {
		if _, err := try[int](f, f.nodes[1], "send", sending{rooms[0], 60_000, 50}); err != nil {
			return err
		}
		n, err := subscribers(t.Context(), f.client)
		if err == nil && n >= before {
			err = fmt.Errorf("%d subscribers", n)
		}
		return err
	})
	f.calm()
	slow.away = false
	slow.link.Heal()
	f.healed(time.Now(), 2*lease+2*slack, "")
	back()
	f.finish()
}

// subscribers counts the connections to all masters that have subscriptions.
func subscribers(ctx context.Context, client redis.UniversalClient) (n int, err error) {
	err = masters(ctx, client, func(ctx context.Context, c *redis.Client) error {
		list, err := c.Do(ctx, "CLIENT", "LIST", "TYPE", "pubsub").Text()
		n += strings.Count(list, "\n")
		return err
	})
	return n, err
}

// Nodes that get fewer connections than they want go on with those that they
// have, and do not ask without a pause.
func noMoreConnections(t *testing.T, r run) {
	f := newFleet(t, r, setup{nodes: 3})
	before, err := opened(t.Context(), f.client)
	if err != nil {
		t.Fatal(err)
	}
	f.load()
	for i := range f.nodes { // who gets none is cut off
		defer f.excuse(i)()
	}
	var conns []*redis.Conn // which stay
	err = masters(t.Context(), f.client, func(ctx context.Context, c *redis.Client) error {
		conn := c.Conn()
		conns = append(conns, conn)
		return spare(ctx, conn, 6)
	})
	if err != nil {
		t.Fatal(err)
	}
	last(outage)
	for _, conn := range conns {
		if err := conn.ConfigSet(t.Context(), "maxclients", "10000").Err(); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	over := time.Now()
	f.calm()
	f.healed(over, 2*back, "")
	after, err := opened(t.Context(), f.client)
	if err != nil {
		t.Fatal(err)
	}
	if tries := after - before; tries > 3*500*int(outage/time.Second)*f.s.Nodes() {
		t.Errorf("row %s: %d connections tried", r, tries)
	}
	f.finish()
}

// spare ends all connections of clients to a server, which then takes so many, and
// what its replicas, the rest of the cluster and sentinels need.
func spare(ctx context.Context, c *redis.Conn, clients int) error {
	info, err := c.Info(ctx).Result()
	if err != nil {
		return err
	}
	list, err := c.Do(ctx, "CLIENT", "LIST").Text()
	if err != nil {
		return err
	}
	clients += sum(info, "cluster_connections", "connected_slaves") + strings.Count(list, " name=sentinel-")
	if err := c.ConfigSet(ctx, "maxclients", fmt.Sprint(clients)).Err(); err != nil {
		return err
	}
	for _, kind := range []string{"normal", "pubsub"} {
		if err := c.ClientKillByFilter(ctx, "TYPE", kind).Err(); err != nil {
			return err
		}
	}
	return nil
}

// opened counts the connections that clients have opened, or tried to.
func opened(ctx context.Context, client redis.UniversalClient) (int, error) {
	return statistic(ctx, client, "total_connections_received", "rejected_connections")
}
