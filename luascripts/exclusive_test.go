package luascripts_test

import (
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// exclusive gives an operation that record.
func exclusive(op luascripts.Op) luascripts.Op {
	op.Record.Exclusive = true
	if op.Stored != "" {
		r, err := luascripts.DecodeRecord(op.Stored)
		if err != nil {
			panic(err)
		}
		r.Exclusive = true
		op.Stored = r.Encode()
	}
	return op
}

func revive(op luascripts.Op) luascripts.Op {
	op.Action = luascripts.Revive
	return op
}

// confirm is of a keep, by a node that wrote it at a revision.
func confirm(op luascripts.Op, since int64) luascripts.Op {
	op.Action, op.Since = luascripts.Confirm, since
	return op
}

// Of the exclusive channels of a user in a room there is one.
var exclusives = []struct {
	writeRow
	gone []string // channels that the batch has removed besides, of which the index tells still
}{
	{writeRow: writeRow{
		name: "the first",
		ops:  ops{exclusive(add("lobby", "1", "ann", "hi"))}, status: "+",
		events: []string{"lobby +1=ann:hi >ann 1/1/0"},
	}},
	{writeRow: writeRow{
		name:  "the newest takes the place of the one before",
		given: []ops{{exclusive(add("lobby", "1", "ann", "hi"))}},
		ops:   ops{exclusive(add("lobby", "2", "ann", "yo"))}, status: "+",
		events: []string{"lobby -r,1=ann +2=ann:yo 1/1/0"},
	}, gone: []string{"1"}},
	{writeRow: writeRow{
		name:  "of another user it takes no place",
		given: []ops{{exclusive(add("lobby", "1", "ann", ""))}},
		ops:   ops{exclusive(add("lobby", "2", "bob", ""))}, status: "+",
		events: []string{"lobby +2=bob >bob 2/2/0"},
	}},
	{writeRow: writeRow{
		name:  "nor in another room",
		given: []ops{{exclusive(add("den", "1", "ann", ""))}},
		ops:   ops{exclusive(add("lobby", "2", "ann", ""))}, status: "+",
		events: []string{"lobby +2=ann >ann 1/1/0"},
	}},
	{writeRow: writeRow{
		name:  "a key is what counts",
		given: []ops{{exclusive(keyed(add("lobby", "1", "ann", ""), "phone"))}},
		ops:   ops{exclusive(keyed(add("lobby", "2", "ann", ""), "desk"))}, status: "+",
		events: []string{"lobby +2=ann#desk >desk 2/2/0"},
	}},
	{writeRow: writeRow{
		name:  "who is not exclusive stays, and takes no place",
		given: []ops{{add("lobby", "1", "ann", "")}, {exclusive(add("lobby", "2", "ann", ""))}},
		ops:   ops{add("lobby", "3", "ann", "")}, status: "+",
		events: []string{"lobby +3=ann 3/1/0"},
	}},
	{writeRow: writeRow{
		name:  "the same channel again",
		given: []ops{{exclusive(add("lobby", "1", "ann", "hi"))}},
		ops:   ops{exclusive(add("lobby", "1", "ann", "yo"))}, status: "=",
	}},
	{writeRow: writeRow{
		name:  "a channel becomes exclusive",
		given: []ops{{exclusive(add("lobby", "1", "ann", ""))}, {add("lobby", "2", "ann", "")}},
		ops:   ops{exclusive(add("lobby", "2", "ann", ""))}, status: "+",
		events: []string{"lobby -r,1=ann -s,2=ann +2=ann 1/1/0"},
	}, gone: []string{"1"}},
	{writeRow: writeRow{
		name:  "a channel is no longer exclusive",
		given: []ops{{exclusive(add("lobby", "1", "ann", ""))}},
		ops:   ops{add("lobby", "1", "ann", "")}, status: "+",
		events: []string{"lobby -s,1=ann +1=ann 1/1/0"},
	}},
	{writeRow: writeRow{
		name:  "an exclusive channel becomes another user's",
		given: []ops{{exclusive(add("lobby", "1", "ann", ""))}, {exclusive(add("lobby", "2", "bob", ""))}},
		ops:   ops{exclusive(add("lobby", "1", "bob", ""))}, status: "+",
		events: []string{"lobby -r,2=bob -s,1=ann +1=bob <ann 1/1/0"},
	}, gone: []string{"2"}},
	{writeRow: writeRow{
		name:  "its place is free when it leaves",
		given: []ops{{exclusive(add("lobby", "1", "ann", ""))}, {remove("lobby", "1")}},
		ops:   ops{exclusive(add("lobby", "2", "ann", ""))}, status: "+",
		events: []string{"lobby +2=ann >ann 1/1/0"},
	}},
	{writeRow: writeRow{
		name:  "those that leave share a batch, and free their places",
		given: []ops{{exclusive(add("lobby", "1", "ann", ""))}, {exclusive(add("lobby", "2", "bob", ""))}, {exclusive(add("lobby", "3", "cat", ""))}},
		ops:   ops{remove("lobby", "1"), add("lobby", "4", "ann", ""), drop("lobby", "2"), update("lobby", "3", "hi")}, status: "-+-~",
		events: []string{"lobby -l,1=ann +4=ann -d,2=bob ~3=cat:hi <bob 2/2/0"},
	}},
	{writeRow: writeRow{
		name:  "who is in grace gives way, for the reason for which it left",
		given: []ops{{exclusive(add("lobby", "1", "ann", "hi"))}, {grace("lobby", "1", time.Minute)}},
		ops:   ops{exclusive(add("lobby", "2", "ann", "hi"))}, status: "+",
		events: []string{"lobby -d,1=ann +2=ann:hi 1/1/0"},
	}},
	{writeRow: writeRow{
		name:  "back from its grace on the same channel it has its place",
		given: []ops{{exclusive(add("lobby", "1", "ann", ""))}, {grace("lobby", "1", time.Minute)}},
		ops:   ops{exclusive(add("lobby", "1", "ann", ""))}, status: "+",
		events: []string{"lobby -d,1=ann +1=ann 1/1/0"},
	}},
	{writeRow: writeRow{
		name:  "and where it is asserted again",
		given: []ops{{exclusive(add("lobby", "1", "ann", ""))}, {grace("lobby", "1", time.Minute)}},
		ops:   ops{exclusive(keep("lobby", "1", joined, "ann", ""))}, status: "+",
		events: []string{"lobby -d,1=ann +1=ann 1/1/0"},
	}},
	{writeRow: writeRow{
		name:  "and as another user with the same key",
		given: []ops{{exclusive(keyed(add("lobby", "1", "ann", ""), "desk"))}},
		ops:   ops{exclusive(keyed(add("lobby", "1", "bob", ""), "desk"))}, status: "+",
		events: []string{"lobby -s,1=ann#desk +1=bob#desk 1/1/0"},
	}},
	{writeRow: writeRow{
		name:  "an update keeps the place",
		given: []ops{{exclusive(add("lobby", "1", "ann", "hi"))}, {update("lobby", "1", "yo")}},
		ops:   ops{exclusive(add("lobby", "2", "ann", ""))}, status: "+",
		events: []string{"lobby -r,1=ann +2=ann 1/1/0"},
	}, gone: []string{"1"}},
	{writeRow: writeRow{
		name:  "one that is pruned does not come back where there is another",
		given: []ops{{exclusive(add("lobby", "2", "ann", ""))}},
		ops:   ops{revive(exclusive(add("lobby", "1", "ann", "")))}, status: "^",
	}},
	{writeRow: writeRow{
		name: "it does where there is none",
		ops:  ops{revive(exclusive(add("lobby", "1", "ann", "")))}, status: "+",
		events: []string{"lobby +1=ann >ann 1/1/0"},
	}},
	{writeRow: writeRow{
		name:  "after a loss the newer stays",
		given: []ops{{exclusive(keep("lobby", "2", joined+1, "ann", ""))}},
		ops:   ops{exclusive(keep("lobby", "1", joined, "ann", ""))}, status: "^",
	}},
	{writeRow: writeRow{
		name:  "whichever is asserted first",
		given: []ops{{exclusive(keep("lobby", "1", joined, "ann", ""))}},
		ops:   ops{exclusive(keep("lobby", "2", joined+1, "ann", "yo"))}, status: "+",
		events: []string{"lobby -r,1=ann +2=ann:yo 1/1/0"},
	}, gone: []string{"1"}},
	{writeRow: writeRow{
		name:  "of two of the same moment one does, always the same",
		given: []ops{{exclusive(keep("lobby", "2", joined, "ann", ""))}},
		ops:   ops{exclusive(keep("lobby", "1", joined, "ann", ""))}, status: "^",
	}},
	{writeRow: writeRow{
		name:  "one that was replaced learns it when it is confirmed",
		given: []ops{{exclusive(add("lobby", "2", "ann", ""))}},
		ops:   ops{confirm(exclusive(keep("lobby", "1", joined, "ann", "")), 9_999_999_999_999_999)}, status: "^",
	}},
	{writeRow: writeRow{
		name:  "one that was pruned, too",
		given: []ops{{add("lobby", "2", "ann", "")}},
		ops:   ops{confirm(exclusive(keep("lobby", "1", joined, "ann", "")), 9_999_999_999_999_999)}, status: ".",
	}},
}

func TestExclusive(t *testing.T) {
	for _, tt := range exclusives {
		t.Run(tt.name, func(t *testing.T) {
			redistest.Each(t, func(t *testing.T, s *redistest.Server) {
				w := newWorld(t, s)
				for _, given := range tt.given {
					w.write(given...)
				}
				reply, err := w.Write(w.ctx, w.batch(tt.ops...))
				w.must(err)
				if got := statuses(reply); got != tt.status {
					t.Fatalf("statuses %q, want %q", got, tt.status)
				}
				w.expect(reply.Events, tt.events...)
				for _, short := range tt.gone { // as its node does when it hears of it
					if got := statuses(w.write(remove(tt.ops[0].Room, short))); got != "." {
						t.Errorf("%q is there still: %q", short, got)
					}
				}
				w.agree(w.node)
			})
		})
	}
}

// What the claims say may be lost, as a key may be evicted: the two that are there
// then settle it when their nodes assert them.
func TestRivalsSettle(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.rarely = true
		older, newer := exclusive(keep("lobby", "1", joined, "ann", "")), exclusive(keep("lobby", "2", joined+1, "ann", ""))
		w.write(older)
		w.must(w.c.Del(w.ctx, w.Exclusive(0)).Err())
		w.expect(w.write(newer).Events, "lobby +2=ann 2/1/0")
		w.must(w.c.Del(w.ctx, w.Exclusive(0)).Err())
		if got := statuses(w.write(older)); got != "=" {
			t.Fatalf("the older is told %q before the newer has its claim again", got)
		}
		w.expect(w.write(newer).Events, "lobby -r,1=ann 1/1/0")
		if got := statuses(w.write(older)); got != "^" {
			t.Fatalf("the older is told %q", got)
		}
		w.agree(w.node)
	})
}

// Of two that are there, as the claims were lost, the one without a claim leaves
// where it would come back.
func TestARivalThatComesBackLeaves(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.rarely = true
		w.write(exclusive(add("lobby", "1", "ann", "")))
		w.must(w.c.Del(w.ctx, w.Exclusive(0)).Err())
		w.write(exclusive(add("lobby", "2", "ann", "")))
		reply := w.write(revive(exclusive(add("lobby", "1", "ann", ""))))
		if got := statuses(reply); got != "^" {
			t.Fatalf("it is told %q", got)
		}
		w.expect(reply.Events, "lobby -r,1=ann 1/1/0")
		w.agree(w.node)
	})
}

// Another node's channel gives way, too, and the sweep of a dead node frees a place.
func TestExclusiveOfSeveralNodes(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.rarely = true
		o := w.another("n2")
		o.rarely = true
		w.write(exclusive(add("lobby", "1", "ann", "")))
		reply := o.write(exclusive(add("lobby", "1", "ann", "")))
		w.expect(reply.Events, "lobby -r,1=ann +n2!1=ann 1/1/0")
		w.write(remove("lobby", "1"))
		w.agree("n1", "n2")

		o.leased(time.Hour)
		w.silence(0)
		stale, err := w.Orphans(w.ctx, 0, "n2")
		w.must(err)
		events, err := w.Prune(w.ctx, luascripts.Sweep{Shard: 0, Node: "n2", Stale: stale, Reason: 'n'})
		w.must(err)
		w.expect(events, "lobby -n,n2!1=ann <ann 0/0/0")
		w.expect(w.write(exclusive(add("lobby", "2", "ann", ""))).Events, "lobby +2=ann >ann 1/1/0")
		w.must(o.c.Del(w.ctx, o.Node(0, "n2")).Err())
		w.must(o.c.ZRem(w.ctx, o.Nodes(0), "n2").Err())
		w.agree("n1")
	})
}
