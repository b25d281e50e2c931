package presence_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

func TestWhatIsMissingIsNamed(t *testing.T) {
	s := redistest.Mini(t)
	var invalid *presence.InvalidError
	if _, err := groups.New(t.Context(), nil, nil); !errors.As(err, &invalid) || invalid.Field != "client" {
		t.Errorf("no client: %v", err)
	}
	if _, err := presence.NewReader(t.Context(), nil, nil); !errors.As(err, &invalid) || invalid.Field != "client" {
		t.Errorf("no client: %v", err)
	}
	if _, err := presence.New(t.Context(), nil, nil); !errors.As(err, &invalid) || invalid.Field != "layer" {
		t.Errorf("no layer: %v", err)
	}
	if _, err := prune.New(nil, nil); !errors.As(err, &invalid) || invalid.Field != "target" {
		t.Errorf("no target: %v", err)
	}
	layer, err := groups.New(t.Context(), s.NewClient(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := layer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := presence.New(t.Context(), layer, nil); !errors.Is(err, presence.ErrClosed) {
		t.Errorf("closed layer: %v", err)
	}
}

func TestKickSaysWhatIsWrong(t *testing.T) {
	n := newNode(t, redistest.Mini(t), presence.Options{})
	c := n.open(t)
	for name, k := range map[string]presence.Kick{
		"nobody":           {},
		"two":              {User: "ana", Key: "ana"},
		"no code":          {Channel: c, Close: groups.CloseError{Reason: "only"}},
		"a code for none":  {Channel: c, Close: groups.CloseError{Code: 1006}},
		"a reserved code":  {Channel: c, Close: groups.CloseError{Code: 2000}},
		"too long a text":  {Channel: c, Close: groups.CloseError{Code: 4000, Reason: strings.Repeat("x", 124)}},
		"too great a code": {Channel: c, Close: groups.CloseError{Code: 5000}},
	} {
		var invalid *presence.InvalidError
		if _, err := n.Kick(t.Context(), k); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok := n.Layer.Channel(c); !ok {
		t.Error("closed")
	}
}

func TestAKeyIsKicked(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		a, b := newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{})
		for _, m := range []presence.Member{{Key: "visitor"}, {User: "ann", Key: "visitor"}, {User: "visitor"}, {User: "ann"}} {
			for _, n := range []*node{a, b} {
				if _, _, err := n.Add(t.Context(), "lobby", n.open(t), m); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n, err := a.Kick(t.Context(), presence.Kick{Key: "visitor"}); err != nil || n != 6 {
			t.Errorf("%d removed, %v", n, err)
		}
		users, err := a.Users(t.Context(), "lobby")
		if err != nil || len(users) != 1 || users[0] != "ann" {
			t.Errorf("left %q, %v", users, err)
		}
	})
}

func TestReasonsThatAreNoneAreRefused(t *testing.T) {
	n := newNode(t, redistest.Mini(t), presence.Options{})
	c := n.open(t)
	n.add(t, "lobby", c, "ana")
	for _, why := range []presence.Reason{0, 'z', presence.Unknown} {
		var invalid *presence.InvalidError
		if _, err := n.LeaveAll(t.Context(), c, why); !errors.As(err, &invalid) {
			t.Errorf("reason %q: %v", byte(why), err)
		}
	}
}

// What watches and reads while Redis is known to be away is told so at once.
func TestNobodyWaitsForARedisThatIsAway(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		c := n.open(t)
		n.add(t, "lobby", c, "ana")
		s.Stop()
		redistest.Eventually(t, patience, func() error {
			_, _, err := n.Add(t.Context(), "lobby", n.open(t), presence.Member{})
			if h := n.Health(); err == nil || h.State != presence.Degraded {
				return errors.New(h.String())
			}
			return nil
		})
		start := time.Now()
		for name, call := range map[string]func() error{
			"watch":    func() error { _, err := n.Watch(t.Context(), "lobby", nil); return err },
			"counts":   func() error { _, err := n.Counts(t.Context(), "lobby"); return err },
			"snapshot": func() error { _, err := n.Snapshot(t.Context(), "lobby"); return err },
			"users":    func() error { _, err := n.Users(t.Context(), "lobby"); return err },
			"watch counts": func() error {
				_, err := n.WatchCounts(t.Context(), "lobby", nil)
				return err
			},
		} {
			if err := call(); !errors.Is(err, presence.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			} else if text := err.Error(); strings.Count(text, "rollcall: ") > 2 {
				t.Errorf("%s stutters: %s", name, text)
			}
		}
		if took := time.Since(start); took > 15*time.Second {
			t.Errorf("took %v", took)
		}
		text, err := json.Marshal(n.Health())
		if err != nil || !strings.Contains(string(text), `"state":"degraded","since":"2`) || !strings.Contains(string(text), `"cause":"rollcall: `) ||
			!strings.Contains(string(text), `"shards":[`+map[bool]string{false: "0]"}[s.IsCluster()]) {
			t.Errorf("%s, %v", text, err)
		}
		s.Start()
		redistest.Eventually(t, patience, func() error {
			_, err := n.Counts(t.Context(), "lobby")
			return err
		})
		redistest.Eventually(t, patience, func() error { // other shards may take longer
			text, err := json.Marshal(n.Health())
			if err == nil && string(text) != `{"state":"ready"}` {
				err = errors.New(string(text))
			}
			return err
		})
	})
}

// A channel that was closed without leaving is not kept alive by touches.
func TestAClosedChannelGrowsOld(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		c := n.open(t)
		n.add(t, "lobby", c, "ana")
		ch, _ := n.Layer.Channel(c)
		_ = ch.Close()
		pruner, err := prune.New(n.Tracker, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 70 {
			n.Touch(c)
			time.Sleep(time.Second)
		}
		changes, err := pruner.Presences(t.Context())
		if err != nil || len(changes) != 1 {
			t.Errorf("pruned %+v, %v", changes, err)
		}
	})
}
