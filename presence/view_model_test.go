package presence_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// inBubbles checks a property, each case in a bubble of its own, so that its
// clock, and what it has to find out, begin anew. Rapid's own clock is the real one.
func inBubbles(t *testing.T, property func(t *testing.T, rt *rapid.T, s *redistest.Server)) {
	rapid.Check(t, func(rt *rapid.T) {
		var failure any
		redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
			defer func() { failure = recover() }() // so does rapid end a case
			property(t, rt, s)
		})
		if failure != nil {
			panic(failure)
		}
	})
}

// commands are what a history is made of. Those that are named more than once
// come more often.
func (h *history) commands() map[string]func(*rapid.T) {
	c := map[string]func(*rapid.T){
		"":           func(*rapid.T) { h.checkViews() },
		"one":        h.one,
		"another":    h.one,
		"a third":    h.one,
		"within":     h.within,
		"burst":      h.burst,
		"touch":      h.touch,
		"wait":       h.wait,
		"silence":    h.silence,
		"prune":      h.prune,
		"pruneRooms": h.pruneRooms,
		"watch":      h.watch,
		"unwatch":    h.unwatch,
		"read":       h.readAll,
	}
	if h.faulty {
		c["cut"] = h.cutSubscriber
		c["storm"] = h.storm
		c["converge"] = h.converge
	} else { // who does not hear of it is there until it is asserted again
		c["session"] = h.session
		c["another session"] = h.session
		c["overtake"] = h.overtake
	}
	return c
}

// watchAll has somebody follow each room from the beginning.
func (h *history) watchAll(rt *rapid.T) {
	for _, r := range h.rooms {
		for range 2 {
			w := h.drawWatcher(rt)
			w.room = r
			if h.faulty {
				w.on = h.owners + len(h.watchers)%2
			}
			w.Watcher, w.err = h.nodes[w.on].Watch(h.ctx, r.name, nil)
			h.add(w)
			h.watchCounts(w.on, r)
		}
	}
}

// TestModel runs random histories of several nodes, channels, users and rooms
// beside a model of them. After each step the results, the changes that handlers
// heard, the evictions and what watchers were told are those of the model; at
// the end also all that can be read, and every key in Redis.
func TestModel(t *testing.T) {
	inBubbles(t, func(t *testing.T, rt *rapid.T, s *redistest.Server) {
		runHistory(t, rt, s, false, func(h *history) {
			h.watchAll(rt)
			rt.Repeat(h.commands())
			h.pass(bound)
			h.checkAll()
		})
	})
}

// On real servers, where time passes by itself; on a cluster all in one shard, as
// the model knows one.
func TestModelOnServers(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		if !s.Real() {
			return // that is TestModel
		}
		rapid.Check(t, func(rt *rapid.T) {
			runHistory(t, rt, s, false, func(h *history) {
				h.watchAll(rt)
				rt.Repeat(h.commands())
				h.checkAll()
			})
		})
	})
}

// Whatever becomes of events on their way, no diff contradicts those before it,
// and all views are right within the bound.
func TestAViewSurvivesAFaultyBus(t *testing.T) {
	inBubbles(t, func(t *testing.T, rt *rapid.T, s *redistest.Server) {
		runHistory(t, rt, s, true, func(h *history) {
			h.watchAll(rt)
			rt.Repeat(h.commands())
			h.converge(rt)
			h.checkAll()
		})
	})
}
