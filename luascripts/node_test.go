package luascripts_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

const time24 = 24 * time.Hour

func TestRegisterTaken(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		r := w.registration()
		r.Token = "other"
		if _, err := w.Register(w.ctx, 0, r, "", false); !errors.Is(err, luascripts.ErrNodeTaken) || !strings.Contains(err.Error(), `"n1"`) {
			t.Fatalf("live lease: %v", err)
		}
		w.must(w.renew(w.inc[0])) // the holder was not disturbed

		r.Token = "t"
		inc, err := w.Register(w.ctx, 0, r, "", false)
		if err != nil || inc.ID == w.inc[0] {
			t.Fatalf("same token: %v, %v", inc, err)
		}
		r.Token = "other"
		w.leased(time.Minute + time.Second)
		if inc, err = w.Register(w.ctx, 0, r, "", false); err != nil {
			t.Fatalf("lapsed lease: %v", err)
		}
		for _, old := range w.inc {
			if err := w.renew(old); !errors.Is(err, luascripts.ErrFenced) {
				t.Fatalf("renew of the one before: %v", err)
			}
		}
		w.must(w.renew(inc.ID))
	})
}

// The old incarnation's presences stay until they are pruned or taken over.
func TestRegisterKeepsPresences(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""))
		w.register()
		w.agree("n1")
		if w.header("lobby").Presences != 1 {
			t.Fatal(w.header("lobby"))
		}
	})
}

func TestRegisterMismatch(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorldOf(t, s, 2, "n1")
		r := w.registration()
		r.Node = "n2"

		keys, err := luascripts.NewKeys("test", 4)
		w.must(err)
		store, err := luascripts.Open(w.ctx, w.c, keys)
		w.must(err)
		_, err = store.Register(w.ctx, 0, r, "", false)
		if !errors.Is(err, luascripts.ErrMismatch) || !strings.Contains(err.Error(), "4 shards") ||
			!strings.Contains(err.Error(), "has 2") {
			t.Fatalf("shards: %v", err)
		}
		if same := survey(store); same == nil || same.Error() != err.Error() {
			t.Fatalf("survey: %v", same)
		}
		w.must(survey(w.Store))
		w.must(w.c.HSet(w.ctx, w.Meta(1), "schema", "77").Err())
		_, err = w.Register(w.ctx, 1, r, "", false)
		if !errors.Is(err, luascripts.ErrMismatch) || !strings.Contains(err.Error(), "schema 77") ||
			!strings.Contains(err.Error(), fmt.Sprint("this is schema ", luascripts.SchemaVersion)) {
			t.Fatalf("schema: %v", err)
		}
		if same := survey(w.Store); same == nil || same.Error() != err.Error() {
			t.Fatalf("survey: %v", same)
		}
		s.Flush()
		w.must(survey(w.Store)) // where nothing was written anything fits
		for shard := range 2 {
			if n, err := w.c.Exists(w.ctx, w.Node(shard, "n2")).Result(); n != 0 || err != nil {
				t.Fatalf("a refused node has a row: %v", err)
			}
		}
	})
}

func TestRenew(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.leased(time.Hour)
		for _, inc := range []string{"", "1", w.inc[0] + "0"} {
			if err := w.renew(inc); !errors.Is(err, luascripts.ErrFenced) {
				t.Fatalf("incarnation %q: %v", inc, err)
			}
		}
		unknown := luascripts.Registration{Node: "n2", Lease: time.Minute, MaxAge: time.Minute}
		if _, _, err := w.Renew(w.ctx, 0, unknown, w.inc[0], 0); !errors.Is(err, luascripts.ErrFenced) {
			t.Fatalf("unknown node: %v", err)
		}
		if row := w.row(); w.now().Sub(row.LeasedAt) < time.Hour {
			t.Fatalf("a refused renewal counts: %+v", row)
		}
		w.must(w.renew(w.inc[0]))
		if row := w.row(); w.now().Sub(row.LeasedAt) > time.Minute || row.LeasedAt.After(w.now()) {
			t.Fatalf("%+v at %v", row, w.now())
		}
		w.agree("n1")
	})
}

// A node that finds that writes were lost, by a failover, has sweeps wait: the
// leases of others are missing as well.
func TestLostWritesHoldSweeps(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		mine, err := w.TakeTurn(w.ctx, 0, "sweeper")
		if err != nil || !mine {
			t.Fatal(mine, err)
		}
		_, err = w.Register(w.ctx, 0, w.registration(), w.epoch, true)
		w.must(err)
		if _, err := w.TakeTurn(w.ctx, 0, "sweeper"); !errors.Is(err, luascripts.ErrHeld) {
			t.Fatalf("%v", err)
		}
	})
}

// row is that of the one node there is.
func (w *world) row() luascripts.NodeRow {
	w.t.Helper()
	rows, now, err := w.NodeRows(w.ctx, 0)
	if err != nil || len(rows) != 1 || now.IsZero() {
		w.t.Fatal(rows, now, err)
	}
	return rows[0]
}

func TestNodeRows(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""), add("den", "1", "ann", ""), add("den", "2", "", ""))
		row := w.row()
		if row.Node != "n1" || row.Lease != time.Minute || row.MaxAge != time.Minute || row.Channels != 2 {
			t.Fatalf("%+v", row)
		}
		w.must(w.c.Del(w.ctx, w.Node(0, "n1")).Err())
		if row := w.row(); row.Lease != 0 || row.MaxAge != 0 || row.Channels != 2 {
			t.Fatalf("without its hash: %+v", row)
		}
		s.Flush()
		if rows, _, err := w.NodeRows(w.ctx, 0); err != nil || len(rows) != 0 {
			t.Fatal(rows, err)
		}
	})
}

func TestRetire(t *testing.T) {
	for _, tt := range []struct {
		name   string
		mine   bool // the node asks
		leased time.Duration
		busy   bool
		wrong  bool // incarnation
		want   bool
	}{
		{name: "itself", mine: true, want: true},
		{name: "itself with a lapsed lease", mine: true, leased: time.Hour, want: true},
		{name: "itself with presences", mine: true, busy: true},
		{name: "an earlier incarnation", mine: true, wrong: true},
		{name: "an earlier incarnation with a lapsed lease", mine: true, wrong: true, leased: time.Hour},
		{name: "another while there is a lease"},
		{name: "another when the lease has just not lapsed", leased: 50 * time.Second},
		{name: "another after the lease", leased: time.Minute + time.Second, want: true},
		{name: "another after the lease with presences", leased: time.Hour, busy: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := newWorld(t, s)
				if tt.busy {
					w.write(add("lobby", "1", "ann", ""))
				}
				w.leased(tt.leased)
				inc := ""
				if tt.mine {
					inc = w.inc[0]
				}
				if tt.wrong {
					inc = "1"
				}
				if got, err := w.Retire(w.ctx, 0, "n1", inc); got != tt.want || err != nil {
					t.Fatal(got, err)
				}
				left, err := w.c.Exists(w.ctx, w.Node(0, "n1"), w.Nodes(0)).Result()
				if err != nil || (left == 0) != tt.want {
					t.Fatalf("%d keys left, %v", left, err)
				}
				w.agree("n1")
			})
		})
	}
}

func TestTouch(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""), add("lobby", "2", "", ""), add("lobby", "3", "", ""))
		for _, short := range []string{"1", "2", "3"} {
			w.seen(short, time.Hour)
		}
		touch := func(shorts ...string) []string {
			missing, err := w.Touch(w.ctx, 0, "n1", shorts)
			w.must(err)
			w.agree("n1") // which has no presence more than there are records
			return missing
		}
		if got := touch("8", "1", "9", "2"); !slices.Equal(got, []string{"8", "9"}) {
			t.Fatalf("missing %q", got)
		}
		if got := touch("1", "2"); len(got) != 0 {
			t.Fatalf("missing %q", got)
		}
		if got := w.stale(time.Minute); !slices.Equal(got, []string{"3"}) {
			t.Fatalf("stale %q", got)
		}
		if missing, err := w.Touch(w.ctx, 0, "n2", []string{"1"}); err != nil || !slices.Equal(missing, []string{"1"}) {
			t.Fatalf("unknown node: %q, %v", missing, err)
		}
		w.agree("n1")
	})
}

func (w *world) stale(age time.Duration) []string {
	w.t.Helper()
	stale, err := w.Stale(w.ctx, 0, w.node, w.now().Add(-age))
	w.must(err)
	var shorts []string
	for _, s := range stale {
		shorts = append(shorts, s.Short)
	}
	return shorts
}

// The clock of a new master may be behind: a channel never gets older by it.
func TestTouchNeverGoesBack(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""))
		w.seen("1", -time.Hour)
		want := w.c.ZScore(w.ctx, w.Presences(0, "n1"), "1").Val()
		missing, err := w.Touch(w.ctx, 0, "n1", []string{"1"})
		got := w.c.ZScore(w.ctx, w.Presences(0, "n1"), "1").Val()
		if err != nil || len(missing) != 0 || got != want || got == 0 {
			t.Fatalf("%q, %v: %f, was %f", missing, err, got, want)
		}
	})
}

func TestTouchTakesMaxTouch(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "c500", "ann", ""))
		var shorts []string
		for i := range luascripts.MaxTouch {
			shorts = append(shorts, fmt.Sprint("c", i))
		}
		missing, err := w.Touch(w.ctx, 0, "n1", shorts)
		if err != nil || len(missing) != luascripts.MaxTouch-1 || slices.Contains(missing, "c500") {
			t.Fatal(len(missing), err)
		}
	})
}

// Entering a room is being seen: also where nothing changes.
func TestAddTouches(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""))
		w.seen("1", time.Hour)
		w.write(add("lobby", "1", "ann", ""))
		if got := w.stale(time.Minute); len(got) != 0 {
			t.Fatalf("stale %q", got)
		}
	})
}

// asked counts the commands of a name that a client sends, in no pipeline.
type asked struct {
	name string
	n    *atomic.Int64
}

func (a asked) DialHook(next redis.DialHook) redis.DialHook { return next }
func (a asked) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
func (a asked) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == a.name {
			a.n.Add(1)
		}
		return next(ctx, cmd)
	}
}

// Whoever starts waits for a shard that is away once.
func TestClaimAsksEachShardOnce(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		const shards = 4
		client, sent := s.NewClient(t), asked{"hmget", new(atomic.Int64)}
		client.AddHook(sent)
		claim := func(shards int) error {
			keys, err := luascripts.NewKeys("test", shards)
			if err != nil {
				t.Fatal(err)
			}
			store, err := luascripts.Open(t.Context(), client, keys)
			if err != nil {
				t.Fatal(err)
			}
			_, err = store.Claim(t.Context())
			return err
		}
		for _, who := range []string{"the first", "the second"} {
			sent.n.Store(0)
			if err := claim(shards); err != nil || sent.n.Load() != shards {
				t.Errorf("%s asked %d times, %v", who, sent.n.Load(), err)
			}
		}
		if err := claim(2 * shards); !errors.Is(err, luascripts.ErrMismatch) {
			t.Errorf("another number of shards: %v", err)
		}
	})
}
