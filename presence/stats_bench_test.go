package presence_test

import (
	"fmt"
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// What a scrape of a node with 10,000 connections costs.
func BenchmarkStats(b *testing.B) {
	n := newNode(b, redistest.Mini(b), presence.Options{})
	for i := range 10_000 {
		if _, _, err := n.Add(b.Context(), fmt.Sprint("room", i%100), n.open(b), presence.Member{User: fmt.Sprint(i)}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if s := n.Stats(); s.Presences != 10_000 {
			b.Fatalf("%d presences", s.Presences)
		}
	}
}
