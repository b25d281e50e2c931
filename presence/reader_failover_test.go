package presence_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/nodetest"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// A process that only reads finds the new master of a cluster in seconds too: its
// client alone would ask for it a minute after the last time.
func TestAReaderFindsANewMaster(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	s := redistest.ClusterWithReplicas(t)
	newClient := func() redis.UniversalClient {
		return s.NewClient(t, func(o *redis.UniversalOptions) {
			o.ContextTimeoutEnabled = true
			o.PoolSize = 100 // a small one goes on dialing, after the test too
		})
	}
	n := nodetest.Start(t, newClient(), nodetest.Options{MayFail: true})
	n.Enter(t, "lobby", "ana")

	reads := map[string]func(ctx context.Context, r *presence.Reader) error{
		"snapshot":  func(ctx context.Context, r *presence.Reader) error { _, err := r.Snapshot(ctx, "lobby"); return err },
		"users":     func(ctx context.Context, r *presence.Reader) error { _, err := r.Users(ctx, "lobby"); return err },
		"counts":    func(ctx context.Context, r *presence.Reader) error { _, err := r.Counts(ctx, "lobby"); return err },
		"presences": func(ctx context.Context, r *presence.Reader) error { _, err := r.Presences(ctx, "lobby"); return err },
		"last seen": func(ctx context.Context, r *presence.Reader) error {
			_, err := r.LastSeen(ctx, "lobby", "ana")
			return err
		},
		"all": func(ctx context.Context, r *presence.Reader) error {
			for _, err := range r.All(ctx, "lobby") {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"rooms": func(ctx context.Context, r *presence.Reader) error {
			for _, err := range r.Rooms(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"nodes": func(ctx context.Context, r *presence.Reader) error { _, err := r.Nodes(ctx); return err },
	}
	readers := map[string]*presence.Reader{} // each asks for itself
	for what := range reads {
		reader, err := presence.NewReader(t.Context(), newClient(), nil)
		if err != nil {
			t.Fatal(err)
		}
		readers[what] = reader
	}
	master := s.Owner(s.Slot(n.Store().Room("lobby")))
	s.Node(master).Kill()
	s.AwaitFailOver(master)
	t.Run("reads", func(t *testing.T) {
		for what, read := range reads {
			t.Run(what, func(t *testing.T) {
				t.Parallel()
				redistest.Eventually(t, patience, func() error {
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
					defer cancel()
					return read(ctx, readers[what])
				})
			})
		}
	})
}
