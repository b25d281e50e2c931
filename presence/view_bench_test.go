package presence

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

const (
	benchRoom = 10_000
	benchInfo = 64
)

// frames makes events as the scripts publish them, each following the last.
type frames struct {
	header luascripts.Header
}

func newFrames() *frames {
	return &frames{header: luascripts.Header{Revision: 1_790_000_000_000_000, Birth: 1_790_000_000_000_000}}
}

func benchChannel(i int) string { return fmt.Sprintf("K7QZT2M4V9XWJ3RB!%d", i) }
func benchUser(i int) string    { return fmt.Sprintf("user%07d", i) }

func netstringOf(s string) string { return fmt.Sprintf("%d:%s", len(s), s) }

func benchRecord(i, info int, text string) string {
	user := benchUser(i)
	return fmt.Sprintf("%013d", 1_790_000_000_000+int64(i)) + "\x00" + string([]byte{byte(len(user))}) + user +
		strings.Repeat(text, info)
}

func came(i int) string {
	return "+" + netstringOf(benchChannel(i)) + netstringOf(benchRecord(i, benchInfo, "a")) + ">" + netstringOf(benchUser(i))
}

func changed(i int) string {
	return "~" + netstringOf(benchChannel(i)) + netstringOf(benchRecord(i, benchInfo, "b"))
}

func went(i int) string {
	return "-l" + netstringOf(benchChannel(i)) + netstringOf(benchRecord(i, 0, "")) + "<" + netstringOf(benchUser(i))
}

// event returns the frame of the next event, by which the room grows.
func (f *frames) event(grows int, items ...string) string {
	previous := f.header.Revision
	f.header.Revision += 1000
	f.header.Presences += grows
	f.header.Users += grows
	h := f.header
	return fmt.Sprintf("%s%d %d %d %d %d %d\n", luascripts.EventPrefix,
		h.Revision, previous, h.Birth, h.Presences, h.Users, h.Anonymous) + strings.Join(items, "")
}

// benchView is a view, at the revision before f's events, that is fed by hand.
func benchView(b testing.TB, f *frames) *view {
	b.Helper()
	ctx, stop := context.WithCancel(context.Background())
	b.Cleanup(stop)
	return &view{
		tracker:  &Tracker{Reader: &Reader{}, log: zap.NewNop(), ctx: ctx},
		room:     "lobby",
		ctx:      ctx,
		members:  make(map[string]*Presence),
		users:    make(map[string]int),
		ready:    make(chan struct{}),
		moved:    make(chan struct{}),
		arrived:  make(chan struct{}),
		watchers: make(map[*Watcher]struct{}),
		head:     f.header,
	}
}

func (v *view) join() *Watcher {
	w := &Watcher{follower: newFollower(v.tracker, 0), view: v}
	v.mu.Lock()
	defer v.mu.Unlock()
	w.pending = newPending(Revision(v.head.Revision))
	v.watchers[w] = struct{}{}
	return w
}

// fill lets n come, several in one event.
func (v *view) fill(f *frames, n, batch int) {
	for i := 0; i < n; i += batch {
		var items []string
		for j := i; j < min(i+batch, n); j++ {
			items = append(items, came(j))
		}
		v.Event(f.event(len(items), items...))
	}
}

func (v *view) mustBeAt(b testing.TB, f *frames) {
	b.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.syncing || v.head != f.header || len(v.members) != v.head.Presences || len(v.users) != v.head.Users {
		b.Fatalf("the view is at %+v with %d presences and %d users, syncing %v; want %+v",
			v.head, len(v.members), len(v.users), v.syncing, f.header)
	}
}

// heap is what is in use once garbage is collected.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A view's memory for each presence, each of a user of its own.
func BenchmarkViewMemory(b *testing.B) {
	measure := func(name string, n int, fill func(v *view, f *frames)) {
		b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
			var used uint64
			for b.Loop() {
				before := heap()
				f := newFrames()
				v := benchView(b, f)
				fill(v, f)
				used += heap() - before
				if len(v.members) != n || len(v.users) != n {
					b.Fatalf("%d presences of %d users", len(v.members), len(v.users))
				}
			}
			b.ReportMetric(float64(used)/float64(b.N)/float64(n), "bytes/presence")
		})
	}
	for _, n := range []int{1000, benchRoom, 100_000} {
		measure("one-by-one", n, func(v *view, f *frames) { v.fill(f, n, 1) })
	}
	measure("batches-of-256", benchRoom, func(v *view, f *frames) { v.fill(f, benchRoom, 256) })
	// As a snapshot leaves it: each record was a string of its own.
	measure("snapshot", benchRoom, func(v *view, _ *frames) {
		s := Snapshot{Presences: make([]Presence, 0, benchRoom)}
		for i := range benchRoom {
			record, err := luascripts.DecodeRecord(benchRecord(i, benchInfo, "a"))
			if err != nil {
				b.Fatal(err)
			}
			s.Presences = append(s.Presences, v.tracker.presenceOf("lobby", benchChannel(i), record))
		}
		v.replace(s)
	})
	// One stays of each 64 that came in one event.
	measure("after-churn", benchRoom, func(v *view, f *frames) {
		for i := range benchRoom {
			items := []string{came(i)}
			for j := range 63 {
				items = append(items, came(benchRoom+j))
			}
			v.Event(f.event(len(items), items...))
			for j := range 63 {
				items[j] = went(benchRoom + j)
			}
			v.Event(f.event(-63, items[:63]...))
		}
		v.mustBeAt(b, f)
	})
}

// Events decoded and applied to a room of 10,000.
func BenchmarkViewApply(b *testing.B) {
	changes := []struct {
		name   string
		events func(f *frames, i int) []string
	}{
		{"join-and-leave", func(f *frames, i int) []string {
			return []string{f.event(-1, went(i)), f.event(1, came(i))}
		}},
		{"update", func(f *frames, i int) []string { return []string{f.event(0, changed(i))} }},
	}
	for _, c := range changes {
		for _, watchers := range []int{0, 1} {
			b.Run(fmt.Sprintf("%s/watchers=%d", c.name, watchers), func(b *testing.B) {
				f := newFrames()
				v := benchView(b, f)
				v.fill(f, benchRoom, 100)
				var ws []*Watcher
				for range watchers {
					ws = append(ws, v.join())
				}
				start := f.header
				var events []string
				for i := range benchRoom {
					events = append(events, c.events(f, i)...)
				}
				i := 0
				for b.Loop() {
					v.Event(events[i])
					if i++; i == len(events) { // once more from the beginning
						v.mustBeAt(b, f)
						v.head = start
						i = 0
					}
					if i%100 == 0 {
						for _, w := range ws {
							w.take()
						}
					}
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "diffs/s")
			})
		}
	}
}

// A watcher that is never read, of a room of 10,000 with ten times as many
// joins and leaves.
func BenchmarkStuckWatcher(b *testing.B) {
	var used uint64
	var entries int
	for b.Loop() {
		f := newFrames()
		v := benchView(b, f)
		v.fill(f, benchRoom, 100)
		stuck := v.join()
		for i := range 10 * benchRoom {
			v.Event(f.event(1, came(benchRoom+i)))
			v.Event(f.event(-1, went(i)))
		}
		v.mustBeAt(b, f)
		entries = len(stuck.pending.presences) + len(stuck.pending.users)
		with := heap()
		stuck.pending = newPending(0)
		used += with - min(with, heap())
		runtime.KeepAlive(v)
	}
	b.ReportMetric(float64(entries), "entries")
	b.ReportMetric(float64(used)/float64(b.N)/benchRoom, "bytes/presence-of-the-room")
}

// benchFleet is a node that writes and one that watches, on a real server.
func benchFleet(b *testing.B) (writer, reader *Tracker) {
	b.Helper()
	s := redistest.Real(b)
	start := func() *Tracker {
		layer, err := groups.New(b.Context(), s.NewClient(b), nil)
		if err != nil {
			b.Fatal(err)
		}
		t, err := New(b.Context(), layer, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			if err := t.Close(ctx); err != nil {
				b.Error(err)
			}
			if err := layer.Close(ctx); err != nil {
				b.Error(err)
			}
		})
		return t
	}
	return start(), start()
}

// enter lets n channels of a node come to a room, and returns their names.
func enter(b *testing.B, t *Tracker, room string, n int) []string {
	b.Helper()
	channels := make([]string, n)
	var work sync.WaitGroup
	slots := make(chan struct{}, 256)
	for i := range channels {
		ch, err := t.layer.NewChannel()
		if err != nil {
			b.Fatal(err)
		}
		channels[i] = ch.Name()
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			m := Member{User: benchUser(i), Info: []byte(strings.Repeat("a", benchInfo))}
			if _, _, err := t.Add(b.Context(), room, ch.Name(), m); err != nil {
				b.Error(err)
			}
		})
	}
	work.Wait()
	return channels
}

// The member list of a room, from a view and from Redis.
func BenchmarkMemberList(b *testing.B) {
	writer, reader := benchFleet(b)
	for _, n := range []int{100, 1000, benchRoom} {
		room := fmt.Sprint("room", n)
		enter(b, writer, room, n)
		w, err := reader.Watch(b.Context(), room, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("view/%d", n), func(b *testing.B) {
			for b.Loop() {
				if s := w.Snapshot(); len(s.Presences) != n {
					b.Fatalf("%d presences", len(s.Presences))
				}
			}
		})
		w.Close()
		b.Run(fmt.Sprintf("redis/%d", n), func(b *testing.B) {
			for b.Loop() {
				s, err := reader.Snapshot(b.Context(), room)
				if err != nil || len(s.Presences) != n {
					b.Fatalf("%d presences, %v", len(s.Presences), err)
				}
			}
		})
	}
}

// A room of 10,000 on a real server with 1,000 changes a second, and 100
// watchers on another node. One operation is one second of it. The time of a
// change is from when it was due until the last of those who read was told.
func BenchmarkBusyRoom(b *testing.B) {
	for _, stuck := range []int{0, 1} {
		b.Run(fmt.Sprintf("stuck=%d", stuck), func(b *testing.B) { busyRoom(b, 100, stuck) })
	}
}

// at is when a revision was written, or told.
type at struct {
	revision Revision
	time     time.Time
}

func busyRoom(b *testing.B, watchers, stuck int) {
	const rate, writers = 1000, 16
	writer, reader := benchFleet(b)
	channels := enter(b, writer, "lobby", benchRoom)
	told := make([][]at, watchers-stuck)
	var diffs, resyncs atomic.Int64
	var readers sync.WaitGroup
	var all []*Watcher
	for i := range watchers {
		w, err := reader.Watch(b.Context(), "lobby", nil)
		if err != nil {
			b.Fatal(err)
		}
		defer w.Close()
		all = append(all, w)
		if i >= len(told) {
			continue
		}
		readers.Go(func() {
			for {
				d, err := w.Next(b.Context())
				if err != nil {
					return
				}
				told[i] = append(told[i], at{d.Counts.Revision, time.Now()})
				diffs.Add(1)
				if d.Resync {
					resyncs.Add(1)
				}
			}
		})
	}

	var mu sync.Mutex
	var written []at
	start := time.Now()
	for b.Loop() {
		var work sync.WaitGroup
		first := len(written)
		for k := range writers {
			work.Go(func() {
				for i := first + k; i < first+rate; i += writers {
					due := start.Add(time.Duration(i) * time.Second / rate)
					<-time.After(time.Until(due))
					r, err := writer.Update(b.Context(), "lobby", channels[i%benchRoom], fmt.Appendf(nil, "%0*d", benchInfo, i))
					if err != nil {
						b.Error(err)
						return
					}
					mu.Lock()
					written = append(written, at{r, due})
					mu.Unlock()
				}
			})
		}
		work.Wait()
	}
	took := time.Since(start)
	last := slices.MaxFunc(written, func(a, b at) int { return int(a.revision - b.revision) }).revision
	for _, w := range all {
		if err := w.WaitFor(b.Context(), last); err != nil {
			b.Fatal(err)
		}
	}
	if stuck > 0 {
		w := all[len(all)-1]
		w.view.mu.Lock()
		b.ReportMetric(float64(len(w.pending.presences)), "stuck-entries")
		w.view.mu.Unlock()
	}
	redistest.Eventually(b, 10*time.Second, func() error { // all has been told
		for _, w := range all[:len(told)] {
			w.view.mu.Lock()
			n := len(w.pending.presences)
			w.view.mu.Unlock()
			if n > 0 {
				return fmt.Errorf("%d changes not read", n)
			}
		}
		return nil
	})
	for _, w := range all {
		w.Close()
	}
	readers.Wait()

	latencies := make([]time.Duration, len(written))
	for i, c := range written {
		for _, log := range told {
			j, _ := slices.BinarySearchFunc(log, c.revision, func(a at, r Revision) int { return int(a.revision - r) })
			if j == len(log) {
				b.Fatalf("revision %d was not told", c.revision)
			}
			latencies[i] = max(latencies[i], log[j].time.Sub(c.time))
		}
	}
	slices.Sort(latencies)
	n := len(latencies)
	b.ReportMetric(float64(n)/took.Seconds(), "changes/s")
	b.ReportMetric(float64(latencies[n/2].Microseconds()), "median-µs")
	b.ReportMetric(float64(latencies[n*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(diffs.Load())/float64(n*len(told)), "diffs/change")
	b.ReportMetric(float64(resyncs.Load())/float64(len(told)), "resyncs/watcher")
}
