package presence

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// Without memory nobody enters, and who leaves in the same batch does leave, be it
// after a grace. miniredis knows no maxmemory.
func TestWhoLeavesInABatchThatIsRefused(t *testing.T) {
	s := redistest.Real(t)
	ctx := t.Context()
	n := newStranger(t, s)
	enter := func(user string) *entry {
		t.Helper()
		ch, err := n.layer.NewChannel()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := n.Add(ctx, "lobby", ch.Name(), Member{User: user}); err != nil {
			t.Fatal(err)
		}
		return n.own(ch.Name())
	}
	ask := func(ops ...luascripts.Op) *write {
		return &write{ctx: ctx, ops: ops, done: make(chan outcome, 1)}
	}
	ann, bob := enter("ann"), enter("bob")
	restore := s.SetConfig("maxmemory", "1")

	comes := ask(luascripts.Op{Action: luascripts.Add, Room: "lobby", Short: "new", Record: luascripts.Record{User: "cyd"}})
	goes := ask(removal(ann.short, "lobby", departure{why: Left}))
	fades := ask(removal(bob.short, "lobby", departure{why: Drained, grace: time.Minute}))
	n.writers[0].run([]*write{comes, goes, fades})
	if o := <-comes.done; !errors.Is(o.err, ErrUnavailable) || !redis.IsOOMError(o.err) {
		t.Errorf("who enters: %+v", o)
	}
	for want, p := range map[luascripts.Status]*write{luascripts.StatusRemoved: goes, luascripts.StatusGraced: fades} {
		if o := <-p.done; o.err != nil || o.results[0].Status != want {
			t.Errorf("who leaves: %+v, want %q", o, want)
		}
	}
	restore()
}
