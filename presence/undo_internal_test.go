package presence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// gate stands before all scripts of a client, or only those that have a key of a kind
// among theirs: it returns what is to become of one, nil for what does.
type gate struct {
	kind string
	fate atomic.Pointer[func(run func() error) error]
}

func (g *gate) set(fate func(run func() error) error) { g.fate.Store(&fate) }
func (g *gate) open()                                 { g.fate.Store(nil) }

func (g *gate) DialHook(next redis.DialHook) redis.DialHook { return next }
func (g *gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (g *gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		fate := g.fate.Load()
		if fate == nil || cmd.Name() != "evalsha" && cmd.Name() != "eval" || !g.guards(cmd) {
			return next(ctx, cmd)
		}
		err := (*fate)(func() error { return next(ctx, cmd) })
		cmd.SetErr(err)
		return err
	}
}

func (g *gate) guards(cmd redis.Cmder) bool {
	return g.kind == "" || slices.ContainsFunc(cmd.Args(), func(arg any) bool {
		key, ok := arg.(string)
		return ok && strings.Contains(key, g.kind)
	})
}

// holdReply holds back the reply of the next script until release is called.
func (g *gate) holdReply() (release func()) {
	held, first := make(chan struct{}), atomic.Bool{}
	g.set(func(run func() error) error {
		err := run()
		if first.CompareAndSwap(false, true) {
			<-held
		}
		return err
	})
	return func() { close(held) }
}

// loseReplies has scripts run, and nobody hear of it.
func loseReplies(run func() error) error {
	_ = run()
	return io.ErrUnexpectedEOF
}

// refusal is an answer of Redis.
type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) RedisError()     {}

// inDoubt is a node of which a batch is, that has changed the info of one channel and
// added another, both for callers who were told that it failed.
type inDoubt struct {
	stranger
	gate           *gate
	updated, added *entry
}

func newInDoubt(t *testing.T, s *redistest.Server) inDoubt {
	t.Helper()
	ctx, client, g := t.Context(), s.NewClient(t), &gate{}
	n := inDoubt{stranger: newStrangerOn(t, client), gate: g}
	client.AddHook(g)
	open := func() *entry {
		t.Helper()
		ch, err := n.layer.NewChannel()
		if err != nil {
			t.Fatal(err)
		}
		// In another room, too: the node knows the channel.
		if _, _, err := n.Add(ctx, "hall", ch.Name(), Member{}); err != nil {
			t.Fatal(err)
		}
		return n.own(ch.Name())
	}
	n.updated, n.added = open(), open()
	if _, _, err := n.Add(ctx, "lobby", n.updated.channel, Member{User: "ann", Info: []byte("here")}); err != nil {
		t.Fatal(err)
	}
	ask := func(op luascripts.Op) *write {
		return &write{ctx: ctx, ops: []luascripts.Op{op}, done: make(chan outcome, 1)}
	}
	batch := []*write{
		ask(luascripts.Op{Action: luascripts.Update, Room: "lobby", Short: n.updated.short, Record: luascripts.Record{Info: []byte("away")}}),
		ask(luascripts.Op{Action: luascripts.Add, Room: "lobby", Short: n.added.short, Record: luascripts.Record{User: "bob"}}),
	}
	g.set(loseReplies)
	n.writers[0].run(batch)
	for _, p := range batch {
		if o := <-p.done; !errors.Is(o.err, ErrUnavailable) {
			t.Fatalf("%+v", o)
		}
	}
	return n
}

// isUndone tells whether the room is as it was before the batch in doubt.
func (n inDoubt) isUndone(ctx context.Context) error {
	s, err := n.Snapshot(ctx, "lobby")
	if err == nil && (len(s.Presences) != 1 || string(s.Presences[0].Info) != "here") {
		err = fmt.Errorf("%+v", s.Presences)
	}
	return err
}

// It is found out that a batch was carried out while there is no memory for
// additions. miniredis knows no maxmemory.
func TestDoubtIsUndoneWithoutMemory(t *testing.T) {
	s := redistest.Real(t)
	n := newInDoubt(t, s)
	restore := s.SetConfig("maxmemory", "1")
	defer restore()
	n.gate.open()
	redistest.Eventually(t, 30*time.Second, func() error { return n.isUndone(t.Context()) })
}

// Redis answers what became of the batch, and then refuses for a while, as a master
// does that has lost its role.
func TestUndoThatIsRefusedIsTriedAgain(t *testing.T) {
	for _, answer := range []error{
		refusal("READONLY You can't write against a read only replica."),
		refusal("MISCONF Redis is configured to save RDB snapshots"),
		refusal("TRYAGAIN Multiple keys request during rehashing of slot"),
	} {
		t.Run(answer.Error()[:8], func(t *testing.T) {
			redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
				n := newInDoubt(t, s)
				w := n.writers[0]
				var asked atomic.Int32
				n.gate.set(func(run func() error) error {
					if asked.Add(1) == 1 {
						return run()
					}
					return answer
				})
				w.mu.lock()
				err := w.settle()
				w.mu.unlock()
				if n := asked.Load(); err != nil || n < 2 {
					t.Fatalf("%d calls, %v", n, err)
				}
				redistest.Advance(t, 2*time.Second)
				if err := n.isUndone(t.Context()); err == nil {
					t.Fatal("undone although it was refused")
				}
				n.gate.open()
				redistest.Advance(t, 10*time.Second)
				if err := n.isUndone(t.Context()); err != nil {
					t.Error(err)
				}
				counts, err := n.Counts(t.Context(), "hall")
				if err != nil || counts.Presences != 2 {
					t.Errorf("%+v, %v", counts, err)
				}
			})
		})
	}
}
