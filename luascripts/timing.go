package luascripts

import (
	"sync/atomic"
	"time"
)

// bounds are the limits of Timing.Buckets: the time that Redis takes for a script, and
// what a network, a busy client and retries add to it.
var bounds = [...]time.Duration{
	250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond,
	250 * time.Millisecond, time.Second, 5 * time.Second,
}

// Timing is how long this process has waited for one script, including failed calls.
type Timing struct {
	Calls   uint64
	Total   time.Duration
	Buckets []Bucket // sorted by Within
}

// Bucket counts the calls that took up to a time, including those of the buckets before
// it.
type Bucket struct {
	Within time.Duration
	Calls  uint64
}

// meter measures the calls of one script.
type meter struct {
	total   atomic.Int64
	buckets [len(bounds) + 1]atomic.Uint64 // the last: longer than all bounds
}

func (m *meter) note(took time.Duration) {
	i := 0
	for i < len(bounds) && took > bounds[i] {
		i++
	}
	m.buckets[i].Add(1)
	m.total.Add(int64(took))
}

func (m *meter) timing() Timing {
	t := Timing{Total: time.Duration(m.total.Load()), Buckets: make([]Bucket, len(bounds))}
	for i, bound := range bounds {
		t.Calls += m.buckets[i].Load()
		t.Buckets[i] = Bucket{Within: bound, Calls: t.Calls}
	}
	t.Calls += m.buckets[len(bounds)].Load()
	return t
}

// Timings returns the Timing of each script that was called.
func (s *Store) Timings() map[string]Timing {
	all := make(map[string]Timing)
	for name, m := range s.scripts.meters {
		if t := m.timing(); t.Calls > 0 {
			all[name] = t
		}
	}
	return all
}
