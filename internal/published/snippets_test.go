package published

import (
	"context"
	"encoding/base64"
	"os"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/presencetest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// follow is how docs/views.md begins.
func follow(ctx context.Context, tracker *presence.Tracker, show func(presence.Snapshot), change func(presence.Diff)) error {
	w, err := tracker.Watch(ctx, "lobby", nil)
	if err != nil {
		return err
	}
	defer w.Close()
	show(w.Start()) // presences, counts, revision
	for {
		d, err := w.Next(ctx) // waits for the next difference
		if err != nil {
			return err
		}
		change(d) // Added, Removed, Updated, UsersCame, UsersWent, Counts
	}
}

// enter is how to read one's own write, of docs/views.md.
func enter(ctx context.Context, tracker *presence.Tracker, w *presence.Watcher, channel *groups.Channel, member presence.Member) error {
	_, revision, err := tracker.Add(ctx, "lobby", channel.Name(), member)
	if err != nil {
		return err
	}
	if err := w.WaitFor(ctx, revision); err != nil { // the context is the limit
		return err
	}
	// w.Snapshot() has the presence, unless it has left since
	return nil
}

func TestViews(t *testing.T) {
	presencetest.Run(t, 1, nil, func(t *testing.T, fleet *presencetest.Fleet) {
		n := fleet.Node(0)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		shown, diffs, ended := make(chan presence.Snapshot, 1), make(chan presence.Diff, 1), make(chan error, 1)
		go func() {
			ended <- follow(ctx, n.Tracker, func(s presence.Snapshot) { shown <- s }, func(d presence.Diff) { diffs <- d })
		}()
		if s := <-shown; len(s.Presences) != 0 {
			t.Errorf("begins with %+v", s)
		}
		w, err := n.Tracker.Watch(ctx, "lobby", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		channel, err := n.Layer.NewChannel()
		if err == nil {
			err = enter(ctx, n.Tracker, w, channel, presence.Member{User: "ann"})
		}
		if err != nil || len(w.Snapshot().Presences) != 1 {
			t.Errorf("%+v, %v", w.Snapshot(), err)
		}
		if d := <-diffs; len(d.UsersCame) != 1 {
			t.Errorf("%+v", d)
		}
		stop()
		if err := <-ended; err == nil {
			t.Error("it ended with no error")
		}
	})
}

// sealed is how docs/encryption.md begins.
func sealed(ctx context.Context, client redis.UniversalClient) error {
	key, err := base64.StdEncoding.DecodeString(os.Getenv("ROLLCALL_KEY")) // openssl rand -base64 32
	if err != nil {
		return err
	}
	layer, err := groups.New(ctx, client, &groups.Options{Keys: [][]byte{key}})
	if err != nil {
		return err
	}
	return layer.Close(ctx)
}

func TestEncryption(t *testing.T) {
	client := redistest.Mini(t).NewClient(t)
	for key, ok := range map[string]bool{base64.StdEncoding.EncodeToString(make([]byte, 32)): true, "not base64": false, "": false} {
		t.Setenv("ROLLCALL_KEY", key)
		if err := sealed(t.Context(), client); (err == nil) != ok {
			t.Errorf("key %q: %v", key, err)
		}
	}
}

// clusterClient is how docs/cluster.md begins.
func clusterClient() redis.UniversalClient {
	client := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs:                 []string{"redis-1:6379", "redis-2:6379", "redis-3:6379"}, // any of its nodes
		ContextTimeoutEnabled: true,
	})
	return client
}

// anyClient is of docs/operations.md.
func anyClient() redis.UniversalClient {
	client := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs:                 []string{"redis-1:6379"}, // several: a cluster, or with MasterName the sentinels
		IsClusterMode:         false,                    // true: a cluster, also with one address
		MasterName:            "",                       // Sentinel's name of the master
		Username:              "rollcall",
		Password:              os.Getenv("REDIS_PASSWORD"),
		TLSConfig:             nil,  // &tls.Config{...}: TLS
		ContextTimeoutEnabled: true, // calls end with their contexts
	})
	return client
}

func TestClients(t *testing.T) {
	cluster, one := clusterClient(), anyClient()
	if _, ok := cluster.(*redis.ClusterClient); !ok {
		t.Errorf("several addresses make a %T", cluster)
	}
	if _, ok := one.(*redis.Client); !ok {
		t.Errorf("one address makes a %T", one)
	}
	for _, client := range []redis.UniversalClient{cluster, one} {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
}
