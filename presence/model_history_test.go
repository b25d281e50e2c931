package presence_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// scope is a test for as long as one history lasts: what is to be cleaned up
// ends with it, and rapid hears of failures.
type scope struct {
	testing.TB
	rt   *rapid.T
	ends []func()
}

func (s *scope) Cleanup(f func())             { s.ends = append(s.ends, f) }
func (s *scope) Error(args ...any)            { s.rt.Error(args...) }
func (s *scope) Errorf(f string, args ...any) { s.rt.Errorf(f, args...) }
func (s *scope) Fatal(args ...any)            { s.rt.Fatal(args...) }
func (s *scope) Fatalf(f string, args ...any) { s.rt.Fatalf(f, args...) }
func (s *scope) Log(args ...any)              { s.rt.Log(args...) }
func (s *scope) Logf(f string, args ...any)   { s.rt.Logf(f, args...) }

func (s *scope) end() {
	for _, f := range slices.Backward(s.ends) {
		f()
	}
}

// In one history, nodes[:owners] have channels. Times are far apart, so that the
// length of a history decides nothing.
const (
	modelChannels = 6
	modelFlush    = 5 * time.Second
	modelWhole    = 2 // presences of a room that is read in one step
)

var modelMaxAges = []time.Duration{time.Hour, 2 * time.Hour, time.Hour, time.Hour}

// history is a fleet that is acted on, beside the model of it.
type history struct {
	*model
	t        *scope
	rt       *rapid.T
	ctx      context.Context
	s        *redistest.Server
	nodes    []*node
	wires    []*wire
	owners   int
	pruners  []*prune.Pruner // of each node, and of a process that is none
	reader   *presence.Reader
	client   redis.UniversalClient
	faulty   bool          // the bus is, for nodes[owners:]
	unheard  map[spot]bool // prunes that happened while it was
	cut      bool          // a subscriber's connection was, and may not be back
	ended    time.Time     // the last step
	watchers []*watching
	counters []*counting
}

// runHistory starts a fleet on an empty server and ends it.
func runHistory(t testing.TB, rt *rapid.T, s *redistest.Server, faulty bool, f func(h *history)) {
	sc := &scope{TB: t, rt: rt}
	defer sc.end()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	s.Flush()
	h := &history{model: &model{}, t: sc, rt: rt, ctx: ctx, s: s, owners: 3, client: s.NewClient(sc), faulty: faulty, unheard: make(map[spot]bool)}
	nodes := 3
	if faulty {
		h.owners, nodes = 2, 4
	}
	flush := modelFlush
	if s.Real() {
		flush = 10 * time.Millisecond
	}
	for i := range nodes {
		w := &wire{}
		if i >= h.owners {
			w.faults = newFaults(rapid.Uint64().Draw(rt, "faults"))
		}
		n := startNode(sc, s.NewClient(sc, w.dialThrough), &groups.Options{NodeID: fmt.Sprint("n", i), Shards: 1},
			presence.Options{MaxAge: modelMaxAges[i], FlushInterval: flush, Lease: time.Hour})
		h.nodes, h.wires = append(h.nodes, n), append(h.wires, w)
		h.pruners = append(h.pruners, h.pruner(n))
	}
	h.nodes[nodes-1].ReadInPagesOver(modelWhole)
	var err error
	if h.reader, err = presence.NewReader(ctx, h.client, nil); err != nil {
		rt.Fatal(err)
	}
	h.pruners = append(h.pruners, h.pruner(h.reader))
	for _, name := range []string{"attic", "garden", "hall"} {
		h.rooms = append(h.rooms, &modelRoom{name: name, state: state{}, why: map[string][]presence.Reason{}})
	}
	for i := range modelChannels {
		owner := i % h.owners
		h.channels = append(h.channels, &modelChannel{
			name: h.nodes[owner].open(sc), owner: owner, evicted: map[string]member{},
		})
	}
	defer h.closeWatchers()
	f(h)
}

func (h *history) pruner(t prune.Target) *prune.Pruner {
	p, err := prune.New(t, nil)
	if err != nil {
		h.rt.Fatal(err)
	}
	return p
}

func (h *history) now() time.Time {
	now, err := h.client.Time(h.ctx).Result()
	if err != nil {
		h.rt.Fatal(err)
	}
	return now
}

// begin lets a moment pass, so that what is repeated later has another time.
func (h *history) begin() *step {
	if !h.s.Real() {
		redistest.Advance(h.t, time.Millisecond)
	}
	now := h.now()
	for now.UnixMilli() == h.ended.UnixMilli() {
		now = h.now()
	}
	return h.model.begin(now)
}

// end checks what a step did.
func (h *history) end(st *step) {
	h.ended = h.now()
	if !h.s.Real() {
		redistest.Advance(h.t, 0)
	}
	h.learn(st, h.ended)
	all := h.gather(st)
	if !st.loose {
		h.checkChanges(st, all)
	}
	for spot, d := range st.deeds {
		if r := h.room(spot.room); d.why != 0 {
			r.why[spot.channel] = append(r.why[spot.channel], d.why)
		}
	}
	for _, w := range h.watchers {
		h.waitFor(w)
		if w.eager {
			h.look(w)
		}
	}
}

// learn takes over what Redis alone decides: revisions, and when a channel was
// seen.
func (h *history) learn(st *step, to time.Time) {
	var names []string
	for _, r := range h.rooms {
		names = append(names, r.name)
	}
	counts, err := h.reader.CountsOf(h.ctx, names...)
	if err != nil {
		h.rt.Fatal(err)
	}
	for i, r := range h.rooms {
		r.revision = counts[i].Revision
		if counts[i] != r.counts() {
			h.rt.Fatalf("%s has %+v, want %+v", r.name, counts[i], r.counts())
		}
		if r.revision != 0 {
			r.pruned = 0
		}
	}
	for _, c := range st.seen {
		c.seen = h.lastSeen(c)
		if c.seen.Before(st.from.Truncate(time.Millisecond)) || c.seen.After(to) {
			h.rt.Fatalf("%s was seen at %v, not from %v to %v", c.name, c.seen, st.from, to)
		}
	}
}

func (h *history) lastSeen(c *modelChannel) time.Time {
	store := h.reader.Store()
	score, err := h.client.ZScore(h.ctx, store.Presences(0, h.node(c)), short(c)).Result()
	if err != nil {
		h.rt.Fatalf("last seen of %s: %v", c.name, err)
	}
	return time.UnixMilli(int64(score))
}

func (h *history) node(c *modelChannel) string { return h.nodes[c.owner].Layer.NodeID() }

// joined is when a presence joined, which must be within the step.
func (h *history) joined(st *step, r *modelRoom, c *modelChannel) time.Time {
	at := h.joinedAt(r, c)
	if at.Before(st.from.Truncate(time.Millisecond)) || at.After(h.now()) {
		h.rt.Fatalf("%s joined %s at %v, not since %v", c.name, r.name, at, st.from)
	}
	return at
}

func (h *history) joinedAt(r *modelRoom, c *modelChannel) time.Time {
	text, err := h.client.HGet(h.ctx, h.reader.Store().Room(r.name), c.name).Result()
	if err != nil {
		h.rt.Fatalf("%s in %s: %v", c.name, r.name, err)
	}
	record, err := luascripts.DecodeRecord(text)
	if err != nil {
		h.rt.Fatal(err)
	}
	return time.UnixMilli(record.JoinedAt)
}

func (h *history) room(name string) *modelRoom {
	return h.rooms[slices.IndexFunc(h.rooms, func(r *modelRoom) bool { return r.name == name })]
}

func (h *history) channel(name string) *modelChannel {
	return h.channels[slices.IndexFunc(h.channels, func(c *modelChannel) bool { return c.name == name })]
}

// claim names the place of an exclusive member in a room, as Redis has it.
func claim(r *modelRoom, who member) string {
	return string([]byte{byte(len(r.name))}) + r.name + who.user
}

// heard is a call of a change handler, or what a pruner that is no node returned.
type heard struct {
	by int
	presence.Change
}

// gather returns what the handlers heard within a step.
func (h *history) gather(st *step) []heard {
	want := make([]int, len(h.nodes)+1)
	rooms := make(map[string]bool)
	for spot, d := range st.deeds {
		if !st.bulk || !rooms[spot.room] {
			want[d.by]++
		}
		rooms[spot.room] = true
	}
	var all []heard
	for i, n := range h.nodes {
		if h.s.Real() {
			redistest.Eventually(h.t, 10*time.Second, func() error {
				if changes := n.Changes(); len(changes) < want[i] {
					return fmt.Errorf("node %d has heard %d changes, want %d", i, len(changes), want[i])
				}
				return nil
			})
		}
		for _, c := range n.TakeChanges() {
			all = append(all, heard{i, c})
		}
	}
	for _, d := range st.deeds {
		if d.by == len(h.nodes) {
			for _, c := range st.returned {
				all = append(all, heard{d.by, c})
			}
			break
		}
	}
	return all
}

// together runs calls at the same time.
func together(calls ...func()) {
	var work sync.WaitGroup
	for _, f := range calls {
		work.Go(f)
	}
	work.Wait()
}
