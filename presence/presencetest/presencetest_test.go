package presencetest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/presencetest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func TestTheRoomIsToldOfACrash(t *testing.T) {
	presencetest.Run(t, 3, start, theRoomIsToldOfACrash)
}

func member(user string) presence.Member { return presence.Member{User: user} }

// The snippet in doc.go, letter by letter.
func TestACrashIsNoticed(t *testing.T) {
	presencetest.Run(t, 3, nil, func(t *testing.T, fleet *presencetest.Fleet) {
		fleet.Node(0).Connect(presence.Member{User: "ann"}, "lobby")
		fleet.Node(1).Connect(presence.Member{User: "bob"}, "lobby")
		fleet.Node(0).Crash()
		fleet.AwaitUsers("lobby", "bob")
	})
}

func TestTheSnippetIsTheTest(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("presencetest_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var snippet strings.Builder
	for line := range strings.Lines(string(doc)) {
		if code, ok := strings.CutPrefix(line, "//\t"); ok {
			snippet.WriteString(code)
		}
	}
	if snippet.Len() == 0 || !strings.Contains(string(self), snippet.String()) {
		t.Errorf("no test is:\n%s", &snippet)
	}
}

func TestConnectionsEnd(t *testing.T) {
	presencetest.Run(t, 1, nil, func(t *testing.T, fleet *presencetest.Fleet) {
		n := fleet.Node(0)
		ann, bob, carl := n.Connect(member("ann"), "lobby"), n.Connect(member("bob"), "lobby"), n.Connect(member("carl"), "lobby")
		fleet.Throughout(3*time.Minute, func() error { return has(fleet, "ann", "bob", "carl") })
		ann.Disconnect(0)
		fleet.AwaitUsers("lobby", "bob", "carl")
		bob.Disconnect(30 * time.Second)
		fleet.Throughout(29*time.Second, func() error { return has(fleet, "bob", "carl") })
		fleet.AwaitUsers("lobby", "carl")
		carl.Silence()
		fleet.Throughout(40*time.Second, func() error { return has(fleet, "carl") })
		fleet.AwaitUsers("lobby")
		bob.Disconnect(0) // does nothing
		if ann.Err() == nil || carl.Err() != nil {
			t.Errorf("ann: %v, carl: %v", ann.Err(), carl.Err())
		}
	})
}

func has(fleet *presencetest.Fleet, users ...string) error {
	got, err := fleet.Reader().Users(context.Background(), "lobby")
	if err == nil && fmt.Sprint(got) != fmt.Sprint(users) {
		err = fmt.Errorf("%v, want %v", got, users)
	}
	return err
}

func TestNodesEndAndBeginAgain(t *testing.T) {
	presencetest.Run(t, 2, nil, func(t *testing.T, fleet *presencetest.Fleet) {
		old := fleet.Node(0)
		old.Connect(member("ann"), "lobby")
		old.Deploy(20 * time.Second)
		started := fleet.Node(0).Restart()
		if started == old || fleet.Node(0) != started || len(fleet.Nodes()) != 2 {
			t.Error("no new node")
		}
		fleet.Advance(10 * time.Second)
		started.Connect(member("ann"), "lobby")
		fleet.Throughout(time.Minute, func() error { return has(fleet, "ann") })
		started.Stop()
		if err := has(fleet); err != nil {
			t.Error(err)
		}
		began := time.Now()
		fleet.Node(1).Crash()
		if time.Since(began) != 0 {
			t.Errorf("a crash took %v", time.Since(began))
		}
		fleet.Node(1).Restart().Connect(member("bob"), "lobby")
		fleet.Node(1).Crash()
		fleet.Throughout(9*time.Second, func() error { return has(fleet, "bob") }) // its lease lasts
		fleet.Node(0).Restart()                                                    // who is to notice it
		fleet.AwaitUsers("lobby")
	})
}

func TestFaults(t *testing.T) {
	for name, fault := range map[string]func(n *presencetest.Node){
		"freeze": (*presencetest.Node).Freeze, "partition": (*presencetest.Node).Partition,
	} {
		t.Run(name, func(t *testing.T) {
			presencetest.Run(t, 2, nil, func(t *testing.T, fleet *presencetest.Fleet) {
				fleet.Node(0).Connect(member("ann"), "lobby")
				fleet.Node(1).Connect(member("bob"), "lobby")
				fault(fleet.Node(0))
				fleet.AwaitUsers("lobby", "bob")
				if state := fleet.Node(0).Tracker.Health().State; state != presence.Degraded {
					t.Errorf("the node is %s", state)
				}
				fleet.Node(0).Heal()
				fleet.AwaitUsers("lobby", "ann", "bob")
			})
		})
	}
	t.Run("redis", func(t *testing.T) {
		presencetest.Run(t, 1, nil, func(t *testing.T, fleet *presencetest.Fleet) {
			fleet.Node(0).Connect(member("ann"), "lobby")
			fleet.Flush()
			if err := has(fleet); err != nil {
				t.Error(err)
			}
			fleet.AwaitUsers("lobby", "ann")
			fleet.FreezeRedis()
			fleet.Eventually(time.Minute, func() error {
				if fleet.Node(0).Tracker.Health().State == presence.Ready {
					return errors.New("the node does not notice")
				}
				return nil
			})
			fleet.ThawRedis()
			fleet.DropConnections()
			fleet.AwaitUsers("lobby", "ann")
			if fleet.Node(0).Tracker.Stats().Layer.Gaps == 0 {
				t.Error("no connection was lost")
			}
		})
	})
	t.Run("left behind", func(t *testing.T) { // and cleared up
		presencetest.Run(t, 3, nil, func(t *testing.T, fleet *presencetest.Fleet) {
			fleet.Node(0).Connect(member("ann"), "lobby")
			fleet.Node(0).Partition()
			fleet.Node(1).Crash()
			fleet.FreezeRedis()
		})
	})
}

// An application that makes its own layer and tracker.
func TestAnApplicationStartsItself(t *testing.T) {
	start := func(n *presencetest.Node) (err error) {
		if n.Layer, err = groups.New(n.Context(), n.Client, &groups.Options{Capacity: 1, Prefix: "chat"}); err != nil {
			return err
		}
		n.Tracker, err = presence.New(n.Context(), n.Layer, nil)
		n.Go(func(ctx context.Context) { <-ctx.Done() }) // its own work
		return err
	}
	presencetest.Run(t, 1, start, func(t *testing.T, fleet *presencetest.Fleet) {
		ann := fleet.Node(0).Connect(member("ann"), "lobby")
		fleet.AwaitUsers("lobby", "ann")
		for range 2 {
			if err := fleet.Node(0).Layer.GroupSend(t.Context(), "lobby", groups.Message{Type: "hello"}); err != nil {
				t.Fatal(err)
			}
		}
		if got := ann.Messages(); len(got) != 1 {
			t.Errorf("%d messages in a mailbox of 1", len(got))
		}
	})
}
