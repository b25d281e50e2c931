package redistest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// patience is for what must happen, however busy the machine is.
const patience = 30 * time.Second

// brisk makes a client try nothing twice, and give up when its context ends.
func brisk(o *redis.UniversalOptions) {
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = patience, patience, patience
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.ContextTimeoutEnabled = true
	// Otherwise a refused connection is remembered for a second.
	o.PoolSize = 100
}

func exists(t testing.TB, client redis.UniversalClient, key string) bool {
	t.Helper()
	var n int64
	redistest.Eventually(t, patience, func() (err error) {
		n, err = client.Exists(context.Background(), key).Result()
		return err
	})
	return n == 1
}

func testFaults(t *testing.T, s *redistest.Server) {
	ctx, client := t.Context(), s.NewClient(t, brisk)

	set(t, client, "key")
	sha, err := client.ScriptLoad(ctx, "return 1").Result()
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if err := client.Ping(ctx).Err(); err == nil {
		t.Fatal("a stopped server answers")
	}
	if s.PID() != 0 {
		t.Fatal("a stopped server has a process")
	}
	s.Start()
	if !exists(t, client, "key") {
		t.Fatal("the data did not survive a restart")
	}
	if err := client.EvalSha(ctx, sha, nil).Err(); !redis.HasErrorPrefix(err, "NOSCRIPT") {
		t.Fatalf("a script survived a restart: %v", err)
	}

	s.Restart(true)
	if exists(t, client, "key") {
		t.Fatal("the data survived an empty restart")
	}

	s.Freeze()
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if err := client.Ping(short).Err(); err == nil {
		t.Fatal("a frozen server answers")
	}
	s.Thaw()
	exists(t, client, "key")

	one, ok := client.(*redis.Client)
	if !ok {
		return // a cluster's client has no connection to look at
	}
	conn := one.Conn()
	defer conn.Close()
	if err := conn.Ping(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	s.DropClients()
	if err := conn.Ping(ctx).Err(); err == nil {
		t.Fatal("a connection was not dropped")
	}
	exists(t, client, "key")
}

func TestFaults(t *testing.T) { redistest.Each(t, testFaults) }

func TestFaultsInBubble(t *testing.T) { redistest.Bubble(t, testFaults) }

func TestFrozenServerIsCleanedUp(t *testing.T) {
	redistest.Each(t, func(_ *testing.T, s *redistest.Server) { s.Freeze() })
}

func TestClusterReplicaTakesOver(t *testing.T) {
	s := redistest.Cluster(t)
	replica := s.AddReplica(0).NewClient(t)
	s.Node(0).Kill()
	redistest.Eventually(t, patience, func() error {
		info, err := replica.Info(t.Context(), "replication").Result()
		if err == nil && !strings.Contains(info, "role:master") {
			err = errors.New("still a replica")
		}
		return err
	})
}

func TestProcessEndsWithTest(t *testing.T) {
	var pid int
	t.Run("server", func(t *testing.T) { pid = redistest.Real(t).PID() })
	if pid == 0 {
		return // skipped
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
		t.Fatalf("process %d is still there", pid)
	}
}

func TestExtraArguments(t *testing.T) {
	s := redistest.Real(t, "--maxclients", "20")
	got, err := s.NewClient(t).ConfigGet(t.Context(), "maxclients").Result()
	if err != nil || got["maxclients"] != "20" {
		t.Fatalf("%v, %v", got, err)
	}
}
