package redistest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// keysOf returns n keys, one of each master if that many.
func keysOf(s *redistest.Server, n int) []string {
	keys := make([]string, 0, n)
	for i := 0; len(keys) < n; i++ {
		key := fmt.Sprint("key", i)
		if s.Owner(s.Slot(key)) == len(keys)%s.Nodes() {
			keys = append(keys, key)
		}
	}
	return keys
}

// to asks one master alone.
func to(t testing.TB, s *redistest.Server, i int, args ...any) error {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.Addrs[i], MaxRetries: -1})
	defer client.Close()
	err := client.Do(t.Context(), args...).Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

func TestSlotMigrates(t *testing.T) {
	s := redistest.Cluster(t, "--cluster-node-timeout", "60000")
	client := s.NewClient(t)
	slot := s.Slot("{room}")
	from := s.Owner(slot)
	target := (from + 1) % s.Nodes()
	for i := range 10 {
		set(t, client, fmt.Sprint("{room}", i))
	}

	m := s.BeginMigration(slot, target)
	m.MoveKeys("{room}3")
	if err := to(t, s, from, "GET", "{room}3"); !redis.HasErrorPrefix(err, "ASK") {
		t.Fatalf("a key that has moved: %v", err)
	}
	if err := to(t, s, from, "GET", "{room}4"); err != nil {
		t.Fatalf("a key that has not: %v", err)
	}
	if err := to(t, s, from, "MGET", "{room}3", "{room}4"); !redis.HasErrorPrefix(err, "TRYAGAIN") {
		t.Fatalf("keys of both: %v", err)
	}
	if n := m.Move(4); n != 4 {
		t.Fatalf("%d keys moved", n)
	}
	if s.Owner(slot) != from {
		t.Fatal("half way, it has a new owner")
	}
	for i := range 10 {
		if !exists(t, client, fmt.Sprint("{room}", i)) {
			t.Fatalf("key %d is lost on the way", i)
		}
	}

	m.Finish()
	if s.Owner(slot) != target {
		t.Fatal("it has no new owner")
	}
	if err := to(t, s, from, "GET", "{room}4"); !redis.HasErrorPrefix(err, "MOVED") {
		t.Fatalf("at the old owner: %v", err)
	}
	for i := range 10 {
		if !exists(t, client, fmt.Sprint("{room}", i)) {
			t.Fatalf("key %d is lost", i)
		}
	}
	s.MigrateSlot(slot, from)
	if s.Owner(slot) != from {
		t.Fatal("it did not go back")
	}
}

func TestClusterGrows(t *testing.T) {
	s := redistest.Cluster(t, "--cluster-node-timeout", "60000")
	client := s.NewClient(t)
	for i := range 500 {
		set(t, client, fmt.Sprint("key", i))
	}
	if i := s.AddMaster(); i != 3 || s.Nodes() != 4 || len(s.Addrs) != 4 {
		t.Fatalf("master %d of %d", i, s.Nodes())
	}
	begin := time.Now()
	s.Rebalance()
	t.Logf("rebalanced in %v", time.Since(begin))
	for i := range 4 {
		info, err := s.Node(i).NewClient(t).ClusterInfo(t.Context()).Result()
		if err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_size:4") {
			t.Fatalf("master %d: %s, %v", i, info, err)
		}
		if n, err := s.Node(i).NewClient(t).DBSize(t.Context()).Result(); n < 50 || err != nil {
			t.Fatalf("master %d has %d keys, %v", i, n, err)
		}
	}
	for i := range 500 {
		if !exists(t, client, fmt.Sprint("key", i)) {
			t.Fatalf("key %d is lost", i)
		}
	}
}

func TestClusterFailsOver(t *testing.T) {
	s := redistest.ClusterWithReplicas(t, "--cluster-require-full-coverage", "no")
	ctx, client := t.Context(), s.NewClient(t)
	keys := keysOf(s, 3)
	for _, key := range keys {
		set(t, client, key)
	}
	before := slices.Clone(s.Addrs)

	// In good order.
	s.FailOver(0)
	if s.Addrs[0] == before[0] || s.Owner(s.Slot(keys[0])) != 0 || !exists(t, client, keys[0]) {
		t.Fatalf("%v after %v", s.Addrs, before)
	}

	// By a death. Other slots do not notice.
	s.Node(1).Kill()
	begin := time.Now()
	if err := client.Get(ctx, keys[2]).Err(); err != nil {
		t.Fatal(err)
	}
	s.AwaitFailOver(1)
	t.Logf("failover after a kill: %v", time.Since(begin))
	// A client that is refused does not look for the new master until it
	// reloads the slots, which go-redis does once a minute.
	if s.Addrs[1] == before[1] || !exists(t, s.NewClient(t), keys[1]) {
		t.Fatalf("%v after %v", s.Addrs, before)
	}
	s.Replica(1).Start()
	s.AwaitReplica(1)

	// And back, as that one is a replica now.
	s.Node(1).Freeze()
	s.AwaitFailOver(1)
	if s.Addrs[1] != before[1] || !exists(t, s.NewClient(t), keys[1]) {
		t.Fatalf("%v after %v", s.Addrs, before)
	}
	s.Replica(1).Thaw()
	s.AwaitReplica(1)
}

// A master that is cut off accepts writes for a while, which are lost.
func TestClusterIsolatesAMaster(t *testing.T) {
	s := redistest.ClusterWithReplicas(t)
	keys := keysOf(s, 3)
	old := s.Addrs[0]
	if err := to(t, s, 0, "SET", keys[0], "kept"); err != nil {
		t.Fatal(err)
	}
	s.Isolate(0)
	if err := to(t, s, 0, "SET", keys[0], "lost"); err != nil {
		t.Fatalf("it does not take writes: %v", err)
	}
	s.AwaitFailOver(0)
	isolated := redis.NewClient(&redis.Options{Addr: old, MaxRetries: -1})
	defer isolated.Close()
	redistest.Eventually(t, patience, func() error {
		if err := isolated.Get(t.Context(), keys[0]).Err(); !redis.HasErrorPrefix(err, "CLUSTERDOWN") {
			return fmt.Errorf("it does not know that it is alone: %v", err)
		}
		return nil
	})
	client := s.NewClient(t)
	if got, err := client.Get(t.Context(), keys[0]).Result(); got != "kept" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	for _, key := range keys[1:] {
		set(t, client, key)
	}
	s.Reunite(0)
	s.AwaitReplica(0)
	if err := isolated.Set(t.Context(), keys[0], "x", 0).Err(); !redis.HasErrorPrefix(err, "MOVED") {
		t.Fatalf("reunited: %v", err)
	}
}

// Part of the keyspace is down, and the rest does not notice.
func TestClusterServesInPart(t *testing.T) {
	s := redistest.Cluster(t, "--cluster-require-full-coverage", "no")
	client := s.NewClient(t, brisk)
	keys := keysOf(s, 3)
	for _, key := range keys {
		set(t, client, key)
	}
	s.Node(0).Stop()
	redistest.Eventually(t, patience, func() error {
		info, err := s.Node(1).NewClient(t).ClusterInfo(context.Background()).Result()
		if err == nil && strings.Contains(info, "cluster_slots_fail:0") {
			err = errors.New("not noticed")
		}
		return err
	})
	mustFail(t, client, keys[0])
	for _, key := range keys[1:] {
		set(t, client, key)
	}
	s.Start()
	eventually(t, client, keys[0])
}
