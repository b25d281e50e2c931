package prune_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/nodetest"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// half is a tracker that knows that shard 0 does not answer.
type half struct{ *presence.Tracker }

func (half) Away(shard int) error {
	if shard == 0 {
		return presence.ErrUnavailable
	}
	return nil
}

func TestASweepLeavesOutWhatDoesNotAnswer(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		ctx := t.Context()
		n := nodetest.Start(t, s.NewClient(t), nodetest.Options{Groups: &groups.Options{Shards: 2}})
		pruner, err := prune.New(half{n.Tracker}, nil)
		if err != nil {
			t.Fatal(err)
		}
		rooms := map[int]string{}
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			rooms[n.Store().Shard(name)] = name
		}
		for _, room := range rooms {
			n.Enter(t, room, "")
		}
		redistest.Advance(t, 2*time.Minute)
		changes, err := pruner.Presences(ctx)
		if !errors.Is(err, presence.ErrUnavailable) || !strings.Contains(err.Error(), "shard 0") {
			t.Errorf("%v", err)
		}
		if len(changes) != 1 || changes[0].Room != rooms[1] {
			t.Errorf("%+v, rooms %v", changes, rooms)
		}
		deleted, err := pruner.Rooms(ctx)
		if len(deleted) != 1 || deleted[0] != rooms[1] || !errors.Is(err, presence.ErrUnavailable) {
			t.Errorf("%v, %v", deleted, err)
		}
	})
}

// Ten minutes without Redis are 120 sweeps, and no more lines than minutes.
func TestTheLogOfAnOutageIsShort(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		core, logs := observer.New(zapcore.InfoLevel)
		reader, err := presence.NewReader(t.Context(), s.NewClient(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		pruner, err := prune.New(reader, &prune.Options{Logger: zap.New(core)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		defer run.Wait()
		defer cancel()
		run.Go(func() { _ = pruner.Run(ctx) }) // ends with ctx
		s.Stop()
		redistest.Advance(t, 10*time.Minute)
		if n := logs.FilterMessage("not pruned").Len(); n < 10 || n > 12 || logs.Len() != n {
			t.Errorf("%d lines: %v", logs.Len(), logs.All())
		}
		s.Start()
		redistest.Advance(t, time.Minute)
		if logs.FilterMessage("pruned again").Len() != 1 {
			t.Errorf("%v", logs.All())
		}
	})
}
