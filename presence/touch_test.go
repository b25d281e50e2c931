package presence_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// without fails all scripts of a shard, whose tag it is set to.
type without struct{ tag atomic.Pointer[string] }

func (w *without) DialHook(next redis.DialHook) redis.DialHook { return next }
func (w *without) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (w *without) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		tag := w.tag.Load()
		if args := cmd.Args(); tag != nil && strings.HasPrefix(cmd.Name(), "eval") && len(args) > 3 &&
			strings.Contains(fmt.Sprint(args[3]), *tag) {
			cmd.SetErr(io.ErrUnexpectedEOF)
			return cmd.Err()
		}
		return next(ctx, cmd)
	}
}

// twoShards is a node that may lose one of its two shards, with a room in each, and
// another node that does not.
type twoShards struct {
	a, b    *node
	rooms   [2]string
	without *without
	pruner  *prune.Pruner
}

func newTwoShards(t *testing.T, s *redistest.Server) *twoShards {
	t.Helper()
	of, w := groups.Options{Shards: 2}, &without{}
	client := s.NewClient(t)
	client.AddHook(w)
	f := &twoShards{
		a: startNode(t, client, &of, presence.Options{}), b: startNode(t, s.NewClient(t), &of, presence.Options{}), without: w,
	}
	for i := 0; f.rooms[0] == "" || f.rooms[1] == ""; i++ {
		room := fmt.Sprint("room ", i)
		f.rooms[f.a.Store().Shard(room)] = room
	}
	var err error
	if f.pruner, err = prune.New(f.b.Tracker, nil); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *twoShards) lose(shard int) {
	tag := strings.TrimSuffix(f.a.Store().Rooms(shard), "rooms")
	f.without.tag.Store(&tag)
}

func (f *twoShards) heal() { f.without.tag.Store(nil) }

// pass lets time pass, with a sweep each second.
func (f *twoShards) pass(t *testing.T, d time.Duration) {
	t.Helper()
	for range d / time.Second {
		redistest.Advance(t, time.Second)
		if _, err := f.pruner.Presences(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// lastSeen returns how long ago the one presence of a room was last seen.
func (f *twoShards) lastSeen(t *testing.T, room string) time.Duration {
	t.Helper()
	list, err := f.b.Presences(t.Context(), room)
	if err != nil || len(list) != 1 {
		t.Fatalf("%s: %+v, %v", room, list, err)
	}
	return time.Since(list[0].LastSeen)
}

// While a shard is away, who goes silent leaves the others as ever.
func TestATouchIsNotRenewedByAnotherShard(t *testing.T) {
	const maxAge = time.Minute
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		f := newTwoShards(t, s)
		c := f.a.open(t)
		for _, room := range f.rooms {
			f.a.add(t, room, c, "ann")
		}
		f.lose(1)
		defer f.heal()
		f.a.Touch(c)
		f.pass(t, 3*maxAge)
		if counts, err := f.b.Counts(t.Context(), f.rooms[0]); err != nil || counts.Presences != 0 {
			t.Errorf("%+v, %v", counts, err)
		}
	})
}

// Who has gone silent while a shard was away is not taken for alive when it is back.
func TestASilentChannelIsNotTouchedByTheEndOfAnOutage(t *testing.T) {
	const maxAge = time.Minute
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		f := newTwoShards(t, s)
		c := f.a.open(t)
		f.a.add(t, f.rooms[1], c, "ann")
		f.lose(1)
		f.a.Touch(c)
		f.pass(t, 2*maxAge)
		f.heal()
		f.pass(t, maxAge/2)
		if counts, err := f.b.Counts(t.Context(), f.rooms[1]); err != nil || counts.Presences != 0 {
			t.Errorf("%+v, %v", counts, err)
		}
	})
}

// A touch that could not be written is written once its shard is back, there alone.
func TestATouchWaitsForItsShard(t *testing.T) {
	const away = 10 * time.Second
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		f := newTwoShards(t, s)
		c := f.a.open(t)
		for _, room := range f.rooms {
			f.a.add(t, room, c, "ann")
		}
		redistest.Advance(t, time.Second)
		f.lose(1)
		f.a.Touch(c)
		redistest.Advance(t, away)
		f.heal()
		redistest.Advance(t, away)
		if ago := f.lastSeen(t, f.rooms[1]); ago > away {
			t.Errorf("last seen %v ago in the shard that was away", ago)
		}
		if ago := f.lastSeen(t, f.rooms[0]); ago <= away {
			t.Errorf("last seen %v ago in the other", ago)
		}
	})
}
