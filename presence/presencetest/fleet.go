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

// Patience is how much fake time AwaitUsers waits: longer than anything takes with the
// default options.
const Patience = 3 * time.Minute

// Fleet is a number of nodes on one Redis. Its methods, and those of its nodes and
// connections, fail the test if they cannot do what they promise. Call them from the
// test's goroutine.
type Fleet struct {
	t      *testing.T
	server *redistest.Server
	start  StartFunc
	nodes  []*Node
	reader *presence.Reader
	ended  sync.WaitGroup // the work of crashed nodes
}

// StartFunc starts a node: it calls n.Track, or makes the application's own server with
// n.Client and sets n.Layer and n.Tracker.
type StartFunc func(n *Node) error

// Run runs f inside a synctest bubble with a fleet of n nodes, which end with the test.
// If start is nil, each node has a Tracker with default options, and prunes.
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

// Node returns the i-th node; after a restart, the new one.
func (f *Fleet) Node(i int) *Node { return f.nodes[i] }

// Nodes returns all nodes.
func (f *Fleet) Nodes() []*Node { return slices.Clone(f.nodes) }

// Reader returns a Reader under the prefix of the first node, like that of a process
// that is not a node. It has no keys.
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

// Advance lets fake time pass, and waits until everything due is done.
func (f *Fleet) Advance(d time.Duration) {
	f.t.Helper()
	redistest.Advance(f.t, d)
}

// Eventually waits until condition returns nil. Once that much fake time has passed, it
// fails the test with the last error.
func (f *Fleet) Eventually(within time.Duration, condition func() error) {
	f.t.Helper()
	redistest.Eventually(f.t, within, condition)
}

// Throughout checks condition every 100 ms while fake time passes, and fails the test
// with the first error.
func (f *Fleet) Throughout(d time.Duration, condition func() error) {
	f.t.Helper()
	for began := time.Now(); time.Since(began) <= d; f.Advance(100 * time.Millisecond) {
		if err := condition(); err != nil {
			f.t.Fatalf("after %v: %v", time.Since(began), err)
		}
	}
}

// AwaitUsers waits until Redis has exactly these users in a room.
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

// Flush makes Redis lose all of its data, as a restart without persistence does.
func (f *Fleet) Flush() {
	f.t.Helper()
	f.server.Flush()
}

// FreezeRedis stops Redis from answering until ThawRedis. Commands sent meanwhile are
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

// end stops what is still running.
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
