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
	layer, err := groups.New(t.Context(), client, nil)
	if err != nil {
		t.Fatal(err)
	}
	tracker, err := New(t.Context(), layer, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tracker.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := layer.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return stranger{tracker, layer}
}
