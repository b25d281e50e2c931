package luascripts_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// since is an epoch that began so long ago.
func (w *world) since(ago time.Duration) string {
	return fmt.Sprint(w.now().Add(-ago).UnixMicro())
}

// A hold lasts for a minute here, and so does healing after a new epoch.
func TestRegisterEpoch(t *testing.T) {
	for _, tt := range []struct {
		name    string
		ago     time.Duration // the age of Redis's epoch; 0: it has none
		known   string        // "": none, "same" or "other"
		lost    bool
		begins  bool // an epoch
		healing bool
	}{
		{name: "the first node", begins: true},
		{name: "the first node, which was told of a loss", lost: true, begins: true},
		{name: "a further node", ago: time.Hour},
		{name: "a further node of a new epoch", ago: time.Second},
		{name: "all data is lost", known: "other", begins: true, healing: true},
		{name: "all data is lost, and writes too", known: "other", lost: true, begins: true, healing: true},
		{name: "nothing is lost: the node was swept", ago: time.Hour, known: "same"},
		{name: "writes are lost", ago: time.Hour, known: "same", lost: true, begins: true, healing: true},
		{name: "another has found out", ago: time.Second, known: "other", healing: true},
		{name: "another has found out, and writes are lost", ago: time.Second, known: "other", lost: true, healing: true},
		{name: "another has found out long ago", ago: 61 * time.Second, known: "other"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := newWorld(t, s)
				before, known := "", ""
				w.must(w.c.HDel(w.ctx, w.Meta(0), "epoch").Err())
				if tt.ago > 0 {
					before = w.since(tt.ago)
					w.must(w.c.HSet(w.ctx, w.Meta(0), "epoch", before).Err())
				}
				switch tt.known {
				case "same":
					known = before
				case "other":
					known = w.since(2 * time.Hour)
				}
				start := w.now()
				inc, err := w.Register(w.ctx, 0, w.registration(), known, tt.lost)
				w.must(err)
				if inc.Epoch != w.meta("epoch") || (inc.Epoch != before) != tt.begins {
					t.Fatalf("epoch %q, recorded %q, was %q", inc.Epoch, w.meta("epoch"), before)
				}
				began, err := strconv.ParseInt(inc.Epoch, 10, 64)
				w.must(err)
				if at := time.UnixMicro(began); tt.begins && (at.Before(start.Truncate(time.Microsecond)) || at.After(w.now())) {
					t.Fatalf("begins at %v, not after %v", at, start)
				}
				if (w.meta(luascripts.Healing) != "") != tt.healing {
					t.Fatalf("healing %q", w.meta(luascripts.Healing))
				}
				if until, _ := strconv.ParseFloat(w.meta(luascripts.Healing), 64); tt.healing && max(until-float64(began)/1000-61_000, float64(began)/1000+61_000-until) > 1 {
					t.Fatalf("healing until %f, the epoch began at %d", until, began)
				}
			})
		})
	}
}

// Incarnations are told apart, also those of two shards.
func TestIncarnationsDiffer(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorldOf(t, s, 2, "n1")
		seen := map[string]bool{}
		for range 3 {
			for _, inc := range w.inc {
				if seen[inc] || inc == "" {
					t.Fatalf("%q comes again in %q", inc, w.inc)
				}
				seen[inc] = true
			}
			w.register()
		}
	})
}

func TestRenewTellsOfLosses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *world)
		fenced bool
		lost   bool
		begins bool // an epoch
	}{
		{"nothing", func(*world) {}, false, false, false},
		{"all data", func(w *world) { w.server.Flush() }, true, false, false},
		{"a batch", func(w *world) { w.number[0]++ }, true, true, false},
		{"a batch, of numbers with more digits", func(w *world) {
			w.reach(9)
			w.number[0]++
		}, true, true, false},
		{"no batch: Redis has one more, whose reply is lost", func(w *world) {
			w.write(add("lobby", "1", "ann", ""))
			w.number[0]--
		}, false, false, false},
		{"the node's row", func(w *world) { w.must(w.c.Del(w.ctx, w.Node(0, "n1")).Err()) }, true, false, false},
		{"meta", func(w *world) { w.must(w.c.HDel(w.ctx, w.Meta(0), "epoch").Err()) }, false, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := newWorld(t, s)
				tt.change(w)
				epoch, _, err := w.Renew(w.ctx, 0, w.registration(), w.inc[0], w.number[0])
				if errors.Is(err, luascripts.ErrFenced) != tt.fenced || errors.Is(err, luascripts.ErrLost) != tt.lost {
					t.Fatal(err)
				}
				if tt.fenced {
					if epoch != "" {
						t.Fatalf("epoch %q of a refused node", epoch)
					}
					return
				}
				w.must(err)
				if epoch != w.meta("epoch") || (epoch != w.epoch) != tt.begins || epoch == "" {
					t.Fatalf("epoch %q, recorded %q, was %q", epoch, w.meta("epoch"), w.epoch)
				}
			})
		})
	}
}

func TestRenewEndsHealing(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		for _, tt := range []struct {
			until time.Duration
			stays bool
		}{{time.Minute, true}, {-time.Second, false}} {
			w.must(w.c.HSet(w.ctx, w.Meta(0), luascripts.Healing, w.now().Add(tt.until).UnixMilli()).Err())
			w.must(w.renew(w.inc[0]))
			if got := w.meta(luascripts.Healing); (got != "") != tt.stays {
				t.Errorf("until %v: %q", tt.until, got)
			}
		}
	})
}

// Who renews hears whether the server has the node's own subscription.
func TestRenewPulse(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorldOf(t, s, 4, "n1")
		for shard := range w.Shards() {
			heard := func() bool {
				_, heard, err := w.Renew(w.ctx, shard, w.registration(), w.inc[shard], 0)
				w.must(err)
				return heard
			}
			if heard() {
				t.Errorf("shard %d: heard by nobody", shard)
			}
			messages := redistest.Subscribe(t, w.c, w.Pulse(shard, "n1"))
			if !heard() {
				t.Errorf("shard %d: not heard", shard)
			}
			if msg := <-messages; msg.Channel != w.Pulse(shard, "n1") || msg.Payload != "" {
				t.Errorf("shard %d: heard %+v", shard, msg)
			}
		}
	})
}

// Redis's time is a node's too, to the millisecond, and of 12 digits in a bubble.
func TestNow(t *testing.T) {
	now := func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		before := w.now().Truncate(time.Millisecond)
		got, err := w.Now(w.ctx, 0)
		if err != nil || got.Before(before) || got.After(w.now()) {
			t.Fatalf("%v, %v, before %v", got, err, before)
		}
		w.must(w.c.Close())
		if _, err := w.Now(w.ctx, 0); err == nil {
			t.Error("no error of a closed client")
		}
	}
	redistest.Each(t, now)
	t.Run("bubble", func(t *testing.T) { redistest.Bubble(t, now) })
}
