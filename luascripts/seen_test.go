package luascripts_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// remembering is a world whose rooms remember users for so long.
func remembering(t *testing.T, s *redistest.Server, d time.Duration) *world {
	w := newWorld(t, s)
	w.remember = d
	w.register()
	if w.Remember() != d {
		t.Fatalf("remembers for %v", w.Remember())
	}
	return w
}

// went are the users whom a room remembers, and when they went.
func (w *world) went(room string) map[string]time.Time {
	w.t.Helper()
	all, err := w.c.ZRangeWithScores(w.ctx, w.RoomSeen(room), 0, -1).Result()
	w.must(err)
	went := make(map[string]time.Time)
	for _, z := range all {
		went[z.Member.(string)] = time.UnixMilli(int64(z.Score))
	}
	return went
}

func TestUsersWhoWentAreRemembered(t *testing.T) {
	here := ops{
		add("lobby", "1", "ann", ""), add("lobby", "2", "ann", ""), add("lobby", "3", "bob", ""),
		add("lobby", "4", "", ""), keyed(add("lobby", "5", "cyd", ""), "key"), add("den", "3", "bob", ""),
	}
	for _, tt := range []struct {
		name string
		act  func(w *world)
		want []string
	}{
		{"nobody goes", func(*world) {}, nil},
		{"a user goes from one of two rooms", func(w *world) { w.write(remove("lobby", "3")) }, []string{"bob"}},
		{"one of two channels of a user", func(w *world) { w.write(remove("lobby", "1")) }, nil},
		{"both channels of a user", func(w *world) { w.write(remove("lobby", "1"), remove("lobby", "2")) }, []string{"ann"}},
		{"an anonymous channel", func(w *world) { w.write(remove("lobby", "4")) }, nil},
		{"a key", func(w *world) { w.write(remove("lobby", "5")) }, []string{"key"}},
		{"several", func(w *world) { w.write(remove("lobby", "3"), remove("lobby", "5")) }, []string{"bob", "key"}},
		{"a channel that another user takes", func(w *world) { w.write(add("lobby", "3", "dan", "")) }, []string{"bob"}},
		{"two users who swap", func(w *world) { w.write(add("lobby", "3", "cyd", ""), add("lobby", "5", "bob", "")) }, []string{"key"}},
		{"a grace that is not over", func(w *world) { w.write(grace("lobby", "3", time.Minute)) }, nil},
		{"a grace that is over", func(w *world) {
			w.write(grace("lobby", "3", 0))
			w.ungrace(0, w.allGraced()...)
		}, []string{"bob"}},
		{"a prune", func(w *world) {
			w.seen("3", time.Hour)
			w.pruneAll(0, "n1")
		}, []string{"bob"}},
		{"a dead node", func(w *world) {
			w.leased(time.Hour)
			w.prune(w.orphans())
		}, []string{"ann", "bob", "key"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := remembering(t, s, time.Hour)
				w.write(here...)
				start := w.now().Truncate(time.Millisecond)
				tt.act(w)
				went := w.went("lobby")
				if got := slices.Sorted(maps.Keys(went)); !slices.Equal(got, tt.want) {
					t.Fatalf("remembered %q, want %q", got, tt.want)
				}
				for user, at := range went {
					if at.Before(start) || at.After(w.now()) {
						t.Errorf("%s at %v, not after %v", user, at, start)
					}
				}
				w.agree("n1")
			})
		})
	}
}

// Where nothing is to be remembered nothing is.
func TestNobodyIsRememberedUnlessAsked(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""), add("lobby", "2", "bob", ""), add("lobby", "3", "cyd", ""))
		w.write(remove("lobby", "1"), grace("lobby", "2", 0))
		w.ungrace(0, w.allGraced()...)
		w.seen("3", time.Hour)
		w.pruneAll(0, "n1")
		if went := w.went("lobby"); len(went) != 0 {
			t.Fatalf("%v", went)
		}
	})
}

// The key expires with what it holds, those who went too long ago are dropped
// with the next, and a user who goes again is remembered from then.
func TestTheRememberedExpire(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := remembering(t, s, time.Hour)
		w.write(add("lobby", "1", "ann", ""), add("lobby", "2", "bob", ""))
		at := func(ago time.Duration) float64 { return float64(w.now().Add(-ago).UnixMilli()) }
		w.must(w.c.ZAdd(w.ctx, w.RoomSeen("lobby"), redis.Z{Score: at(61 * time.Minute), Member: "old"},
			redis.Z{Score: at(59 * time.Minute), Member: "young"}, redis.Z{Score: at(50 * time.Minute), Member: "ann"}).Err())
		w.rarely = true
		w.write(remove("lobby", "1"))
		went := w.went("lobby")
		if got := slices.Sorted(maps.Keys(went)); !slices.Equal(got, []string{"ann", "young"}) {
			t.Fatalf("%q", got)
		}
		if ago := w.now().Sub(went["ann"]); ago > 20*time.Minute {
			t.Errorf("ann went %v ago", ago)
		}
		if ttl := w.c.PTTL(w.ctx, w.RoomSeen("lobby")).Val(); ttl > time.Hour || ttl < 59*time.Minute {
			t.Errorf("expires in %v", ttl)
		}
		w.must(w.c.PExpire(w.ctx, w.RoomSeen("lobby"), time.Minute).Err())
		w.write(remove("lobby", "2"))
		if ttl := w.c.PTTL(w.ctx, w.RoomSeen("lobby")).Val(); ttl < 59*time.Minute {
			t.Errorf("expires in %v", ttl)
		}
		w.agree("n1")
	})
}

// Of those who went, the 10,000 last are remembered.
func TestTheRememberedAreBounded(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		const most = 10_000
		w := remembering(t, s, time.Hour)
		w.write(add("lobby", "1", "ann", ""), add("lobby", "2", "bob", ""))
		now := w.now()
		var full []redis.Z
		for i := range most - 1 {
			full = append(full, redis.Z{Score: float64(now.Add(time.Duration(i-most) * time.Millisecond).UnixMilli()), Member: fmt.Sprint("user", i)})
		}
		w.must(w.c.ZAdd(w.ctx, w.RoomSeen("lobby"), full...).Err())
		w.rarely = true
		for i, op := range (ops{remove("lobby", "1"), remove("lobby", "2")}) {
			w.write(op)
			n := w.c.ZCard(w.ctx, w.RoomSeen("lobby")).Val()
			first := w.c.ZRange(w.ctx, w.RoomSeen("lobby"), 0, 0).Val()
			if n != most || !slices.Equal(first, []string{fmt.Sprint("user", i)}) {
				t.Fatalf("step %d: %d remembered, the first is %q", i, n, first)
			}
		}
	})
}

// The setting is the fleet's: it stays until another node sets one, and a Store
// learns of it with a registration or a check.
func TestRememberIsASettingOfTheFleet(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		open := func() *luascripts.Store {
			store, err := luascripts.Open(w.ctx, w.c, w.Keys)
			w.must(err)
			return store
		}
		register := func(store *luascripts.Store, node string, d time.Duration) {
			_, err := store.Register(w.ctx, 0, luascripts.Registration{Node: node, Token: "t", Lease: time.Minute, MaxAge: time.Minute, Remember: d}, "", false)
			w.must(err)
		}
		one, two, reader := open(), open(), open()
		expect := func(step string, wants ...time.Duration) {
			t.Helper()
			for i, store := range []*luascripts.Store{one, two, reader} {
				if got := store.Remember(); got != wants[i] {
					t.Errorf("%s: store %d has %v, want %v", step, i, got, wants[i])
				}
			}
		}
		register(one, "one", 0)
		expect("none", 0, 0, 0)
		register(two, "two", 1500*time.Millisecond)
		expect("of the second", 0, 1500*time.Millisecond, 0)
		w.must(survey(reader))
		register(one, "one", 0)
		expect("learnt", 1500*time.Millisecond, 1500*time.Millisecond, 1500*time.Millisecond)
		register(one, "one", time.Hour)
		w.must(survey(two))
		expect("of the first", time.Hour, time.Hour, 1500*time.Millisecond)
	})
}

// Where the setting is lost, stores keep theirs, and the next lease of a node that has
// one writes it again. None overwrites another.
func TestALostSettingIsWrittenAgain(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := remembering(t, s, time.Hour)
		remembered := func(step, want string) {
			t.Helper()
			w.must(survey(w.Store))
			if got := w.c.HGet(w.ctx, w.Meta(0), "remember").Val(); got != want || w.Remember() != time.Hour {
				t.Errorf("%s: %q is recorded, and the store remembers for %v", step, got, w.Remember())
			}
		}
		w.must(w.c.HDel(w.ctx, w.Meta(0), "remember").Err())
		remembered("lost", "")
		other := w.another("n2")
		w.must(other.renew(other.inc[0]))
		remembered("a lease of a node without", "")
		w.must(w.renew(w.inc[0]))
		remembered("a lease of one with", "3600000")
		w.remember = time.Minute
		w.must(w.renew(w.inc[0]))
		remembered("a lease of another setting", "3600000")
	})
}

// What an eviction may have left of the users of a room is no more when the room
// is made anew.
func TestARoomBeginsWithoutUsers(t *testing.T) {
	for name, op := range map[string]luascripts.Op{"add": add("lobby", "1", "ann", ""), "keep": keep("lobby", "1", joined, "ann", "")} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := newWorld(t, s)
				w.must(w.c.HSet(w.ctx, w.RoomUsers("lobby"), "ann", 3, "gone", 1).Err())
				w.expect(w.write(op).Events, "lobby +1=ann >ann 1/1/0")
				w.expect(w.write(add("lobby", "2", "ann", "")).Events, "lobby +2=ann 2/1/0")
			})
		})
	}
}
