package luascripts_test

import (
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// A presence that its node has is taken for removed where the room is still the
// one in which it was, and is added again where the room has been lost since.
func TestConfirm(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", "hi"), add("lobby", "2", "bob", ""))
		r, born := w.record("lobby", "1"), w.header("lobby").Birth
		w.write(remove("lobby", "1"))
		confirm := luascripts.Op{Action: luascripts.Confirm, Room: "lobby", Short: "1", Stored: r.Encode(), Since: born}

		reply := w.write(confirm)
		if got := statuses(reply); got != "." || len(reply.Events) != 0 {
			t.Fatalf("a removed one: %q, %+v", got, reply.Events)
		}
		confirm.Since = born - 1
		reply = w.write(confirm)
		w.expect(reply.Events, "lobby +1=ann:hi >ann 2/2/0")
		if got := reply.Results[0].Record; got.Encode() != r.Encode() || w.record("lobby", "1").Encode() != r.Encode() {
			t.Fatalf("%+v, want %+v", got, r)
		}
		if got := statuses(w.write(confirm)); got != "=" {
			t.Fatalf("one that is there: %q", got)
		}

		w.must(w.c.Del(w.ctx, w.Room("lobby")).Err())
		confirm.Since = born
		other := confirm
		other.Short, other.Stored = "2", luascripts.Record{JoinedAt: r.JoinedAt, User: "bob"}.Encode()
		w.expect(w.write(confirm, other).Events, "lobby +1=ann:hi +2=bob >ann >bob 2/2/0")
	})
}
