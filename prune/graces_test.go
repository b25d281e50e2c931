package prune_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// The clock goes back after a sweep has read it: graces that were over are not, and
// it asks for them no more.
func TestTheClockGoesBackUnderASweepOfGraces(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, time.Minute)
		for _, user := range []string{"ann", "bob"} {
			if _, err := n.LeaveAllAfter(t.Context(), n.Enter(t, "lobby", user).Name(), presence.Left, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		redistest.Advance(t, 2*time.Second)
		client := s.NewClient(t)
		reader, err := presence.NewReader(t.Context(), client, nil)
		if err != nil {
			t.Fatal(err)
		}
		pruner, err := prune.New(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		calls := 0
		client.AddHook(before(func(cmd redis.Cmder) {
			if cmd.Name() != "zrangebyscore" || cmd.Args()[1] != n.Store().Grace(0) {
				return
			}
			s.SkewClock(-2 * time.Second) // less than makes a hold
			if calls++; calls == 10 {
				stop()
			}
		}))
		if _, err := pruner.Presences(ctx); err != nil || calls > 2 {
			t.Errorf("asked %d times, %v", calls, err)
		}
		redistest.Advance(t, 3*time.Second)
		if changes, err := pruner.Presences(t.Context()); err != nil || len(changes) != 1 || len(changes[0].Removed) != 2 {
			t.Errorf("%+v, %v", changes, err)
		}
	})
}

// before is called before each command of a client that is in no pipeline.
type before func(cmd redis.Cmder)

func (b before) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b before) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (b before) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		b(cmd)
		return next(ctx, cmd)
	}
}
