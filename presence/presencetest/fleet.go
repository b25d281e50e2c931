package presencetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// Patience is how much fake time AwaitUsers waits: longer than the default
// options let anything take.
const Patience = 3 * time.Minute

// Fleet is some nodes on one Redis. Its methods, and those of its nodes and
// connections, fail the test where they cannot do what they promise, and are to
// be called on the test's goroutine.
type Fleet struct {
	t      *testing.T
	server *redistest.Server
	start  StartFunc
	nodes  []*Node
	reader *presence.Reader
	ended  sync.WaitGroup // the work of nodes that have crashed
}

// StartFunc has a node run: it calls n.Track, or makes the application's own
// server with n.Client and sets n.Layer and n.Tracker.
type StartFunc func(n *Node) error

// Run runs f inside a synctest bubble with a fleet of n nodes, which end with the
// test. Where start is nil, each is a Tracker with default options, and prunes.
func Run(t *testing.T, n int, start StartFunc, f func(t *testing.T, fleet *Fleet)) {
	t.Helper()
	if start == nil {
		start = func(n *Node) error { return n.Track(nil, nil) }
	}
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		fleet := &Fleet{t: t, server: s, start: start}
		t.Cleanup(fleet.end)
		for i := range n {
			fleet.nodes = append(fleet.nodes, fleet.newNode(i))
		}
		f(t, fleet)
	})
}

// Node returns the i-th node: after a restart, the new one.
func (f *Fleet) Node(i int) *Node { return f.nodes[i] }

// Nodes returns all nodes.
func (f *Fleet) Nodes() []*Node { return slices.Clone(f.nodes) }

// Reader reads Redis under the prefix of the first node, as a process that is no
// node does. It has no keys.
func (f *Fleet) Reader() *presence.Reader {
	f.t.Helper()
	if f.reader == nil {
		var opts presence.ReaderOptions
		if len(f.nodes) > 0 {
			opts.Prefix = f.nodes[0].Layer.Store().Prefix()
		}
		r, err := presence.NewReader(f.t.Context(), f.server.NewClient(f.t), &opts)
		if err != nil {
			f.t.Fatal(err)
		}
		f.reader = r
	}
	return f.reader
}

// Advance lets fake time pass, and waits until all that was due is done.
func (f *Fleet) Advance(d time.Duration) {
	f.t.Helper()
	redistest.Advance(f.t, d)
}

// Eventually waits until condition returns nil, and fails the test with its last
// error once that much fake time has passed.
func (f *Fleet) Eventually(within time.Duration, condition func() error) {
	f.t.Helper()
	redistest.Eventually(f.t, within, condition)
}

// Throughout looks at condition every 100 ms while fake time passes, and fails the
// test with the first error.
func (f *Fleet) Throughout(d time.Duration, condition func() error) {
	f.t.Helper()
	for began := time.Now(); time.Since(began) <= d; f.Advance(100 * time.Millisecond) {
		if err := condition(); err != nil {
			f.t.Fatalf("after %v: %v", time.Since(began), err)
		}
	}
}

// AwaitUsers waits until exactly these users are in a room, as Redis has it.
func (f *Fleet) AwaitUsers(room string, users ...string) {
	f.t.Helper()
	want := slices.Sorted(slices.Values(users))
	reader := f.Reader()
	f.Eventually(Patience, func() error {
		got, err := reader.Users(f.t.Context(), room)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("room %q has %q, want %q", room, got, want)
		}
		return err
	})
}

// Flush has Redis lose all of its data, as a restart without persistence does.
func (f *Fleet) Flush() {
	f.t.Helper()
	f.server.Flush()
}

// FreezeRedis has Redis answer nobody, until ThawRedis: what was sent meanwhile is
// carried out then.
func (f *Fleet) FreezeRedis() {
	f.t.Helper()
	f.server.Freeze()
}

// ThawRedis ends FreezeRedis.
func (f *Fleet) ThawRedis() {
	f.t.Helper()
	f.server.Thaw()
}

// DropConnections closes all connections to Redis. New ones are accepted.
func (f *Fleet) DropConnections() {
	f.t.Helper()
	f.server.DropClients()
}

// end stops what still runs.
func (f *Fleet) end() {
	f.server.Thaw()
	for _, n := range f.nodes {
		n.link.Heal()
		if !n.over {
			n.shut(0)
		}
	}
	f.ended.Wait()
}
