package faults_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

const (
	patience = 40 * time.Second
	// All must stay right for a while after each fault, and after the last one for
	// as long as it takes to find a node dead.
	brief  = sweep
	steady = lease + 2*sweep
)

// fleet is some nodes, and how each of them fares.
type fleet struct {
	t      *testing.T
	s      *deployment
	row    run
	nodes  []*member
	client redis.UniversalClient
	// rewound tells that Redis may go back to an earlier state, so that who had
	// gone is there again, and goes again.
	rewound bool
}

// member is a node as the test sees it.
type member struct {
	*redistest.Proc
	link    *redistest.Link // nil: it has none
	killed  time.Time
	away    bool // it cannot be asked
	excused []span
	base    used
}

// span is a time in which others may rightly take a node for lost.
type span struct{ from, to time.Time }

type setup struct {
	nodes    int
	linked   bool // each node has a link of its own
	replicas bool // of a server too
	args     nodeArgs
}

// newFleet starts Redis, and nodes on it, with some people on each.
func newFleet(t *testing.T, r run, c setup) *fleet {
	t.Helper()
	s := r.start(t, c)
	f := &fleet{t: t, s: s, row: r, client: s.NewClient(t)}
	for range c.nodes {
		f.start(c)
	}
	for i := range f.nodes {
		for j := range 6 {
			f.join(i, joining{User: []string{"", "ana", "ben", "cyd"}[j%4], Rooms: rooms[:1+j%2]})
		}
	}
	f.agreed(time.Now(), patience, "")
	for _, m := range f.nodes {
		m.base = ask[used](f, m, "used", 0)
	}
	return f
}

func (f *fleet) start(c setup) *member {
	f.t.Helper()
	m := &member{}
	args := c.args
	args.Addrs, args.Cluster = f.s.Addrs, f.s.IsCluster()
	if len(f.s.sentinels) > 0 {
		args.Addrs, args.MasterName = f.s.sentinels, redistest.MasterName
	}
	if args.Rooms == nil {
		args.Rooms = rooms
	}
	if args.MaxAge == 0 {
		args.MaxAge = maxAge
	}
	if args.Sweep == 0 {
		args.Sweep = sweep
	}
	if c.linked {
		m.link = f.s.NewLink(f.t)
		args.Routes = m.link.Routes()
	}
	m.Proc = redistest.Process(f.t, "node", args)
	if args.ID == "" {
		ask[string](f, m, "ready", 0)
	}
	f.nodes = append(f.nodes, m)
	return m
}

// ask calls a node, which must succeed.
func ask[R any](f *fleet, m *member, what string, args any) R {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	r, err := redistest.Call[R](ctx, m.Proc, what, args)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// try calls a node, which may fail. It waits longer than a node tries for.
func try[R any](f *fleet, m *member, what string, args any) (R, error) {
	ctx, cancel := context.WithTimeout(f.t.Context(), 2*patience)
	defer cancel()
	return redistest.Call[R](ctx, m.Proc, what, args)
}

func (f *fleet) join(i int, j joining) string {
	f.t.Helper()
	if j.Try == 0 {
		j.Try = patience / 2
	}
	return ask[string](f, f.nodes[i], "join", j)
}

// living are the nodes that can be asked.
func (f *fleet) living() []*member {
	return slices.DeleteFunc(slices.Clone(f.nodes), func(m *member) bool { return m.away || !m.killed.IsZero() })
}

// load has people come and go everywhere until calm.
func (f *fleet) load() {
	f.t.Helper()
	for _, m := range f.living() {
		ask[int](f, m, "load", 20*time.Millisecond)
	}
}

func (f *fleet) calm() {
	f.t.Helper()
	var work sync.WaitGroup
	for _, m := range f.living() {
		work.Go(func() {
			if _, err := try[int](f, m, "calm", 0); err != nil {
				f.t.Error(err)
			}
		})
	}
	work.Wait()
}

// during lets the fleet work for a time, while f is called every so often.
func during(d, every time.Duration, f func()) {
	end := time.NewTimer(d)
	defer end.Stop()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			f()
		case <-end.C:
			return
		}
	}
}

// last lets a fault last.
func last(d time.Duration) { during(d, d, func() {}) }

func (f *fleet) kill(i int) {
	f.nodes[i].killed = time.Now()
	f.nodes[i].Kill()
}

// excuse marks a node as one that others may take for lost, until the returned
// function is called, and until it is back after that.
func (f *fleet) excuse(i int) (end func()) {
	m, from := f.nodes[i], time.Now()
	m.excused = append(m.excused, span{from, from.Add(time.Hour)})
	at := len(m.excused) - 1
	return func() { m.excused[at].to = time.Now().Add(2 * lease) }
}

// agree compares what each node has with who is connected.
func (f *fleet) agree() error {
	living := f.living()
	reports := make([]report, len(living))
	errs := make([]error, len(living))
	var work sync.WaitGroup
	for i, m := range living {
		work.Go(func() { reports[i], errs[i] = try[report](f, m, "report", 0) })
	}
	work.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	want := map[string]map[string]string{}
	for _, r := range reports {
		for room, own := range r.Own {
			if want[room] == nil {
				want[room] = map[string]string{}
			}
			maps.Copy(want[room], own)
		}
	}
	for i, r := range reports {
		for room, got := range r.Rooms {
			for what, has := range map[string]map[string]string{"Redis": got.Redis, "the view": got.View, "the diffs": got.Told} {
				if diff := differ(has, want[room]); diff != "" {
					return fmt.Errorf("node %d, %s of %s: %s", i, what, room, diff)
				}
			}
			if c := countOf(want[room]); got.Counts != c || got.InView != c {
				return fmt.Errorf("node %d counts %s in %s, its view %s, want %s", i, got.Counts, room, got.InView, c)
			}
		}
	}
	return nil
}

func differ(got, want map[string]string) string {
	var wrong []string
	for k, v := range want {
		if g, ok := got[k]; !ok {
			wrong = append(wrong, fmt.Sprintf("lacks %s %q", k, v))
		} else if g != v {
			wrong = append(wrong, fmt.Sprintf("%s is %q, not %q", k, g, v))
		}
	}
	for k, v := range got {
		if _, ok := want[k]; !ok {
			wrong = append(wrong, fmt.Sprintf("has %s %q", k, v))
		}
	}
	slices.Sort(wrong)
	if n := len(wrong); n > 4 {
		wrong = append(wrong[:4], fmt.Sprintf("and %d more", n-4))
	}
	if len(wrong) == 0 {
		return ""
	}
	return fmt.Sprint(wrong)
}

// agreed waits until all agree, and returns how long that took since a time.
func (f *fleet) agreed(since time.Time, bound time.Duration, what string) time.Duration {
	f.t.Helper()
	redistest.Eventually(f.t, max(patience, 2*bound), f.agree)
	took := time.Since(since)
	if took > bound+f.stood(since) {
		f.t.Errorf("row %s%s: healed in %.2f s, above the bound of %.2f s", f.row, what, took.Seconds(), bound.Seconds())
	}
	return took
}

// healed waits until all is right after a fault that ended at a time, sees that
// it stays so, and tells how long it took.
func (f *fleet) healed(since time.Time, bound time.Duration, what string) {
	f.t.Helper()
	if what != "" {
		what = " " + what
	}
	took := f.agreed(since, bound, what)
	f.stayRight(brief, what)
	f.note(what, "healed in", took, bound)
}

// stayRight sees that all stays right for a time.
func (f *fleet) stayRight(d time.Duration, what string) {
	f.t.Helper()
	during(d, d/4, func() {
		start := time.Now()
		err := f.agree()
		if err == nil {
			return
		}
		last(2 * tick) // who stood still has told by now
		if f.stood(start.Add(-lease)) > 0 {
			f.agreed(time.Now(), patience, what) // it was rightly taken for lost
			return
		}
		f.t.Errorf("row %s%s: not for long: %v", f.row, what, err)
	})
}

// note writes a line of the table.
func (f *fleet) note(what, verb string, took, bound time.Duration) {
	f.t.Helper()
	f.t.Logf("row %s%s: %s %.2f s (bound %.1f s)", f.row, what, verb, took.Seconds(), bound.Seconds())
}

// finish judges what the nodes have told, has all go, and sees that nothing is
// left.
func (f *fleet) finish() {
	f.t.Helper()
	f.stayRight(steady, "")
	f.checkRedis()
	for _, m := range f.living() {
		ask[int](f, m, "empty", 0)
	}
	f.agreed(time.Now(), patience, "")
	f.judge()
	for _, m := range f.living() {
		f.returned(m)
	}
	for _, m := range f.living() {
		m.Term()
	}
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	for _, m := range f.living() {
		if err := m.Wait(ctx); err != nil {
			f.t.Error(err)
		}
	}
	f.left(ctx)
}

// returned sees that a node uses no more than when it began (I5).
func (f *fleet) returned(m *member) {
	f.t.Helper()
	var now used
	err := poll(func() error {
		now = ask[used](f, m, "used", 0)
		if now.Goroutines > m.base.Goroutines+10 || now.Files > m.base.Files+pool*f.s.processes+2 || now.Heap > m.base.Heap+16<<20 {
			return fmt.Errorf("uses %+v, had %+v", now, m.base)
		}
		return nil
	})
	if err != nil {
		f.t.Errorf("row %s: %v", f.row, err)
	}
}

// poll is redistest.Eventually for what need not end the test.
func poll(condition func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := condition()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		last(50 * time.Millisecond)
	}
}
