package luascripts_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// left is a room that ann has left with a grace, on channel 1.
var left = []ops{{add("lobby", "1", "ann", "hi")}, {grace("lobby", "1", time.Minute)}}

var graces = []writeRow{
	{
		name:  "grace is told to nobody",
		given: []ops{{add("lobby", "1", "ann", "hi")}},
		ops:   ops{grace("lobby", "1", time.Minute)}, status: "g",
	},
	{
		name: "grace in an unknown room does not create it",
		ops:  ops{grace("lobby", "1", time.Minute)}, status: ".",
	},
	{
		name:  "grace of an absent channel",
		given: []ops{{add("lobby", "1", "ann", "hi")}},
		ops:   ops{grace("lobby", "2", time.Minute)}, status: ".",
	},
	{
		name: "grace a second time", given: left,
		ops: ops{grace("lobby", "1", time.Hour)}, status: ".",
	},
	{
		name:  "grace of all rooms of a channel, and of one of two channels",
		given: []ops{{add("a", "1", "ann", ""), add("b", "1", "ann", ""), add("b", "2", "bob", "")}},
		ops:   ops{grace("a", "1", time.Minute), grace("b", "1", time.Minute)}, status: "gg",
	},
	{
		name:  "grace beside a change of the room",
		given: []ops{{add("lobby", "1", "ann", "")}},
		ops:   ops{grace("lobby", "1", time.Minute), add("lobby", "2", "bob", "")}, status: "g+",
		events: []string{"lobby +2=bob >bob 2/2/0"},
	},
	{
		name: "drop of a channel in grace", given: left,
		ops: ops{drop("lobby", "1")}, status: ".",
	},
	{
		name:  "drop of a channel that is not in grace, beside one that is absent",
		given: []ops{{add("lobby", "1", "ann", "hi")}},
		ops:   ops{drop("lobby", "1"), drop("lobby", "2")}, status: "-.",
		events: []string{"lobby -d,1=ann <ann 0/0/0"},
	},
	{
		name: "the user comes back on another channel: nobody came", given: left,
		ops: ops{add("lobby", "2", "ann", "yo")}, status: "+",
		events: []string{"lobby +2=ann:yo 2/1/0"},
	},
	{
		name: "add of a channel in grace: it departs and comes at once", given: left,
		ops: ops{add("lobby", "1", "ann", "yo")}, status: "+",
		events: []string{"lobby -d,1=ann +1=ann:yo 1/1/0"},
	},
	{
		name: "add of another user on a channel in grace", given: left,
		ops: ops{add("lobby", "1", "bob", "")}, status: "+",
		events: []string{"lobby -d,1=ann +1=bob <ann >bob 1/1/0"},
	},
	{
		name: "update in grace finds nothing", given: left,
		ops: ops{update("lobby", "1", "away")}, status: ".",
	},
	{
		name: "remove in grace ends it", given: left,
		ops: ops{remove("lobby", "1")}, status: "-",
		events: []string{"lobby -l,1=ann <ann 0/0/0"},
	},
	{
		name:  "the channel goes on in another room",
		given: []ops{{add("lobby", "1", "ann", "")}, {grace("lobby", "1", time.Minute), add("a", "1", "ann", "")}},
		ops:   ops{remove("a", "1")}, status: "-",
		events: []string{"a -l,1=ann <ann 0/0/0"},
	},
}

// In grace a record is as before to whoever reads it.
func TestGraceKeepsTheRecord(t *testing.T) {
	for _, r := range []luascripts.Record{
		{User: "ann", Info: []byte("hi")}, {}, {User: "ann", Key: "k", Info: []byte("hi")}, {Key: "k"},
		{User: "ann", Sealed: true, Info: []byte("sealed")}, {User: longest, Key: longest[1:]},
	} {
		redistest.Each(t, func(t *testing.T, s *redistest.Server) {
			w := newWorld(t, s)
			w.write(luascripts.Op{Action: luascripts.Add, Room: "lobby", Short: "1", Record: r})
			want := w.record("lobby", "1")
			header := w.header("lobby")
			w.write(grace("lobby", "1", time.Minute))
			if got := w.record("lobby", "1"); got.Encode() != want.Encode() || w.header("lobby") != header {
				t.Fatalf("%+v, was %+v; %+v", got, want, w.header("lobby"))
			}
			text, err := w.c.HGet(w.ctx, w.Room("lobby"), "n1!1").Result()
			if err != nil || !luascripts.InGrace(text) || luascripts.InGrace(want.Encode()) {
				t.Fatalf("%q, %v", text, err)
			}
		})
	}
}

func TestRecord(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(keyed(add("lobby", "1", "ann", "hi"), "k"), add("lobby", "2", "bob", ""))
		w.write(grace("lobby", "2", time.Minute))
		for _, tt := range []struct {
			room, channel, user, key string
			found                    bool
		}{
			{"lobby", "n1!1", "ann", "k", true}, {"lobby", "n1!2", "bob", "", true},
			{"lobby", "n1!3", "", "", false}, {"den", "n1!1", "", "", false},
		} {
			r, found, err := w.Record(w.ctx, tt.room, tt.channel)
			if err != nil || found != tt.found || r.User != tt.user || r.Key != tt.key {
				t.Errorf("%+v: %+v, %v, %v", tt, r, found, err)
			}
		}
		w.must(w.c.HSet(w.ctx, w.Room("lobby"), "n1!4", "rubbish").Err())
		if _, found, err := w.Record(w.ctx, "lobby", "n1!4"); found || err == nil {
			t.Errorf("rubbish: %v, %v", found, err)
		}
		w.must(w.c.Close())
		if _, found, err := w.Record(w.ctx, "lobby", "n1!1"); found || err == nil {
			t.Errorf("closed: %v, %v", found, err)
		}
	})
}

// allGraced are those in grace, sorted.
func (w *world) allGraced() []luascripts.Graced {
	w.t.Helper()
	var all []luascripts.Graced
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		page, next, err := w.AllGraced(w.ctx, 0, cursor)
		w.must(err)
		all, cursor = append(all, page...), next
	}
	slices.SortFunc(all, func(a, b luascripts.Graced) int {
		return slices.Compare([]string{a.Room, a.Channel}, []string{b.Room, b.Channel})
	})
	return all
}

func (w *world) due(in time.Duration) []luascripts.Graced {
	w.t.Helper()
	due, err := w.Due(w.ctx, 0, w.now().Add(in))
	w.must(err)
	return due
}

func (w *world) ungrace(reason byte, graced ...luascripts.Graced) []luascripts.RoomEvent {
	w.t.Helper()
	events, err := w.Ungrace(w.ctx, 0, graced, reason)
	w.must(err)
	if !w.rarely {
		w.agree(w.node)
	}
	return events
}

func TestUngrace(t *testing.T) {
	for _, tt := range []struct {
		name   string
		given  []ops // after two channels of ann and one of bob have entered
		reason byte
		graced []luascripts.Graced
		events []string
	}{
		{
			name:   "past the deadline, for the reason it has left with",
			given:  []ops{{grace("lobby", "3", 0)}},
			graced: []luascripts.Graced{{Room: "lobby", Channel: "n1!3"}},
			events: []string{"lobby -d,3=bob <bob 2/1/0"},
		},
		{
			name:   "not before the deadline",
			given:  []ops{{grace("lobby", "3", time.Minute)}},
			graced: []luascripts.Graced{{Room: "lobby", Channel: "n1!3"}},
		},
		{
			name:   "before the deadline for another's reason",
			given:  []ops{{grace("lobby", "3", time.Minute)}},
			reason: 'k', graced: []luascripts.Graced{{Room: "lobby", Channel: "n1!3"}},
			events: []string{"lobby -k,3=bob <bob 2/1/0"},
		},
		{
			name:   "past the deadline for another's reason",
			given:  []ops{{grace("lobby", "3", 0)}},
			reason: 'k', graced: []luascripts.Graced{{Room: "lobby", Channel: "n1!3"}},
			events: []string{"lobby -k,3=bob <bob 2/1/0"},
		},
		{
			name:   "one of two channels of a user",
			given:  []ops{{grace("lobby", "1", 0)}},
			graced: []luascripts.Graced{{Room: "lobby", Channel: "n1!1"}},
			events: []string{"lobby -d,1=ann 2/2/0"},
		},
		{
			name:   "one of a room is past its deadline, another is not",
			given:  []ops{{grace("lobby", "1", 0), grace("lobby", "3", time.Minute)}},
			graced: []luascripts.Graced{{Room: "lobby", Channel: "n1!1"}, {Room: "lobby", Channel: "n1!3"}},
			events: []string{"lobby -d,1=ann 2/2/0"},
		},
		{
			name:   "several rooms",
			given:  []ops{{grace("lobby", "1", 0), grace("lobby", "2", 0), grace("den", "1", 0)}},
			graced: []luascripts.Graced{{Room: "lobby", Channel: "n1!1"}, {Room: "den", Channel: "n1!1"}, {Room: "lobby", Channel: "n1!2"}},
			events: []string{"lobby -d,1=ann -d,2=ann <ann 1/1/0", "den -d,1=ann <ann 0/0/0"},
		},
		{
			name:   "who is not in grace stays",
			graced: []luascripts.Graced{{Room: "lobby", Channel: "n1!3"}},
		},
		{
			name:   "who is not in grace stays, also for another's reason",
			reason: 'k', graced: []luascripts.Graced{{Room: "lobby", Channel: "n1!3"}},
		},
		{
			name:   "who has come back on the channel stays",
			given:  []ops{{grace("lobby", "3", 0)}, {add("lobby", "3", "bob", "")}},
			graced: []luascripts.Graced{{Room: "lobby", Channel: "n1!3"}},
		},
		{
			name:   "who was removed meanwhile",
			given:  []ops{{grace("lobby", "3", 0)}, {remove("lobby", "3")}},
			reason: 'k', graced: []luascripts.Graced{{Room: "lobby", Channel: "n1!3"}},
		},
		{
			name:   "unknown room and channel",
			graced: []luascripts.Graced{{Room: "nowhere", Channel: "n1!3"}, {Room: "lobby", Channel: "n9!9"}},
		},
		{
			name:   "the user is back on another channel: nobody went",
			given:  []ops{{grace("lobby", "3", 0)}, {add("lobby", "4", "bob", "")}},
			graced: []luascripts.Graced{{Room: "lobby", Channel: "n1!3"}},
			events: []string{"lobby -d,3=bob 3/2/0"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := newWorld(t, s)
				w.write(add("lobby", "1", "ann", "hi"), add("den", "1", "ann", ""), add("lobby", "2", "ann", ""), add("lobby", "3", "bob", "hi"))
				for _, given := range tt.given {
					w.write(given...)
				}
				heard := w.listen("lobby", "den", "nowhere")
				events := w.ungrace(tt.reason, tt.graced...)
				w.expect(events, tt.events...)
				heard(events)
			})
		})
	}
}

// Members of the sorted set that no presence stands behind are forgotten.
func TestUngraceRepairs(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""))
		w.must(w.c.ZAdd(w.ctx, w.Grace(0),
			redis.Z{Score: 1, Member: "\x05lobbyn1!1"}, redis.Z{Score: 2, Member: "\x05lobbyn9!9"}, redis.Z{Score: 3, Member: "\x03denn9!9"}).Err())
		w.expect(w.ungrace(0, w.due(0)...)) // and w.agree finds neither, nor a room
	})
}

// To the millisecond: at its deadline a grace is over.
func TestGraceEndsAtItsDeadline(t *testing.T) {
	s := redistest.Mini(t)
	now := time.UnixMilli(1_800_000_000_000)
	s.Mini().SetTime(now)
	w := newWorld(t, s)
	w.write(add("lobby", "1", "ann", ""))
	w.write(grace("lobby", "1", 20*time.Second))
	graced := luascripts.Graced{Room: "lobby", Channel: "n1!1"}
	s.Mini().SetTime(now.Add(20*time.Second - time.Millisecond))
	if due := w.due(0); len(due) != 0 {
		t.Fatalf("due %+v", due)
	}
	w.expect(w.ungrace(0, graced))
	s.Mini().SetTime(now.Add(20 * time.Second))
	if due := w.due(0); !slices.Equal(due, []luascripts.Graced{graced}) {
		t.Fatalf("due %+v", due)
	}
	w.expect(w.ungrace(0, graced), "lobby -d,1=ann <ann 0/0/0")
}

// Any byte is a reason.
func TestGraceKeepsItsReason(t *testing.T) {
	for _, reason := range []byte{'x', '0', 200, '\n', 1} {
		t.Run(fmt.Sprint(reason), func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := newWorld(t, s)
				w.write(add("lobby", "1", "ann", "hi"))
				op := grace("lobby", "1", 0)
				op.Reason = reason
				w.write(op)
				if it := w.ungrace(0, w.allGraced()...)[0].Items[0]; it.Reason != reason || it.Record.User != "ann" {
					t.Fatalf("%+v", it)
				}
			})
		})
	}
}

// A grace outlives the node, which may retire though presences of it are there.
func TestGraceOutlivesTheNode(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""), add("den", "1", "ann", ""))
		w.write(grace("lobby", "1", 0), grace("den", "1", 0))
		if ok, err := w.Retire(w.ctx, 0, "n1", w.inc[0]); !ok || err != nil {
			t.Fatal(ok, err)
		}
		w.agree()
		w.rarely = true
		w.expect(w.ungrace(0, w.allGraced()...), "den -d,1=ann <ann 0/0/0", "lobby -d,1=ann <ann 0/0/0")
		w.agree()
	})
}

// All hostile names are read back from the sorted set as they were.
func TestGracedHostileNames(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.rarely = true
		var come, leave ops
		want := make(map[luascripts.Graced]bool)
		for _, name := range hostile {
			come = append(come, add(name, name, name, ""))
			leave = append(leave, grace(name, name, 0))
			want[luascripts.Graced{Room: name, Channel: "n1!" + name}] = true
		}
		w.write(come...)
		w.write(leave...)
		w.agree("n1")
		due := w.due(0)
		if len(due) != len(want) || len(w.allGraced()) != len(want) {
			t.Fatalf("%d due of %d", len(due), len(want))
		}
		for _, g := range due {
			if !want[g] {
				t.Errorf("%+v", g)
			}
		}
		if events := w.ungrace(0, due...); len(events) != len(want) {
			t.Errorf("%d events", len(events))
		}
		w.agree("n1")
	})
}

func TestDueIsBoundedAndAllGracedIsNot(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.rarely = true
		const n = luascripts.MaxSweep + 50
		var come, leave ops
		for i := range n {
			short := fmt.Sprint("c", i)
			come = append(come, add("lobby", short, "ann", ""))
			leave = append(leave, grace("lobby", short, time.Duration(i)*time.Hour))
		}
		w.write(come...)
		w.write(leave...)
		if all := slices.Compact(w.allGraced()); len(all) != n {
			t.Fatalf("%d in grace", len(all))
		}
		for i, want := range []int{luascripts.MaxSweep, 50, 0} {
			due := w.due(n * time.Hour)
			if len(due) != want {
				t.Fatalf("step %d: %d due", i, len(due))
			}
			if want > 0 && due[0].Channel != fmt.Sprint("n1!c", i*luascripts.MaxSweep) {
				t.Errorf("step %d: the first is %s, not the one with the earliest deadline", i, due[0].Channel)
			}
			w.ungrace('k', due...)
		}
		w.agree("n1")
		if due := w.due(0); len(due) != 0 {
			t.Fatal(due)
		}
		w.must(w.c.Close())
		_, errDue := w.Due(w.ctx, 0, time.Now())
		_, _, errAll := w.AllGraced(w.ctx, 0, 0)
		_, errUngrace := w.Ungrace(w.ctx, 0, []luascripts.Graced{{Room: "lobby", Channel: "n1!1"}}, 0)
		if errDue == nil || errAll == nil || errUngrace == nil || errors.Is(errUngrace, luascripts.ErrHeld) {
			t.Errorf("closed: %v, %v, %v", errDue, errAll, errUngrace)
		}
	})
}

// Whatever the caller gives, one call of the script reads little.
func TestUngraceTakesSteps(t *testing.T) {
	for name, tt := range map[string]struct{ presences, info, atLeast int }{
		"many":  {2*luascripts.MaxSweep + 1, 1, 3},
		"large": {40, 64 << 10, 3}, // 1 MiB at a time
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := newWorld(t, s)
				w.rarely = true
				for i := range tt.presences {
					short := fmt.Sprint(i)
					w.write(add("lobby", short, "ann", strings.Repeat("x", tt.info)))
					w.write(grace("lobby", short, time.Minute))
				}
				removed := 0
				for _, e := range w.ungrace('k', w.allGraced()...) {
					removed += len(e.Items)
				}
				if calls := w.Timings()["ungrace"].Calls; removed != tt.presences || calls < uint64(tt.atLeast) {
					t.Errorf("%d items of events, in %d calls", removed, calls)
				}
				w.agree("n1")
			})
		})
	}
}
