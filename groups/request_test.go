package groups_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

// A node that closes says so to whoever waits for an answer.
func TestAnswerOfANodeThatCloses(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		asked, other := newLayer(t, s), newLayer(t, s)
		asked.Respond("wait", func(ctx context.Context, _ []byte) (any, error) {
			<-ctx.Done()
			return nil, groups.ErrClosed
		})
		answered := make(chan error)
		go func() { answered <- other.AskNode(t.Context(), asked.NodeID(), "wait", nil, nil) }()
		synctest.Wait()
		if err := asked.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-answered; !errors.Is(err, groups.ErrClosed) {
			t.Errorf("answered %v", err)
		}
	})
}
