package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

var maintenanceRows = []row{
	{"maintenance", "periodic run", pruneRuns},
	{"maintenance", "from a process of its own", pruneWithoutNode},
	{"maintenance", "command for cron", pruneCommand},
}

// The counterpart of the celery tasks: every sweep takes stale presences and,
// a sweep later at most, the rooms that they leave empty.
func pruneRuns(t *testing.T, s *redistest.Server) {
	n := newNode(t, s, config{})
	n.Age(t, n.Enter(t, "lobby", "ana"), time.Hour)
	pruner, err := prune.New(n.Tracker, &prune.Options{Interval: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- pruner.Run(ctx) }()
	redistest.Eventually(t, patience, func() error {
		for room, err := range n.Rooms(t.Context()) {
			return fmt.Errorf("room %q is left, %v", room, err)
		}
		return nil
	})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("run: %v", err)
	}
	if c := n.heard(t, 2)[1]; !c.Bulk || c.Room != "lobby" {
		t.Errorf("change %+v", c)
	}
}

// The counterpart of the commands for cron: a process that has no channels and
// opens no subscriber connection.
func pruneWithoutNode(t *testing.T, s *redistest.Server) {
	n := newNode(t, s, config{})
	probe := newProber(t, s, nil)
	ch := n.Enter(t, "lobby", "ana")
	n.Age(t, ch, time.Hour)
	reader, err := presence.NewReader(t.Context(), s.NewClient(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	pruner, err := prune.New(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := pruner.Presences(t.Context())
	if err != nil || len(changes) != 1 || changes[0].Removed[0].Channel != ch.Name() {
		t.Errorf("%+v, %v", changes, err)
	}
	if rooms, err := pruner.Rooms(t.Context()); err != nil || !slices.Equal(rooms, []string{"lobby"}) {
		t.Errorf("rooms %q, %v", rooms, err)
	}
	// The node learns of it as from any other.
	redistest.Eventually(t, patience, func() error {
		members, err := probe.trial(t.Context(), "lobby", ch)
		if err == nil && len(members) != 0 {
			err = errors.New("still in the group")
		}
		return err
	})
}

// The counterpart of the commands, as cron runs it.
func pruneCommand(t *testing.T, s *redistest.Server) {
	n := newNode(t, s, config{})
	n.Enter(t, "garden", "ben")
	path := filepath.Join(t.TempDir(), "rollcall-prune.exe")
	if out, err := exec.Command("go", "build", "-o", path, "../../prune/cmd/rollcall-prune").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	n.Age(t, n.Enter(t, "lobby", "ana"), time.Hour)
	out, err := exec.CommandContext(t.Context(), path, "-redis", strings.Join(s.Addrs, ","), "-rooms").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "lobby") || strings.Contains(string(out), "garden") {
		t.Errorf("%v\n%s", err, out)
	}
	var rooms []string
	for room, err := range n.Rooms(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		rooms = append(rooms, room)
	}
	if !slices.Equal(rooms, []string{"garden"}) {
		t.Errorf("rooms %q", rooms)
	}
}
