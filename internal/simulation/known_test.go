package simulation_test

import (
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// known are faults that have shown a bug in a random history. They are told step by
// step, as a seed does not repeat which goroutine is first.
var known = []struct {
	name string
	play func(f *fleet)
}{
	// A sweep must come between the first signature after the outage and the last.
	{"meta is evicted in an outage", func(f *fleet) {
		for range 40 {
			f.s.Stop()
			redistest.Advance(f.t, 2*lease)
			f.s.Mini().Del("presence:{0}:meta")
			f.s.Start()
			f.last(lease)
		}
		f.damaged = true
	}},
}

func TestKnownHistories(t *testing.T) {
	for _, k := range known {
		t.Run(k.name, func(t *testing.T) {
			redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
				f := newFleet(t, s, 1)
				f.last(time.Minute)
				k.play(f)
				redistest.Advance(t, settled)
				f.inspect()
				f.check()
				f.close()
				if t.Failed() {
					f.tell()
				}
			})
		})
	}
}

// last lets people come and go for a time.
func (f *fleet) last(d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); {
		f.step()
	}
}
