package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// What the other shards have is printed while some are away, and that it is not all.
func TestAPartOfAClusterIsDown(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	s := redistest.Cluster(t, "--cluster-require-full-coverage", "no")
	f := newFleet(t, s)
	const down = 1
	served := 0
	for i := range 50 {
		room := fmt.Sprint("room ", i)
		f.add(room, "ann")
		if s.Owner(s.Slot(f.Store().Room(room))) != down {
			served++
		}
	}
	s.Node(down).Stop()
	for command, want := range map[string]struct {
		text  string
		times int
	}{
		"rooms": {`"room `, served}, "nodes": {" alive ", 1}, "check": {"0 found, 0 left", 1}, "repair": {"0 found, 0 left", 1},
		"prune": {"ROOM", 1},
	} {
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), []string{"-redis", f.redis, command}, &stdout, &stderr)
		if n := strings.Count(stdout.String(), want.text); n != want.times || status != failed || !strings.Contains(stderr.String(), " are away") {
			t.Errorf("%s: status %d, %d times %q, want %d in\n%s\n%s", command, status, n, want.text, want.times, &stdout, &stderr)
		}
	}
	everyRoom := make([]string, 50)
	for i := range everyRoom {
		everyRoom[i] = fmt.Sprint("room ", i)
	}
	var listed bytes.Buffer
	c := &ctl{reader: f.Reader, out: newPrinter(&listed, false)}
	err := c.counts(t.Context(), everyRoom) // which were listed while all was well
	if n := strings.Count(listed.String(), `"room `); c.out.flush() != nil || n != 0 {
		t.Errorf("%d before it is shown", n)
	}
	if n := strings.Count(listed.String(), `"room `); n != served || !errors.Is(err, presence.ErrUnavailable) {
		t.Errorf("%d of %d rooms, %v in\n%s", n, served, err, &listed)
	}
	s.Node(down).Start()
	redistest.Eventually(t, 30*time.Second, func() error { // so that the node can leave
		if h := f.Health(); h.State != presence.Ready {
			return h.Cause
		}
		return nil
	})
}
