package presence

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

// stranger is a node as the test drives it.
type stranger struct {
	*Tracker
	layer *groups.Layer
}

func newStranger(t *testing.T, s *redistest.Server) stranger {
	t.Helper()
	return newStrangerOn(t, s.NewClient(t))
}

func newStrangerOn(t *testing.T, client redis.UniversalClient) stranger {
	t.Helper()
	return newTrackerOn(t, newLayerOf(t, client, 0))
}

// newLayerOf takes 0 as the default number of shards.
func newLayerOf(t *testing.T, client redis.UniversalClient, shards int) *groups.Layer {
	t.Helper()
	layer, err := groups.New(t.Context(), client, &groups.Options{Shards: shards})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := layer.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return layer
}

func newTrackerOn(t *testing.T, layer *groups.Layer) stranger {
	t.Helper()
	tracker, err := New(t.Context(), layer, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tracker.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return stranger{tracker, layer}
}

func (n stranger) open(t *testing.T) *groups.Channel {
	t.Helper()
	c, err := n.layer.NewChannel()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// enter adds a new channel to a room.
func (n stranger) enter(t *testing.T, room string, m Member) *groups.Channel {
	t.Helper()
	c := n.open(t)
	if _, _, err := n.Add(t.Context(), room, c.Name(), m); err != nil {
		t.Fatal(err)
	}
	return c
}
