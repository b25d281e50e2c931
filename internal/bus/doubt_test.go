package bus_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/internal/bus"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

func TestDoubt(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		b, e, beside, other := newBus(t, client, time.Minute), &ear{}, &ear{}, &ear{}
		sub := b.Subscribe("{1}topic", e)
		first := sub.Connection()
		sub.Doubt(first)
		wait(t, sub, b.Subscribe("{1}beside", beside), b.Subscribe("{2}other", other))
		if first != 0 {
			t.Errorf("connection %d before it was confirmed", first)
		}
		for round := 1; round <= 3; round++ {
			at := sub.Connection()
			if at == 0 {
				t.Fatal("not confirmed")
			}
			for range 10 { // of what it was, not of what it is by then
				sub.Doubt(at)
				if sub.Connection() == at && !s.IsCluster() {
					t.Fatal("still relied on")
				}
			}
			redistest.Eventually(t, patience, func() error {
				if _, gaps := e.heard(); gaps < round {
					return fmt.Errorf("%d gaps, want %d", gaps, round)
				}
				return nil
			})
			wait(t, sub)
			if now := sub.Connection(); (now == at) != s.IsCluster() {
				t.Errorf("connection %d, was %d", now, at)
			}
			if _, gaps := e.heard(); gaps > round && !s.IsCluster() {
				t.Errorf("%d gaps, want %d", gaps, round)
			}
		}
		publish(t, client, "{1}topic", "x", 1)
		await(t, e, 1)
		_, mine := e.heard()
		_, lane := beside.heard()
		_, elsewhere := other.heard()
		if lane != mine || s.IsCluster() && elsewhere != 0 {
			t.Errorf("%d gaps, %d in the lane, %d elsewhere", mine, lane, elsewhere)
		}
		sub.Close()
	})
}

// Behind Sentinel the client finds the master when it connects. A connection to
// the one before, which lives on as a replica, is left for that only if told.
func TestDoubtLeavesADemotedMaster(t *testing.T) {
	demoted, promoted := redistest.Real(t), redistest.Real(t)
	var master atomic.Pointer[string]
	master.Store(&demoted.Addrs[0])
	client := demoted.NewClient(t, func(o *redis.UniversalOptions) {
		o.Dialer = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, *master.Load())
		}
	})
	b, e := newBus(t, client, time.Minute), &ear{}
	sub := b.Subscribe("topic", e)
	wait(t, sub)
	at := sub.Connection()
	if err := demoted.NewClient(t).SlaveOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	master.Store(&promoted.Addrs[0])
	publish(t, promoted.NewClient(t), "topic", "lost", 0)
	sub.Doubt(at)
	wait(t, sub)
	publish(t, promoted.NewClient(t), "topic", "heard", 1)
	if last := await(t, e, 1); last != "heard" {
		t.Fatal(last)
	}
	if _, gaps := e.heard(); gaps != 1 {
		t.Errorf("%d gaps", gaps)
	}
}

// A server that does not answer after a doubt is left long before silence alone
// would be a reason. One that answers is not.
func TestDoubtedServerThatIsSilentIsLeft(t *testing.T) {
	s := redistest.ClusterWithReplicas(t, "--cluster-replica-no-failover", "yes")
	client := s.NewClient(t)
	b := bus.New(client, bus.Options{Linger: time.Minute, KeepAlive: time.Hour, Logger: zap.NewNop()})
	defer b.Close()
	// Both are of the first master.
	e, other := &ear{}, &ear{}
	sub, beside, answered := b.Subscribe("{3}", e), b.Subscribe("{7}", other), b.Subscribe("{1}", &ear{})
	wait(t, sub, beside, answered)
	at, kept := sub.Connection(), answered.Connection()
	if at != beside.Connection() || at == kept {
		t.Fatalf("connections %d, %d and %d", at, beside.Connection(), kept)
	}
	answered.Doubt(kept)
	s.Node(0).Freeze()
	sub.Doubt(at)
	redistest.Eventually(t, patience, func() error {
		if beside.Connection() == at {
			return errors.New("still relied on")
		}
		return nil
	})
	s.Node(0).Thaw()
	wait(t, sub, beside, answered)
	if now := answered.Connection(); now != kept {
		t.Errorf("connection %d, was %d", now, kept)
	}
	for _, e := range []*ear{e, other} {
		if _, gaps := e.heard(); gaps != 1 {
			t.Errorf("%d gaps", gaps)
		}
	}
}
