package luascripts_test

import (
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

type ops = []luascripts.Op

// writeRow is what a batch does.
type writeRow struct {
	name   string
	given  []ops // earlier batches
	ops    ops
	status string
	events []string
}

var writes = []writeRow{
	{
		name: "add to a room that does not exist",
		ops:  ops{add("lobby", "1", "ann", "hi")}, status: "+",
		events: []string{"lobby +1=ann:hi >ann 1/1/0"},
	},
	{
		name:  "add the same user again keeps the info and publishes nothing",
		given: []ops{{add("lobby", "1", "ann", "hi")}},
		ops:   ops{add("lobby", "1", "ann", "other")}, status: "=",
	},
	{
		name:  "add an anonymous channel again",
		given: []ops{{add("lobby", "1", "", "")}},
		ops:   ops{add("lobby", "1", "", "other")}, status: "=",
	},
	{
		name:  "add another user on the same channel is one event",
		given: []ops{{add("lobby", "1", "ann", "hi")}},
		ops:   ops{add("lobby", "1", "bob", "yo")}, status: "+",
		events: []string{"lobby -s,1=ann +1=bob:yo <ann >bob 1/1/0"},
	},
	{
		name:  "another user takes the channel, and both have other channels",
		given: []ops{{add("lobby", "1", "ann", ""), add("lobby", "2", "ann", ""), add("lobby", "3", "bob", "")}},
		ops:   ops{add("lobby", "1", "bob", "")}, status: "+",
		events: []string{"lobby -s,1=ann +1=bob 3/2/0"},
	},
	{
		name:  "a user takes an anonymous channel",
		given: []ops{{add("lobby", "1", "", "")}},
		ops:   ops{add("lobby", "1", "ann", "")}, status: "+",
		events: []string{"lobby -s,1= +1=ann >ann 1/1/0"},
	},
	{
		name:  "a user's channel becomes anonymous",
		given: []ops{{add("lobby", "1", "ann", "")}},
		ops:   ops{add("lobby", "1", "", "")}, status: "+",
		events: []string{"lobby -s,1=ann +1= <ann 1/0/1"},
	},
	{
		name:  "two channels swap their users: nobody came or went",
		given: []ops{{add("lobby", "1", "ann", ""), add("lobby", "2", "bob", "")}},
		ops:   ops{add("lobby", "1", "bob", ""), add("lobby", "2", "ann", "")}, status: "++",
		events: []string{"lobby -s,1=ann +1=bob -s,2=bob +2=ann 2/2/0"},
	},
	{
		name: "users are counted once, anonymous channels are not users",
		ops: ops{
			add("lobby", "1", "ann", ""), add("lobby", "2", "ann", ""), add("lobby", "3", "bob", ""),
			add("lobby", "4", "", ""), add("lobby", "5", "", ""),
		}, status: "+++++",
		events: []string{"lobby +1=ann +2=ann +3=bob +4= +5= >ann >bob 5/2/2"},
	},
	{
		name:  "a second channel of a user does not announce the user",
		given: []ops{{add("lobby", "1", "ann", "")}},
		ops:   ops{add("lobby", "2", "ann", "")}, status: "+",
		events: []string{"lobby +2=ann 2/1/0"},
	},
	{
		name:  "update keeps the user",
		given: []ops{{add("lobby", "1", "ann", "hi")}},
		ops:   ops{update("lobby", "1", "away")}, status: "~",
		events: []string{"lobby ~1=ann:away 1/1/0"},
	},
	{
		name:  "update to no info",
		given: []ops{{add("lobby", "1", "ann", "hi")}},
		ops:   ops{update("lobby", "1", "")}, status: "~",
		events: []string{"lobby ~1=ann 1/1/0"},
	},
	{
		name:  "update with the same info publishes nothing",
		given: []ops{{add("lobby", "1", "ann", "hi")}},
		ops:   ops{update("lobby", "1", "hi")}, status: "=",
	},
	{
		name:  "update of an absent channel",
		given: []ops{{add("lobby", "1", "ann", "hi")}},
		ops:   ops{update("lobby", "2", "hi")}, status: ".",
	},
	{
		name: "update in an unknown room does not create it",
		ops:  ops{update("lobby", "1", "hi")}, status: ".",
	},
	{
		name:  "remove tells no info",
		given: []ops{{add("lobby", "1", "ann", "hi"), add("lobby", "2", "bob", "")}},
		ops:   ops{remove("lobby", "1")}, status: "-",
		events: []string{"lobby -l,1=ann <ann 1/1/0"},
	},
	{
		name:  "remove one of a user's channels",
		given: []ops{{add("lobby", "1", "ann", ""), add("lobby", "2", "ann", "")}},
		ops:   ops{remove("lobby", "1")}, status: "-",
		events: []string{"lobby -l,1=ann 1/1/0"},
	},
	{
		name:  "remove an absent channel",
		given: []ops{{add("lobby", "1", "ann", "hi")}},
		ops:   ops{remove("lobby", "2")}, status: ".",
	},
	{
		name: "remove from an unknown room does not create it",
		ops:  ops{remove("lobby", "1")}, status: ".",
	},
	{
		name:  "remove the last one: the room is empty",
		given: []ops{{add("lobby", "1", "ann", "hi")}},
		ops:   ops{remove("lobby", "1")}, status: "-",
		events: []string{"lobby -l,1=ann <ann 0/0/0"},
	},
	{
		name:  "add to an empty room fills it",
		given: []ops{{add("lobby", "1", "ann", "")}, {remove("lobby", "1")}},
		ops:   ops{add("lobby", "1", "ann", "")}, status: "+",
		events: []string{"lobby +1=ann >ann 1/1/0"},
	},
	{
		name:  "the last leaves as another comes: the room was never empty",
		given: []ops{{add("lobby", "1", "ann", "")}},
		ops:   ops{remove("lobby", "1"), add("lobby", "2", "ann", "")}, status: "-+",
		events: []string{"lobby -l,1=ann +2=ann 1/1/0"},
	},
	{
		name:  "leave-all of one channel in one batch",
		given: []ops{{add("a", "1", "ann", ""), add("b", "1", "ann", ""), add("c", "1", "", ""), add("b", "2", "ann", "")}},
		ops:   ops{remove("a", "1"), remove("b", "1"), remove("c", "1")}, status: "---",
		events: []string{"a -l,1=ann <ann 0/0/0", "b -l,1=ann 1/1/0", "c -l,1= 0/0/0"},
	},
	{
		name:  "leave some of the rooms and enter another",
		given: []ops{{add("a", "1", "ann", ""), add("b", "1", "ann", "")}},
		ops:   ops{remove("a", "1"), add("c", "1", "ann", "")}, status: "-+",
		events: []string{"a -l,1=ann <ann 0/0/0", "c +1=ann >ann 1/1/0"},
	},
	{
		name:  "results follow the operations though rooms are interleaved",
		given: []ops{{add("a", "1", "ann", "hi"), add("b", "1", "ann", "hi")}},
		ops: ops{
			remove("a", "9"), update("b", "1", "hi"), add("a", "2", "bob", ""), remove("b", "7"),
			update("a", "1", "new"),
		}, status: ".=+.~",
		events: []string{"a +2=bob ~1=ann:new >bob 2/2/0"},
	},
	{
		name: "no operations",
	},
}

func TestWrite(t *testing.T) {
	for _, tt := range slices.Concat(writes, keeps, graces, identities) {
		t.Run(tt.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := newWorld(t, s)
				for _, given := range tt.given {
					w.write(given...)
				}
				b := w.batch(add("", "", "", ""))
				b.Ops = tt.ops
				reply, err := w.Write(w.ctx, b)
				w.must(err)
				if got := statuses(reply); got != tt.status {
					t.Fatalf("statuses %q, want %q", got, tt.status)
				}
				w.expect(reply.Events, tt.events...)
				w.agree(w.node)
			})
		})
	}
}

func TestSameReturnsTheStoredRecord(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", "hi"))
		for _, op := range []luascripts.Op{add("lobby", "1", "ann", "other"), update("lobby", "1", "hi")} {
			got := w.write(op).Results[0]
			if got.Record.User != "ann" || string(got.Record.Info) != "hi" ||
				got.Record.JoinedAt != w.record("lobby", "1").JoinedAt || got.Revision != w.header("lobby").Revision {
				t.Fatalf("%c: %+v", op.Action, got)
			}
		}
	})
}

// A fixed clock would hide a joined at that is written anew, so the record is
// made old.
func TestUpdateKeepsJoinedAt(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", "hi"))
		w.must(w.c.HSet(w.ctx, w.Room("lobby"), "n1!1", "1000000000007\x00\x03annhi").Err())
		events := w.write(update("lobby", "1", "away")).Events
		if r := w.record("lobby", "1"); r.JoinedAt != 1000000000007 || events[0].Items[0].Record.JoinedAt != r.JoinedAt {
			t.Fatalf("%+v, %+v", r, events)
		}
	})
}

func TestJoinedAtIsRedisTime(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		before := w.now().UnixMilli()
		w.write(add("lobby", "1", "ann", "hi"))
		if at := w.record("lobby", "1").JoinedAt; at < before || at > w.now().UnixMilli() {
			t.Fatalf("joined at %d, before %d", at, before)
		}
	})
}

func TestSealedIsKeptAndIsAChange(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		op := add("lobby", "1", "ann", "hi")
		op.Record.Sealed = true
		if e := w.write(op).Events; !e[0].Items[0].Record.Sealed || !w.record("lobby", "1").Sealed {
			t.Fatalf("%+v", e)
		}
		if got := statuses(w.write(update("lobby", "1", "hi"))); got != "~" || w.record("lobby", "1").Sealed {
			t.Fatalf("unsealing update: %q, %+v", got, w.record("lobby", "1"))
		}
		op.Action = luascripts.Update
		if got := statuses(w.write(op)); got != "~" || !w.record("lobby", "1").Sealed {
			t.Fatalf("sealing update: %q", got)
		}
	})
}

func TestNodesShareARoom(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		o := w.another("n2")
		write := func(w *world, ops ...luascripts.Op) []luascripts.RoomEvent {
			reply, err := w.Write(w.ctx, w.batch(ops...))
			w.must(err)
			w.agree("n1", "n2")
			return reply.Events
		}
		w.expect(write(w, add("lobby", "1", "ann", "")), "lobby +1=ann >ann 1/1/0")
		o.expect(write(o, add("lobby", "1", "ann", "")), "lobby +1=ann 2/1/0")
		w.expect(write(w, remove("lobby", "1")), "lobby -l,1=ann 1/1/0")
		o.expect(write(o, remove("lobby", "1")), "lobby -l,1=ann <ann 0/0/0")
	})
}

func TestEventIsPublishedAsReturned(t *testing.T) {
	for _, tt := range slices.Concat(writes, keeps, graces, identities) {
		t.Run(tt.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := newWorld(t, s)
				for _, given := range tt.given {
					w.write(given...)
				}
				b := w.batch(add("", "", "", ""))
				b.Ops = tt.ops
				heard := w.listen("lobby", "a", "b", "c")
				reply, err := w.Write(w.ctx, b)
				w.must(err)
				heard(reply.Events)
			})
		})
	}
}

// listen subscribes to the rooms. What it returns checks that the given events
// were published, each on its room's key, and nothing else.
func (w *world) listen(rooms ...string) func([]luascripts.RoomEvent) {
	w.t.Helper()
	end := w.Room("the end")
	topics := []string{end}
	for _, room := range rooms {
		topics = append(topics, w.Room(room))
	}
	messages := redistest.Subscribe(w.t, w.c, topics...)
	return func(want []luascripts.RoomEvent) {
		w.t.Helper()
		_, err := redistest.Publish(w.ctx, w.c, end, "")
		w.must(err)
		var got []luascripts.RoomEvent
		// Topics of different shards are not in order.
		for ended := false; !ended || len(got) < len(want); {
			var msg *redis.Message
			select {
			case msg = <-messages:
			case <-time.After(30 * time.Second):
				w.t.Fatalf("published\n %+v\nreturned\n %+v", got, want)
			}
			if msg.Channel == end {
				ended = true
				continue
			}
			e, err := luascripts.DecodeEvent(msg.Payload)
			w.must(err)
			i := slices.Index(topics, msg.Channel)
			got = append(got, luascripts.RoomEvent{Room: rooms[i-1], Event: e})
		}
		if !equal(got, want) {
			w.t.Fatalf("published\n %+v\nreturned\n %+v", got, want)
		}
	}
}
