package presence_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/presencetest"
)

func TestStatsCountWhatANodeDid(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		ctx := t.Context()
		a := newNode(t, s, presence.Options{MaxAge: time.Minute, FlushInterval: 10 * time.Millisecond})
		b := newNode(t, s, presence.Options{})
		first, second, theirs := a.open(t), a.open(t), b.open(t)
		a.add(t, "lobby", first, "ann")
		a.add(t, "attic", first, "ann")
		a.add(t, "lobby", second, "bob")
		a.add(t, "lobby", second, "bob")  // nothing new
		a.add(t, "lobby", second, "carl") // who takes over
		b.add(t, "lobby", theirs, "dora")
		if _, err := a.Update(ctx, "lobby", first, []byte("busy")); err != nil {
			t.Fatal(err)
		}
		w, err := a.Watch(ctx, "lobby", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if err := a.Layer.GroupSend(ctx, "lobby", groups.Message{Type: "hello"}); err != nil {
			t.Fatal(err)
		}
		if err := b.Layer.Send(ctx, first, groups.Message{Type: "hello"}); err != nil {
			t.Fatal(err)
		}
		redistest.Eventually(t, patience, func() error { // before one of them leaves
			if n := a.Stats().Layer.Delivered; n < 3 {
				return fmt.Errorf("%d delivered", n)
			}
			return nil
		})
		a.Touch(first)
		if _, err := a.LeaveAll(ctx, second, presence.Disconnected); err != nil {
			t.Fatal(err)
		}
		redistest.Eventually(t, patience, func() error {
			st := a.Stats()
			got := fmt.Sprintln(st.Layer.Channels, st.Rooms, st.Presences, st.Views,
				st.Joins, st.Updates, st.Leaves[presence.Switched], st.Leaves[presence.Disconnected],
				st.Layer.Sent, st.Layer.Delivered, st.Restored, st.Layer.Gaps)
			want := fmt.Sprintln(2, 2, 2, 1, 4, 1, 1, 1, 1, 3, 0, 0)
			if got != want {
				return fmt.Errorf("have %swant %s", got, want)
			}
			if st.Touches == 0 || st.Flushes == 0 {
				return errors.New("no flush was counted")
			}
			return nil
		})
		st := a.Stats()
		write := st.Scripts["write"]
		if write.Calls < 5 || write.Total <= 0 || write.Buckets[len(write.Buckets)-1].Calls > write.Calls {
			t.Errorf("writes: %+v", write)
		}
		if st.Scripts["touch"].Calls == 0 || st.Scripts["register"].Calls == 0 {
			t.Errorf("scripts: %+v", st.Scripts)
		}
		for kind, n := range st.RedisErrors {
			if n != 0 {
				t.Errorf("%d errors of kind %s", n, kind)
			}
		}
		redistest.Eventually(t, patience, func() error {
			if st := b.Stats(); st.Joins != 1 || st.Layer.Sent != 1 || st.Layer.Delivered != 1 {
				return fmt.Errorf("the other node: %+v", st)
			}
			return nil
		})
	})
}

func TestStatsTellOfFaults(t *testing.T) {
	presencetest.Run(t, 1, nil, func(t *testing.T, fleet *presencetest.Fleet) {
		n := fleet.Node(0)
		if st := n.Tracker.Stats(); st.Sweeps != 0 || st.PruneLag != 0 {
			t.Errorf("before a sweep: %d sweeps, lag %v", st.Sweeps, st.PruneLag)
		}
		silent := n.Connect(presence.Member{User: "ann"}, "lobby")
		silent.Silence()
		defer watch(t, n.Tracker, "lobby", nil).Close()
		fleet.AwaitUsers("lobby")
		st := n.Tracker.Stats()
		if st.Leaves[presence.TimedOut] != 1 || st.Evictions != 1 || st.Sweeps < 10 || st.PruneLag > 5*time.Second || st.LeaseAge > 4*time.Second {
			t.Errorf("after a prune: %+v", st)
		}

		n.Tracker.Touch(silent.Name()) // comes again
		fleet.AwaitUsers("lobby", "ann")
		fleet.Flush()
		fleet.AwaitUsers("lobby", "ann")
		if st := n.Tracker.Stats(); st.Registered != 1 || st.Restored != 1 || st.Joins != 2 {
			t.Errorf("after a loss: %d registered, %d restored, %d joins", st.Registered, st.Restored, st.Joins)
		}
		fleet.DropConnections()
		fleet.Advance(10 * time.Second)
		if st := n.Tracker.Stats(); st.Layer.Gaps == 0 || st.Resyncs == 0 {
			t.Errorf("after a lost connection: %d gaps, %d resyncs", st.Layer.Gaps, st.Resyncs)
		}
		fleet.FreezeRedis()
		n.Tracker.Touch(silent.Name())
		fleet.Advance(30 * time.Second)
		st = n.Tracker.Stats()
		if st.RedisErrors["timeout"] == 0 || st.LeaseAge < 25*time.Second ||
			st.PruneLag < 25*time.Second || st.Health.State != presence.Degraded {
			t.Errorf("while Redis is frozen: errors %v, lease %v old, lag %v, %v",
				st.RedisErrors, st.LeaseAge, st.PruneLag, st.Health)
		}
	})
}

func TestATouchDoesNotAllocate(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		channel := n.open(t)
		n.add(t, "lobby", channel, "ann")
		if allocs := testing.AllocsPerRun(100, func() { n.Touch(channel) }); allocs != 0 {
			t.Errorf("%v allocations", allocs)
		}
	})
}
