package presence_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
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
	layer, err := groups.New(t.Context(), s.NewClient(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer layer.Close(t.Context())
	tracker, err := presence.New(t.Context(), layer, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tracker.Close(t.Context())
	ch, err := layer.NewChannel()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := tracker.Add(t.Context(), "lobby", ch.Name(), presence.Member{User: "ana"}); err != nil {
		t.Fatal(err)
	}

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
		readers[what], err = presence.NewReader(t.Context(), s.NewClient(t, func(o *redis.UniversalOptions) {
			o.ContextTimeoutEnabled = true
		}), nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	master := s.Owner(s.Slot(layer.Store().Room("lobby")))
	s.Node(master).Kill()
	s.AwaitFailOver(master)
	for what, read := range reads {
		t.Run(what, func(t *testing.T) {
			redistest.Eventually(t, 20*time.Second, func() error {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				return read(ctx, readers[what])
			})
		})
	}
	s.Replica(master).Start() // or clients go on looking for it
	s.AwaitReplica(master)
}
