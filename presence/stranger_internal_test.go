package presence

import (
	"context"
	"testing"

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
	layer, err := groups.New(t.Context(), s.NewClient(t), nil)
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
