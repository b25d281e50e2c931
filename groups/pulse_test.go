package groups_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/hashslot"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

// A pulse is heard in the very slot of its shard, as a script there publishes it.
func TestPulse(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		l := newLayer(t, s)
		newLayer(t, s) // another node's are not this one's
		publish := "PUBLISH"
		if s.IsCluster() {
			publish = "SPUBLISH"
		}
		beat := func(p groups.Pulse) (heard int) {
			t.Helper()
			heard, err := client.Eval(t.Context(), "return redis.call('"+publish+"', KEYS[1], '')", []string{p.Topic()}).Int()
			if err != nil {
				t.Fatal(err)
			}
			return heard
		}
		for shard := range l.Store().Shards() {
			if p := l.Pulse(shard); p.Connection() == 0 || beat(p) != 1 {
				t.Errorf("shard %d: connection %d, %d hear it", shard, p.Connection(), beat(p))
			}
		}
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for shard := range l.Store().Shards() {
			redistest.Eventually(t, patience, func() error {
				if n := beat(l.Pulse(shard)); n != 0 {
					return fmt.Errorf("shard %d: %d hear it after the end", shard, n)
				}
				return nil
			})
		}
		if got := l.Stats(); got.Dropped() != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// A doubt about a shard is told to those who listen there, and to nobody else.
func TestPulseInDoubt(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		l := newLayer(t, s)
		listeners := make(map[int]*listener) // by shard
		for i := 0; len(listeners) < l.Store().Shards(); i++ {
			room := fmt.Sprint("room ", i)
			if listeners[l.Store().Shard(room)] != nil {
				continue
			}
			ls := newListener()
			listeners[l.Store().Shard(room)] = ls
			listening, err := l.Listen(room, ls)
			if err == nil {
				err = listening.Wait(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			defer listening.Close()
		}
		for shard, ls := range listeners {
			p := l.Pulse(shard)
			at := p.Connection()
			p.Doubt(at)
			p.Doubt(at + 1000) // of no connection that there is
			await(t, "gap", ls.gaps)
			redistest.Eventually(t, patience, func() error {
				if p.Connection() == 0 {
					return fmt.Errorf("shard %d: not confirmed again", shard)
				}
				return nil
			})
		}
		for shard, ls := range listeners {
			if n := len(ls.gaps); n != 0 {
				t.Errorf("shard %d: %d gaps more", shard, n)
			}
		}
	})
}

// A master that does not answer holds up what is sent there, and nothing else.
func TestShardThatIsAway(t *testing.T) {
	s := redistest.ClusterWithReplicas(t, "--cluster-replica-no-failover", "yes")
	l, other := newLayer(t, s), newLayerOn(t, s.NewClient(t, unhurried), nil)
	// A member in a group of each shard.
	members := make(map[string]*groups.Channel)
	for i, shards := 0, map[int]bool{}; len(shards) < l.Store().Shards(); i++ {
		group := fmt.Sprint("group ", i)
		if shard := l.Store().Shard(group); !shards[shard] {
			shards[shard] = true
			members[group] = newChannel(t, l, group)
		}
	}
	away := func(group string) bool { return hashslot.Of(l.Store().Room(group)) < hashslot.Count/3 }
	s.Node(0).Freeze()
	defer s.Node(0).Thaw()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for group := range members {
		if away(group) {
			go other.GroupSend(ctx, group, text("held up"))
		}
	}
	begin := time.Now()
	for range 10 {
		for group, c := range members {
			if !away(group) {
				groupSend(t, other, group, "at once")
				receive(t, c, "at once")
			}
		}
	}
	if took := time.Since(begin); took > patience {
		t.Errorf("took %v", took)
	}
}
