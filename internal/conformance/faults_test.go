package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// quick is a config whose nodes notice soon what became of a write.
func quick() config {
	return config{presence: presence.Options{Lease: 300 * time.Millisecond, FlushInterval: 20 * time.Millisecond}}
}

var cuts = map[cut]string{asked: "before the script", answered: "after the script"}

// breaks are what happens to a call while it is at the wire, which loses so many
// calls of its script. resume lets it go on, and waits until it has returned.
var breaks = map[string]struct {
	lost  int
	do    func(s *redistest.Server, n *node, resume func())
	fails bool
}{
	"one call is lost": {1, func(_ *redistest.Server, _ *node, resume func()) { resume() }, false},
	"connections drop": {1, func(s *redistest.Server, _ *node, resume func()) {
		s.DropClients()
		resume()
	}, false},
	"Redis stops": {1, func(s *redistest.Server, _ *node, resume func()) {
		s.Stop()
		resume()
		s.Start()
	}, true},
	"calls are lost for long": {always, func(_ *redistest.Server, n *node, resume func()) {
		resume()
		n.Wire.heal()
	}, true},
}

var interrupted = map[string]struct {
	call   func(ctx context.Context, n *node, ch *groups.Channel) error
	before []string // users of the room, of the same channel
	failed []string // after a failure
	after  []string // after another try, or where there is no failure
}{
	"add": {func(ctx context.Context, n *node, ch *groups.Channel) error {
		_, _, err := n.Add(ctx, "lobby", ch.Name(), presence.Member{User: "ana"})
		return err
	}, nil, nil, []string{"ana"}},
	"switch": {func(ctx context.Context, n *node, ch *groups.Channel) error {
		_, _, err := n.Add(ctx, "lobby", ch.Name(), presence.Member{User: "ana"})
		return err
	}, []string{"ben"}, []string{"ben"}, []string{"ana"}},
	"remove": {func(ctx context.Context, n *node, ch *groups.Channel) error {
		_, err := n.Remove(ctx, "lobby", ch.Name())
		return err
	}, []string{"ana"}, nil, nil},
	"leave-all": {func(ctx context.Context, n *node, ch *groups.Channel) error {
		_, err := n.LeaveAll(ctx, ch.Name(), presence.Disconnected)
		return err
	}, []string{"ana"}, nil, nil},
}

// An operation is interrupted. Where that is soon over it is sent again: it is in
// effect, once. Else it says so; then the state and the groups agree, an add or a
// change has no effect, a removal has, and trying again does it.
func TestOutageInTheMiddle(t *testing.T) {
	for name, op := range interrupted {
		for where, at := range cuts {
			for what, breaks := range breaks {
				t.Run(name+"/"+at+"/"+what, func(t *testing.T) {
					redistest.Each(t, func(t *testing.T, s *redistest.Server) {
						c := quick()
						if !breaks.fails { // nor may it because the machine is busy
							c.presence.Lease = 6 * time.Second
						}
						n, probe := newNode(t, s, c), newProber(t, s, nil)
						ch, other := n.Open(t), n.Enter(t, "elsewhere", "eve")
						// The scripts are known, and the channel has another room.
						n.add(t, "garden", ch, "ana")
						if _, err := n.Remove(t.Context(), "elsewhere", other.Name()); err != nil {
							t.Fatal(err)
						}
						for _, user := range op.before {
							n.add(t, "lobby", ch, user)
						}
						reached, next := n.Wire.hold(where, "write", breaks.lost)
						returned := make(chan error, 1)
						go func() {
							ctx, cancel := context.WithTimeout(t.Context(), patience)
							defer cancel()
							returned <- op.call(ctx, n, ch)
						}()
						<-reached
						breaks.do(s, n, func() {
							close(next)
							err := <-returned
							if breaks.fails && !errors.Is(err, presence.ErrUnavailable) || !breaks.fails && err != nil {
								t.Errorf("%v", err)
							}
						})
						if breaks.fails {
							settled(t, n, probe, ch, op.failed)
							redistest.Eventually(t, patience, func() error { return op.call(t.Context(), n, ch) })
						}
						settled(t, n, probe, ch, op.after)
						redistest.Eventually(t, patience, func() error {
							told := replay(t, "lobby", n)
							state, err := present(t.Context(), n, "lobby")
							if err == nil && !slices.Equal(told, state) {
								err = fmt.Errorf("told of %q, present %q", told, state)
							}
							return err
						})
						if changes := n.told(t, "lobby"); !breaks.fails && len(changes) != len(op.before)+1 {
							t.Errorf("not once in effect: %+v", changes)
						}
					})
				})
			}
		}
	}
}

// settled waits until the room has these users, and its group has exactly the
// channels of its state, though the channel is touched all the while.
func settled(t *testing.T, n *node, probe *prober, ch *groups.Channel, want []string) {
	t.Helper()
	redistest.Eventually(t, patience, func() error {
		n.Touch(ch.Name())
		users, err := n.Users(t.Context(), "lobby")
		if err == nil && !slices.Equal(users, want) {
			err = fmt.Errorf("users %q, want %q", users, want)
		}
		if err != nil {
			return err
		}
		return probe.agree(t.Context(), n, []string{"lobby", "garden"}, ch)
	})
}

// Several nodes write while connections drop and Redis stops. Whatever each call
// returned, the state, the groups and what the handlers were told agree.
func TestOutagesUnderLoadAgree(t *testing.T) {
	s := redistest.Real(t)
	nodes, probe := fleet(t, s, 3, quick()), newProber(t, s, nil)
	rooms := []string{"one", "two", "three"}
	var channels []*groups.Channel
	stop := make(chan struct{})
	var work sync.WaitGroup
	for i, n := range nodes {
		for j := range 3 {
			ch := n.Open(t)
			channels = append(channels, ch)
			work.Go(func() {
				for k := i + j; ; k++ {
					select {
					case <-stop:
						return
					default:
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					room := rooms[k%len(rooms)]
					// The errors are the outages'.
					switch k % 4 {
					case 0, 1:
						_, _, _ = n.Add(ctx, room, ch.Name(), presence.Member{User: fmt.Sprint("user", k%5)})
					case 2:
						_, _ = nodes[(i+1)%len(nodes)].Remove(ctx, room, ch.Name())
					case 3:
						_, _ = n.LeaveAll(ctx, ch.Name(), presence.Left)
					}
					cancel()
				}
			})
		}
	}
	for i := range 6 {
		before := len(nodes[0].Changes())
		redistest.Eventually(t, patience, func() error {
			if len(nodes[0].Changes()) < before+20 {
				return errors.New("no load")
			}
			return nil
		})
		if i%3 == 2 {
			s.Restart(false)
		} else {
			s.DropClients()
		}
	}
	close(stop)
	work.Wait()
	redistest.Eventually(t, patience, func() error { return probe.agree(t.Context(), nodes[0], rooms, channels...) })
	// A write that was in doubt is settled, as none is left that could change it.
	for _, n := range nodes {
		for _, room := range rooms {
			n.told(t, room)
		}
	}
	for _, room := range rooms {
		state, err := present(t.Context(), nodes[0], room)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, name := range replay(t, room, nodes...) {
			if slices.ContainsFunc(channels, func(ch *groups.Channel) bool { return ch.Name() == name }) {
				told = append(told, name)
			}
		}
		if !slices.Equal(told, state) {
			t.Errorf("room %s: told of %q, present %q", room, told, state)
		}
	}
}

// Redis loses everything. Each node adds again what it holds, and nothing else.
func TestNodesAddAgainWhatRedisHasLost(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		c := quick()
		c.presence.Lease = 3 * time.Second // nothing may fail before the loss
		nodes, probe := fleet(t, s, 2, c), newProber(t, s, nil)
		var channels []*groups.Channel
		for i, n := range nodes {
			ch := n.Enter(t, "lobby", fmt.Sprint("user", i))
			n.add(t, "garden", ch, "")
			gone := n.Enter(t, "lobby", "gone")
			if _, err := n.LeaveAll(t.Context(), gone.Name(), presence.Left); err != nil {
				t.Fatal(err)
			}
			channels = append(channels, ch, gone)
		}
		if _, err := nodes[0].Update(t.Context(), "lobby", channels[0].Name(), []byte("info")); err != nil {
			t.Fatal(err)
		}
		s.Flush()
		redistest.Eventually(t, patience, func() error {
			counts, err := nodes[0].CountsOf(t.Context(), "lobby", "garden")
			if err == nil && (counts[0].Presences != 2 || counts[0].Users != 2 || counts[1].Anonymous != 2) {
				err = fmt.Errorf("%+v", counts)
			}
			if err != nil {
				return err
			}
			return probe.agree(t.Context(), nodes[0], []string{"lobby", "garden"}, channels...)
		})
		snapshot, err := nodes[1].Snapshot(t.Context(), "lobby")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range snapshot.Presences {
			if p.Channel == channels[0].Name() && (string(p.Info) != "info" || p.User != "user0") {
				t.Errorf("%+v", p)
			}
		}
		alive, err := nodes[0].Nodes(t.Context())
		if err != nil || len(alive) != 2 || !alive[0].Alive || !alive[1].Alive {
			t.Errorf("%+v, %v", alive, err)
		}
	})
}

// Two living processes cannot have one node id: the second is refused, and the
// first goes on. A dead one's can be had again.
func TestATakenNodeIDIsRefused(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		id := config{groups: groups.Options{NodeID: "web-1"}}
		first := newNode(t, s, id)
		ch := first.Enter(t, "lobby", "ana")
		layer, err := groups.New(t.Context(), s.NewClient(t), &groups.Options{NodeID: "web-1"})
		if err != nil {
			t.Fatal(err)
		}
		defer layer.Close(t.Context())
		if _, err := presence.New(t.Context(), layer, nil); !errors.Is(err, presence.ErrNodeTaken) {
			t.Fatalf("%v", err)
		}
		first.add(t, "garden", ch, "ana")
		if users, err := first.Users(t.Context(), "lobby"); err != nil || !slices.Equal(users, []string{"ana"}) {
			t.Errorf("users %q, %v", users, err)
		}
		first.End(t)
		second := newNode(t, s, id)
		second.Enter(t, "lobby", "ben")
	})
}
