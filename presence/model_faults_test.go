package presence_test

import (
	"time"

	"pgregory.net/rapid"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// bound is within what a view has healed: two checks and a read.
const bound = 2*presence.CheckViews + time.Second

// cutSubscriber cuts the connection on which a node hears events. Until it is
// back, nodes call each other in vain.
func (h *history) cutSubscriber(rt *rapid.T) {
	h.wires[rapid.IntRange(0, len(h.wires)-1).Draw(rt, "node")].cut()
	h.cut = true
}

// storm cuts all connections in the middle of a burst. Calls are repeated, so
// what they come to is known, and how is not.
func (h *history) storm(rt *rapid.T) {
	if h.cut {
		h.wait(rt)
	}
	h.cut = true
	ops := h.drawOps(rt, 2, modelChannels)
	st := h.begin()
	st.loose = true
	h.act(st, ops, h.s.DropClients)
	h.end(st)
	h.wait(rt)
}

// mend has the clients find out which of their connections are dead, so that
// from now on Redis answers.
func (h *history) mend() {
	for range 3 {
		var pings []func()
		for range 16 { // more than there can be
			for _, n := range h.nodes {
				pings = append(pings, func() { n.Store().Client().Ping(h.ctx) })
			}
			pings = append(pings, func() { h.client.Ping(h.ctx) })
		}
		together(pings...)
	}
	redistest.Advance(h.t, time.Second) // what was in doubt is settled
}

// converge checks that all views are right within the bound, whatever happened
// before.
func (h *history) converge(*rapid.T) {
	h.pass(bound)
	for _, w := range h.watchers {
		h.look(w)
		if got, want := tellPresences(w.told.presences(w.room.name)), tellPresences(w.room.presences(w.room.name)); got != want {
			h.rt.Fatalf("a watcher on node %d was told%s\nof %s, want%s", w.on, got, w.room.name, want)
		}
		w.room.pruned = 0
		h.same(w)
	}
	for _, c := range h.counters {
		c.room.pruned = 0
		h.count(c)
	}
}
