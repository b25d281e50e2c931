package luascripts_test

import (
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

const joined = 1_500_000_000_123

var keeps = []writeRow{
	{
		name: "keep what is missing adds it",
		ops:  ops{keep("lobby", "1", joined, "ann", "hi")}, status: "+",
		events: []string{"lobby +1=ann:hi >ann 1/1/0"},
	},
	{
		name:  "keep what is there publishes nothing",
		given: []ops{{keep("lobby", "1", joined, "ann", "hi")}},
		ops:   ops{keep("lobby", "1", joined, "ann", "hi")}, status: "=",
	},
	{
		name:  "keep another info",
		given: []ops{{keep("lobby", "1", joined, "ann", "hi")}},
		ops:   ops{keep("lobby", "1", joined, "ann", "yo")}, status: "~",
		events: []string{"lobby ~1=ann:yo 1/1/0"},
	},
	{
		name:  "keep another time of joining",
		given: []ops{{keep("lobby", "1", joined, "ann", "hi")}},
		ops:   ops{keep("lobby", "1", joined+1, "ann", "hi")}, status: "~",
		events: []string{"lobby ~1=ann:hi 1/1/0"},
	},
	{
		name:  "keep another user",
		given: []ops{{keep("lobby", "1", joined, "ann", "hi")}},
		ops:   ops{keep("lobby", "1", joined, "bob", "hi")}, status: "+",
		events: []string{"lobby -s,1=ann +1=bob:hi <ann >bob 1/1/0"},
	},
	{
		name:  "keep an anonymous channel that got a user",
		given: []ops{{add("lobby", "1", "ann", "")}},
		ops:   ops{keep("lobby", "1", joined, "", "")}, status: "+",
		events: []string{"lobby -s,1=ann +1= <ann 1/0/1"},
	},
	{
		name:  "keep what is in grace: it never went",
		given: []ops{{keep("lobby", "1", joined, "ann", "hi")}, {grace("lobby", "1", time.Minute)}},
		ops:   ops{keep("lobby", "1", joined, "ann", "hi")}, status: "+",
		events: []string{"lobby -d,1=ann +1=ann:hi 1/1/0"},
	},
	{
		name:  "keep several rooms of a channel, some of which are lost",
		given: []ops{{keep("a", "1", joined, "ann", "")}},
		ops:   ops{keep("a", "1", joined, "ann", ""), keep("b", "1", joined, "ann", "")}, status: "=+",
		events: []string{"b +1=ann >ann 1/1/0"},
	},
	{
		name:  "keep in an empty room fills it",
		given: []ops{{add("lobby", "1", "ann", "")}, {remove("lobby", "1")}},
		ops:   ops{keep("lobby", "1", joined, "ann", "")}, status: "+",
		events: []string{"lobby +1=ann >ann 1/1/0"},
	},
	{
		name:  "keep, add, update, grace and remove in one batch",
		given: []ops{{add("lobby", "1", "ann", ""), add("lobby", "2", "bob", ""), add("lobby", "3", "cyd", ""), add("lobby", "4", "dan", "")}},
		ops: ops{
			grace("lobby", "1", time.Minute), keep("lobby", "2", joined, "bob", "x"), update("lobby", "3", "y"),
			remove("lobby", "4"), add("lobby", "5", "eve", "z"),
		}, status: "g~~-+",
		events: []string{"lobby ~2=bob:x ~3=cyd:y -l,4=dan +5=eve:z <dan >eve 4/4/0"},
	},
}

// What is kept is stored, returned and published to the byte.
func TestKeepIsStoredAsItIs(t *testing.T) {
	for _, record := range []luascripts.Record{
		{JoinedAt: joined, User: "ann", Info: []byte("hi")},
		{JoinedAt: joined},
		{JoinedAt: 7, User: "ann", Key: "phone", Info: []byte("\x00")},
		{JoinedAt: joined, Key: "visitor", Sealed: true, Info: []byte("sealed")},
		{JoinedAt: joined, User: longest, Key: longest[:200]},
	} {
		redistest.Each(t, func(t *testing.T, s *redistest.Server) {
			w := newWorld(t, s)
			op := luascripts.Op{Action: luascripts.Keep, Room: "lobby", Short: "1", Stored: record.Encode()}
			for _, given := range []ops{{op}, {add("lobby", "2", "", ""), op}, {add("lobby", "1", "other", "")}} {
				w.write(given...)
				r := w.write(op)
				stored, err := w.c.HGet(w.ctx, w.Room("lobby"), "n1!1").Result()
				w.must(err)
				if got := r.Results[0].Record; stored != op.Stored || got.Encode() != op.Stored {
					t.Fatalf("stored %q, returned %+v", stored, got)
				}
				for _, e := range r.Events {
					if last := e.Items[len(e.Items)-1]; last.Record.Encode() != op.Stored {
						t.Fatalf("published %+v", last)
					}
				}
			}
		})
	}
}

// A channel that is kept is not seen by that: its age goes on. It is not older
// than Redis has it either.
func TestUnseenIsLastSeen(t *testing.T) {
	s := redistest.Mini(t)
	s.Mini().SetTime(time.UnixMilli(joined))
	w := newWorld(t, s)
	score := func() time.Duration {
		return time.Duration(joined-int64(w.c.ZScore(w.ctx, w.Presences(0, "n1"), "1").Val())) * time.Millisecond
	}
	for _, step := range []struct {
		op     luascripts.Op
		unseen time.Duration
		want   time.Duration
	}{
		{keep("lobby", "1", joined, "ann", ""), 30 * time.Second, 30 * time.Second},
		{keep("lobby", "1", joined, "ann", ""), 40 * time.Second, 30 * time.Second},
		{keep("lobby", "1", joined, "ann", ""), 20 * time.Second, 20 * time.Second},
		{add("lobby", "1", "ann", ""), 10 * time.Second, 10 * time.Second},
		{update("lobby", "1", "x"), 0, 10 * time.Second},
		{add("lobby", "1", "ann", ""), 0, 0},
		{remove("lobby", "1"), 0, joined * time.Millisecond}, // there is none
		{keep("lobby", "1", joined, "ann", ""), 30 * time.Second, 30 * time.Second},
	} {
		step.op.Unseen = step.unseen
		w.write(step.op)
		if got := score(); got != step.want {
			t.Errorf("%c unseen for %v: seen %v ago, want %v", step.op.Action, step.unseen, got, step.want)
		}
	}
}

// Each channel of a batch has its own age, whatever the order of the operations.
func TestUnseenIsOfEachChannel(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		old, young := keep("lobby", "1", joined, "ann", ""), keep("lobby", "2", joined, "bob", "")
		old.Unseen = time.Hour
		again := keep("den", "1", joined, "ann", "")
		again.Unseen = time.Hour
		w.write(old, young, again)
		if got := w.stale(30 * time.Minute); len(got) != 1 || got[0] != "1" {
			t.Fatalf("stale %q", got)
		}
	})
}
