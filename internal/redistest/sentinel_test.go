package redistest_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// Patient sentinels let a master be away; others replace it, and what was the
// master comes back as a replica.
func TestSentinelsReplaceAMaster(t *testing.T) {
	t.Parallel()
	w := redistest.Sentinels(t)
	w.DownAfter(time.Minute)
	client := w.NewClient(t, brisk)
	set(t, client, "before")
	s := w.Server()
	s.Freeze()
	mustFail(t, client, "frozen")
	s.Thaw()
	accepted(t, client)

	first := w.Master
	w.FailOver()
	w.AwaitReplica()
	accepted(t, client)
	if w.Replica != first {
		t.Fatal("they have not changed places")
	}

	w.DownAfter(500 * time.Millisecond)
	w.Master.Kill()
	w.AwaitFailOver()
	w.DownAfter(time.Minute)
	if w.Master != first {
		t.Fatal("the master was not replaced")
	}
	accepted(t, client)
	if !exists(t, client, "before") {
		t.Fatal("what the replica had is lost")
	}
	w.Replica.Start()
	w.AwaitReplica()
}

// A link breaks all ways on which a client might go: to sentinels and replicas too.
func TestLinkToAllThatClientsKnow(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) (*redistest.Server, int){
		"sentinels": func(t *testing.T) (*redistest.Server, int) { return redistest.Sentinels(t).Server(), 5 },
		"cluster":   func(t *testing.T) (*redistest.Server, int) { return redistest.ClusterWithReplicas(t), 6 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, want := start(t)
			l := s.NewLink(t)
			if n := len(l.Routes()); n != want {
				t.Fatalf("%d routes, want %d", n, want)
			}
			for how, client := range map[string]redis.UniversalClient{
				"by the link": l.NewClient(t, brisk), "by routes": s.NewClient(t, brisk, redistest.Via(l.Routes())),
			} {
				accepted(t, client)
				l.Cut()
				mustFail(t, client, how)
				l.Heal()
				accepted(t, client)
			}
		})
	}
}
