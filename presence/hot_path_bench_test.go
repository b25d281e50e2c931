package presence_test

import (
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// hotPaths are what a node does for each message of its connections, without
// Redis.
func hotPaths(tb testing.TB) map[string]func() {
	tb.Helper()
	n := newNode(tb, redistest.Mini(tb), presence.Options{})
	channels := make([]string, 1000)
	for i := range channels {
		ch, err := n.Layer.NewChannel()
		if err != nil {
			tb.Fatal(err)
		}
		channels[i] = ch.Name()
		if _, _, err := n.Add(tb.Context(), "lobby", ch.Name(), presence.Member{User: ch.Name()}); err != nil {
			tb.Fatal(err)
		}
	}
	w, err := n.Watch(tb.Context(), "lobby", nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(w.Close)
	at := 0
	return map[string]func(){
		"touch": func() {
			n.Touch(channels[at%len(channels)])
			at++
		},
		"touch of a stranger": func() { n.Touch("elsewhere!1") },
		"counts of a view": func() {
			if w.Counts().Presences != len(channels) {
				tb.Fatal("not all are there")
			}
		},
	}
}

func BenchmarkHotPath(b *testing.B) {
	for name, f := range hotPaths(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	for name, f := range hotPaths(t) {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
