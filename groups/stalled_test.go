package groups_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

// stalled holds up all pipelines of a client until it is closed.
type stalled chan struct{}

func (stalled) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (stalled) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (s stalled) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		<-s
		return next(ctx, cmds)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// While a server does not answer, callers that give up leave no messages behind.
func TestWhoGivesUpLeavesNoMessage(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		layer, err := groups.New(t.Context(), client, nil)
		if err != nil {
			t.Fatal(err)
		}
		wire := make(stalled)
		client.AddHook(wire)
		const messages, size = 300, 64 << 10
		before := heap()
		for range messages {
			ctx, stop := context.WithTimeout(t.Context(), time.Millisecond)
			err := layer.GroupSend(ctx, "lobby", groups.Message{Type: "say", Payload: make([]byte, size)})
			stop()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
		}
		if after := heap(); after > before+messages*size/4 {
			t.Errorf("%d MiB are left", (after-before)>>20)
		}
		close(wire)
		if err := layer.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
