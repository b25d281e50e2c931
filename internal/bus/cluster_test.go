package bus_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/bus"
	"github.com/rollcall-go/rollcall/internal/hashslot"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

// fleet is a cluster with topics of all of its masters.
type fleet struct {
	t      *testing.T
	s      *redistest.Server
	client redis.UniversalClient
	bus    *bus.Bus
	topics []string
	ears   []*ear
	subs   []*bus.Subscription
}

// unfailing are the arguments of a cluster that takes no master for dead because the
// machine is busy.
var unfailing = []string{"--cluster-node-timeout", "60000"}

// newFleet subscribes to three topics of each master, two of them of one slot.
func newFleet(t *testing.T, keepAlive time.Duration, args ...string) *fleet {
	t.Helper()
	s := redistest.Cluster(t, args...)
	f := &fleet{t: t, s: s, client: s.NewClient(t)}
	f.bus = keepBus(t, f.client, time.Minute, keepAlive)
	for master := range s.Nodes() {
		slots := 0
		for n := 0; slots < 2; n++ {
			tag := fmt.Sprint(n)
			if hashslot.Of(tag)*s.Nodes()/hashslot.Count != master {
				continue
			}
			if slots++; slots == 1 {
				f.topics = append(f.topics, "{"+tag+"}also")
			}
			f.topics = append(f.topics, "{"+tag+"}topic")
		}
	}
	for _, topic := range f.topics {
		e := &ear{}
		f.ears = append(f.ears, e)
		f.subs = append(f.subs, f.bus.Subscribe(topic, e))
	}
	wait(t, f.subs...)
	f.check("at first")
	return f
}

// check publishes on each topic until the bus has heard something new, and on
// its own connection.
func (f *fleet) check(when string) {
	f.t.Helper()
	for i, topic := range f.topics {
		before, _ := f.ears[i].heard()
		redistest.Eventually(f.t, patience, func() error {
			n, err := redistest.Publish(f.t.Context(), f.client, topic, when)
			if err == nil && n != 1 {
				err = fmt.Errorf("%s: %d hear it", topic, n)
			}
			return err
		})
		redistest.Eventually(f.t, patience, func() error {
			if frames, _ := f.ears[i].heard(); len(frames) == len(before) {
				return fmt.Errorf("%s: nothing heard %s", topic, when)
			}
			return nil
		})
	}
}

// gaps fails unless each topic has had so many gaps.
func (f *fleet) gaps(want func(topic string) int) {
	f.t.Helper()
	for i, topic := range f.topics {
		redistest.Eventually(f.t, patience, func() error {
			if _, gaps := f.ears[i].heard(); gaps != want(topic) {
				return fmt.Errorf("%s: %d gaps, want %d", topic, gaps, want(topic))
			}
			return nil
		})
	}
}

// of tells whether a topic is of a master as the slots were dealt out.
func (f *fleet) of(master int) func(topic string) int {
	return func(topic string) int {
		if hashslot.Of(topic)*f.s.Nodes()/hashslot.Count == master {
			return 1
		}
		return 0
	}
}

// move moves an empty slot from one master to another.
func (f *fleet) move(slot, from, to int) {
	f.t.Helper()
	ids := make([]string, f.s.Nodes())
	ask := func(i int, args ...any) (string, error) {
		return f.s.Node(i).NewClient(f.t).Do(f.t.Context(), append([]any{"CLUSTER"}, args...)...).Text()
	}
	on := func(i int, args ...any) string {
		f.t.Helper()
		reply, err := ask(i, args...)
		if err != nil {
			f.t.Fatal(err)
		}
		return reply
	}
	for i := range ids {
		ids[i] = on(i, "MYID")
	}
	on(to, "SETSLOT", slot, "IMPORTING", ids[from])
	// What masters hear of the last move, late, may have them undo it.
	redistest.Eventually(f.t, patience, func() error {
		_, err := ask(from, "SETSLOT", slot, "MIGRATING", ids[to])
		for i := 0; err != nil && i < len(ids); i++ {
			_, _ = ask(i, "SETSLOT", slot, "NODE", ids[from])
		}
		return err
	})
	for _, i := range []int{to, from, 3 - from - to} {
		on(i, "SETSLOT", slot, "NODE", ids[to])
	}
}

// The server that loses a slot says so, and the new one is found. Nobody else
// notices, and no message is heard twice.
func TestSlotMoves(t *testing.T) {
	f := newFleet(t, time.Hour, unfailing...)
	moving := f.topics[0]
	slot := hashslot.Of(moving)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var senders sync.WaitGroup
	for _, topic := range f.topics {
		senders.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = redistest.Publish(ctx, f.client, topic, "#"+strconv.Itoa(n))
			}
		})
	}
	for round := 1; round <= 6; round++ {
		f.move(slot, (round-1)%3, round%3)
		f.gaps(func(topic string) int {
			if hashslot.Of(topic) == slot {
				return round
			}
			return 0
		})
		wait(t, f.subs...)
	}
	cancel()
	senders.Wait()
	f.check("at the end")
	for i, topic := range f.topics {
		frames, _ := f.ears[i].heard()
		last := -1
		for _, frame := range frames {
			if n, err := strconv.Atoi(frame[1:]); frame[0] == '#' && err == nil {
				if n <= last {
					t.Errorf("%s: %d after %d", topic, n, last)
				}
				last = n
			}
		}
	}
}

// Whoever waits for a topic while its slot moves is subscribed where it went.
func TestComingAndGoingWhileASlotMoves(t *testing.T) {
	f := newFleet(t, time.Hour, unfailing...)
	slot := hashslot.Of(f.topics[0])
	ctx, cancel := context.WithCancel(t.Context())
	var comers sync.WaitGroup
	for i := range 8 {
		comers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				sub := f.bus.Subscribe(fmt.Sprintf("%s %d %d", f.topics[0], i, n), &ear{})
				if err := sub.Wait(t.Context()); err != nil {
					t.Error(err)
				}
				sub.Close()
			}
		})
	}
	for round := range 12 {
		f.move(slot, round%3, (round+1)%3)
	}
	cancel()
	comers.Wait()
	f.check("at the end")
}

func TestManualFailover(t *testing.T) {
	f := newFleet(t, time.Hour)
	master, replica := f.s.Node(0), f.s.AddReplica(0)
	for round := 1; round <= 3; round++ {
		promote(t, replica.NewClient(t), master.NewClient(t))
		master, replica = replica, master
		f.gaps(func(topic string) int { return round * f.of(0)(topic) })
		wait(t, f.subs...)
		f.check(fmt.Sprint("in round ", round)) // the master's own subscribers are counted
	}
}

// promote has a replica and its master change roles. It asks again where the
// others have not voted in time.
func promote(t *testing.T, replica, master redis.UniversalClient) {
	t.Helper()
	var asked time.Time
	redistest.Eventually(t, 2*patience, func() error {
		was, err := replica.Do(t.Context(), "ROLE").Slice()
		if err != nil {
			return err
		}
		is, err := master.Do(t.Context(), "ROLE").Slice()
		if err != nil || was[0] == "master" && is[0] == "slave" {
			return err
		}
		if was[0] == "slave" && time.Since(asked) > 6*time.Second && replica.ClusterFailover(t.Context()).Err() == nil {
			asked = time.Now()
		}
		return fmt.Errorf("roles %s and %s", was[0], is[0])
	})
}

func TestMasterKilled(t *testing.T) {
	f := newFleet(t, time.Hour)
	f.s.AddReplica(0)
	f.s.Node(0).Kill()
	f.gaps(f.of(0)) // the connection to the dead is lost, and that to the promoted made
	wait(t, f.subs...)
	f.check("after the promotion")
	f.gaps(f.of(0))
}

// A frozen master keeps its connections, and new ones to it even open.
func TestMasterFrozen(t *testing.T) {
	f := newFleet(t, time.Second)
	f.s.AddReplica(0)
	f.s.Node(0).Freeze()
	f.gaps(f.of(0))
	wait(t, f.subs...)
	f.check("after the promotion")
	f.s.Node(0).Thaw()
	f.check("after the thaw")
	f.gaps(f.of(0))
}

// A shard that is down is no matter of the others', also not for new topics.
func TestMasterRestart(t *testing.T) {
	f := newFleet(t, time.Hour)
	for i := range f.s.Nodes() {
		if err := f.s.Node(i).NewClient(t).ConfigSet(t.Context(), "cluster-require-full-coverage", "no").Err(); err != nil {
			t.Fatal(err)
		}
	}
	for round := 1; round <= 2; round++ {
		f.s.Node(0).Kill()
		late := make([]*bus.Subscription, len(f.topics))
		for i, topic := range f.topics {
			late[i] = f.bus.Subscribe(fmt.Sprint(topic, round), &ear{})
		}
		for i, topic := range f.topics {
			if f.of(0)(topic) == 0 {
				wait(t, f.subs[i], late[i])
				continue
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if err := late[i].Wait(ctx); err == nil {
				t.Errorf("%s: %v, and its server is down", topic, err)
			}
			cancel()
		}
		f.s.Node(0).Start()
		redistest.Eventually(t, patience, func() error { // for a moment the server is still known to be away
			for _, s := range append(late, f.subs...) {
				if err := s.Wait(t.Context()); err != nil {
					return err
				}
			}
			return nil
		})
		f.gaps(func(topic string) int { return round * f.of(0)(topic) })
	}
	f.check("at the end")
}

// There is one connection to each master, however many topics and slots.
func TestOneConnectionToEachMaster(t *testing.T) {
	f := newFleet(t, time.Hour, unfailing...)
	var subs []*bus.Subscription
	for i := range 1000 {
		subs = append(subs, f.bus.Subscribe(fmt.Sprint("topic ", i), &ear{}))
	}
	wait(t, subs...)
	for i := range f.s.Nodes() {
		list, err := f.s.Node(i).NewClient(t).ClientList(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		if n := subscribers(list); n != 1 {
			t.Errorf("master %d: %d subscriber connections", i, n)
		}
	}
}
