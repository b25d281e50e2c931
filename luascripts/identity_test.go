package luascripts_test

import (
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// What is counted is the key, where there is one.
var identities = []writeRow{
	{
		name: "a key is counted in place of the user",
		ops:  ops{keyed(add("lobby", "1", "ann", "hi"), "ann/phone")}, status: "+",
		events: []string{"lobby +1=ann#ann/phone:hi >ann/phone 1/1/0"},
	},
	{
		name: "two users of one key are one",
		ops:  ops{keyed(add("lobby", "1", "ann", ""), "k"), keyed(add("lobby", "2", "bob", ""), "k")}, status: "++",
		events: []string{"lobby +1=ann#k +2=bob#k >k 2/1/0"},
	},
	{
		name: "one user with two keys is two",
		ops:  ops{keyed(add("lobby", "1", "ann", ""), "k1"), keyed(add("lobby", "2", "ann", ""), "k2")}, status: "++",
		events: []string{"lobby +1=ann#k1 +2=ann#k2 >k1 >k2 2/2/0"},
	},
	{
		name:  "a key that is another's user name is that identity",
		given: []ops{{add("lobby", "1", "ann", "")}},
		ops:   ops{keyed(add("lobby", "2", "bob", ""), "ann")}, status: "+",
		events: []string{"lobby +2=bob#ann 2/1/0"},
	},
	{
		name: "a key that is the user is no key",
		ops:  ops{keyed(add("lobby", "1", "ann", ""), "ann")}, status: "+",
		events: []string{"lobby +1=ann >ann 1/1/0"},
	},
	{
		name: "a key without a user is not anonymous",
		ops:  ops{keyed(add("lobby", "1", "", "hi"), "visitor"), add("lobby", "2", "", "")}, status: "++",
		events: []string{"lobby +1=#visitor:hi +2= >visitor 2/1/1"},
	},
	{
		name:  "the same user and key again",
		given: []ops{{keyed(add("lobby", "1", "ann", "hi"), "k")}},
		ops:   ops{keyed(add("lobby", "1", "ann", "yo"), "k")}, status: "=",
	},
	{
		name:  "another key of the same user takes the channel",
		given: []ops{{keyed(add("lobby", "1", "ann", "hi"), "k1")}},
		ops:   ops{keyed(add("lobby", "1", "ann", "yo"), "k2")}, status: "+",
		events: []string{"lobby -s,1=ann#k1 +1=ann#k2:yo <k1 >k2 1/1/0"},
	},
	{
		name:  "another user of the same key takes the channel: nobody came or went",
		given: []ops{{keyed(add("lobby", "1", "ann", ""), "k")}},
		ops:   ops{keyed(add("lobby", "1", "bob", ""), "k")}, status: "+",
		events: []string{"lobby -s,1=ann#k +1=bob#k 1/1/0"},
	},
	{
		name:  "a visitor logs in and keeps the key",
		given: []ops{{keyed(add("lobby", "1", "", ""), "k")}},
		ops:   ops{keyed(add("lobby", "1", "ann", ""), "k")}, status: "+",
		events: []string{"lobby -s,1=#k +1=ann#k 1/1/0"},
	},
	{
		name:  "the key is gone, and the user stays",
		given: []ops{{keyed(add("lobby", "1", "ann", ""), "k")}},
		ops:   ops{add("lobby", "1", "ann", "")}, status: "+",
		events: []string{"lobby -s,1=ann#k +1=ann <k >ann 1/1/0"},
	},
	{
		name:  "a user named as key and user before, with the lengths apart",
		given: []ops{{keyed(add("lobby", "1", "bc", ""), "a")}},
		ops:   ops{keyed(add("lobby", "1", "c", ""), "ab")}, status: "+",
		events: []string{"lobby -s,1=bc#a +1=c#ab <a >ab 1/1/0"},
	},
	{
		name:  "update keeps user and key",
		given: []ops{{keyed(add("lobby", "1", "ann", "hi"), "k")}},
		ops:   ops{update("lobby", "1", "away")}, status: "~",
		events: []string{"lobby ~1=ann#k:away 1/1/0"},
	},
	{
		name:  "update with the same info of a key publishes nothing",
		given: []ops{{keyed(add("lobby", "1", "ann", "hi"), "k")}},
		ops:   ops{update("lobby", "1", "hi")}, status: "=",
	},
	{
		name:  "remove tells user and key, and no info",
		given: []ops{{keyed(add("lobby", "1", "ann", "hi"), "k"), keyed(add("lobby", "2", "bob", ""), "k")}},
		ops:   ops{remove("lobby", "1")}, status: "-",
		events: []string{"lobby -l,1=ann#k 1/1/0"},
	},
	{
		name:  "the last of a key goes",
		given: []ops{{keyed(add("lobby", "1", "ann", "hi"), "k")}},
		ops:   ops{remove("lobby", "1")}, status: "-",
		events: []string{"lobby -l,1=ann#k <k 0/0/0"},
	},
	{
		name:  "keep another key",
		given: []ops{{keyed(add("lobby", "1", "ann", ""), "k1")}},
		ops:   ops{keyed(keep("lobby", "1", joined, "ann", ""), "k2")}, status: "+",
		events: []string{"lobby -s,1=ann#k1 +1=ann#k2 <k1 >k2 1/1/0"},
	},
	{
		name:  "keep another info of the same key",
		given: []ops{{keyed(keep("lobby", "1", joined, "ann", "hi"), "k")}},
		ops:   ops{keyed(keep("lobby", "1", joined, "ann", "yo"), "k")}, status: "~",
		events: []string{"lobby ~1=ann#k:yo 1/1/0"},
	},
	{
		name:  "who is in grace and comes back by the key has not gone",
		given: []ops{{keyed(add("lobby", "1", "", ""), "k")}, {grace("lobby", "1", time.Minute)}},
		ops:   ops{keyed(add("lobby", "2", "", ""), "k")}, status: "+",
		events: []string{"lobby +2=#k 2/1/0"},
	},
}

// A sealed info of a key stays sealed, or not, by what was written last.
func TestSealedWithAKey(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		op := keyed(add("lobby", "1", "ann", "hi"), "k")
		op.Record.Sealed = true
		w.write(op)
		for _, step := range []struct{ info, sealed, status string }{
			{"hi", "no", "~"}, {"hi", "yes", "~"}, {"hi", "yes", "="}, {"yo", "yes", "~"},
		} {
			u := update("lobby", "1", step.info)
			u.Record.Sealed = step.sealed == "yes"
			got := statuses(w.write(u))
			r := w.record("lobby", "1")
			if got != step.status || r.Sealed != u.Record.Sealed || r.User != "ann" || r.Key != "k" || string(r.Info) != step.info {
				t.Fatalf("%+v: %q, %+v", step, got, r)
			}
		}
	})
}
