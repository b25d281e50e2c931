package faults_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

var connectionRows = []row{
	{"08", "subscriber connections drop", subscribersDropped},
	{"09", "command connections drop", commandsDropped},
	{"14", "a node is cut off", nodeCutOff},
	{"15", "a node is cut off in one direction", nodeCutOffOneWay},
	{"16", "a slow subscriber", slowSubscriber},
	{"21", "no more connections", noMoreConnections},
}

func subscribersDropped(t *testing.T, number string) { clientsKilled(t, number, "pubsub") }
func commandsDropped(t *testing.T, number string)    { clientsKilled(t, number, "normal") }

func clientsKilled(t *testing.T, number, kind string) {
	f := newFleet(t, redistest.Real(t), number, setup{nodes: 3})
	f.load()
	during(2*time.Second, 50*time.Millisecond, func() { f.s.KillClients(kind) })
	over := time.Now()
	f.calm()
	f.healed(over, back, "")
	f.finish()
}

func nodeCutOff(t *testing.T, number string) {
	f := newFleet(t, redistest.Real(t), number, setup{nodes: 3, linked: true})
	f.cutOff("swallowed", func(l *redistest.Link) { l.Swallow(redistest.Both) })
	f.cutOff("refused", func(l *redistest.Link) { l.Cut() })
	f.finish()
}

func nodeCutOffOneWay(t *testing.T, number string) {
	f := newFleet(t, redistest.Real(t), number, setup{nodes: 3, linked: true})
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
	if took > bound {
		f.t.Errorf("row %s %s: after %.2f s, above the bound of %.2f s", f.row, what, took.Seconds(), bound.Seconds())
	}
	f.note(" "+what, "after", took, bound)
}

// A node that does not read is dropped by Redis, and finds out what it has missed.
func slowSubscriber(t *testing.T, number string) {
	f := newFleet(t, redistest.Real(t), number, setup{nodes: 3, linked: true})
	f.s.SetConfig("client-output-buffer-limit", "pubsub 64kb 0 0")
	back := f.excuse(0)
	slow := f.nodes[0]
	slow.link.Freeze(redistest.Down)
	slow.away = true
	f.load()
	redistest.Eventually(t, patience, func() error {
		if _, err := try[int](f, f.nodes[1], "send", sending{rooms[0], 60_000, 50}); err != nil {
			return err
		}
		subscribers, err := f.client.Do(t.Context(), "CLIENT", "LIST", "TYPE", "pubsub").Text()
		if n := strings.Count(subscribers, "\n"); err == nil && n != len(f.nodes)-1 {
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

// statistic returns a number of INFO.
func statistic(info, name string) int {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(value))
			return n
		}
	}
	return 0
}

// Nodes that get fewer connections than they want go on with those that they
// have, and do not ask without a pause.
func noMoreConnections(t *testing.T, number string) {
	f := newFleet(t, redistest.Real(t), number, setup{nodes: 3})
	before, err := received(t.Context(), f.client)
	if err != nil {
		t.Fatal(err)
	}
	f.load()
	conn := f.client.(*redis.Client).Conn() // stays
	defer conn.Close()
	limit := func(clients string) {
		if err := conn.ConfigSet(t.Context(), "maxclients", clients).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range f.nodes { // who gets none is cut off
		defer f.excuse(i)()
	}
	limit("6")
	for _, kind := range []string{"normal", "pubsub"} {
		if err := conn.ClientKillByFilter(t.Context(), "TYPE", kind).Err(); err != nil {
			t.Fatal(err)
		}
	}
	last(outage)
	limit("10000")
	over := time.Now()
	f.calm()
	f.healed(over, 2*back, "")
	after, err := received(t.Context(), f.client)
	if err != nil {
		t.Fatal(err)
	}
	if tries := after - before; tries > 3*500*int(outage/time.Second) {
		t.Errorf("row %s: %d connections tried", number, tries)
	}
	f.finish()
}

func received(ctx context.Context, client redis.UniversalClient) (int, error) {
	info, err := client.Info(ctx, "stats").Result()
	if err != nil {
		return 0, fmt.Errorf("info: %w", err)
	}
	return statistic(info, "total_connections_received") + statistic(info, "rejected_connections"), nil
}
