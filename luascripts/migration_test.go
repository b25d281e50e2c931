package luascripts_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// While a slot is on its way, its old owner makes no new keys: a key that a script
// has emptied is one that it cannot have again. So a script is either refused as a
// whole, or it finishes.
func TestScriptsOfASlotOnItsWay(t *testing.T) {
	s := redistest.ClusterWithReplicas(t)
	for _, tt := range []struct {
		name string
		do   func(w *world) error
		runs bool // as long as nothing has gone over: all its keys are there
	}{
		{"the only user of a room is replaced", func(w *world) error { return w.try(add("lobby", "1", "bob", "")) }, true},
		{"a room fills as another empties", func(w *world) error {
			return w.try(add("void", "1", "ann", ""), remove("lobby", "1"))
		}, false},
		{"the last leaves grace as another enters it", func(w *world) error {
			return w.try(add("den", "2", "bob", ""), grace("lobby", "1", time.Minute))
		}, true},
		{"the node's last leaves", func(w *world) error {
			return w.try(remove("lobby", "1"), remove("park", "3"))
		}, true},
		{"a user of several channels leaves", func(w *world) error {
			return w.try(remove("park", "3"), add("lobby", "4", "ann", ""))
		}, true},
		{"a room is made", func(w *world) error { return w.try(add("new", "1", "ann", "")) }, false},
		{"somebody is touched", func(w *world) error {
			_, err := w.Touch(w.ctx, 0, "n1", []string{"1"})
			return err
		}, true},
		{"somebody is stale", func(w *world) error {
			_, err := w.Prune(w.ctx, luascripts.Sweep{
				Node: "n1", MaxAge: time.Minute, Reason: 'e', Stale: []luascripts.Stale{{Short: "1", Rooms: []string{"lobby"}}},
			})
			return err
		}, true},
		{"a grace ends", func(w *world) error {
			_, err := w.Ungrace(w.ctx, 0, []luascripts.Graced{{Room: "den", Channel: "n1!2"}}, 'k')
			return err
		}, true},
		{"an empty room is deleted", func(w *world) error {
			_, err := w.PruneRooms(w.ctx, 0, []string{"void"})
			return err
		}, false},
		{"a node registers again", func(w *world) error {
			inc, err := w.Register(w.ctx, 0, w.registration(), w.epoch, false)
			if err == nil {
				w.inc[0], w.number[0] = inc.ID, 0
			}
			return err
		}, true},
		{"who is in grace gives way", func(w *world) error { return w.try(exclusive(add("den", "7", "bob", ""))) }, true},
		{"the only claim is of another user", func(w *world) error { return w.try(exclusive(add("den", "2", "cyd", ""))) }, true},
		{"the only claim is given up", func(w *world) error { return w.try(add("den", "2", "bob", "")) }, true},
	} {
		for _, way := range []struct {
			name string
			move func(w *world, m *redistest.Migration)
		}{
			{"begun", func(*world, *redistest.Migration) {}},
			{"half way", func(_ *world, m *redistest.Migration) { m.Move(5) }},
			{"without the room", func(w *world, m *redistest.Migration) { m.MoveKeys(w.Room("lobby"), w.RoomUsers("lobby")) }},
			{"all but given over", func(_ *world, m *redistest.Migration) { m.Move(1000) }},
		} {
			t.Run(tt.name+"/"+way.name, func(t *testing.T) {
				s.Flush()
				w := newWorld(t, s)
				w.rarely = true
				w.write(add("lobby", "1", "ann", "hi"), add("park", "3", "ann", ""), exclusive(add("den", "2", "bob", "")), add("void", "2", "cyd", ""))
				w.write(remove("void", "2"), grace("den", "2", time.Minute))
				w.seen("1", time.Hour)
				slot := s.Slot(w.Meta(0))
				m := s.BeginMigration(slot, (s.Owner(slot)+1)%s.Nodes())
				way.move(w, m)
				before := w.dump()
				err := tt.do(w)
				switch {
				case err == nil:
				case tt.runs && way.name == "begun":
					t.Errorf("refused, though all is there: %v", err)
				case !luascripts.Passing(err):
					t.Errorf("not refused as a whole: %v", err)
				case !maps.Equal(before, w.dump()):
					t.Error("refused, and yet the state is another")
				}
				m.Finish()
				w.agree("n1")
				if err != nil {
					w.must(tt.do(w))
					w.agree("n1")
				}
			})
		}
	}
}

// A sweep needs more keys than a lease, but of other nodes. So that none is swept
// who could not sign, neither runs while the slot is on its way, whatever is
// together: then all look as silent as they were, and there is a hold.
func TestNeitherLeasesNorSweepsOnTheWay(t *testing.T) {
	s := redistest.ClusterWithReplicas(t)
	w := newWorld(t, s)
	w.write(add("lobby", "1", "ann", ""))
	if mine, err := w.TakeTurn(w.ctx, 0, "who died"); !mine || err != nil {
		t.Fatal(mine, err)
	}
	slot := s.Slot(w.Meta(0))
	for range 2 { // there and back
		m := s.BeginMigration(slot, (s.Owner(slot)+1)%s.Nodes())
		refused := func(when string) {
			t.Helper()
			_, turn := w.TakeTurn(w.ctx, 0, "who died")
			for what, err := range map[string]error{"turn": turn, "lease": w.renew(w.inc[0])} {
				if !luascripts.Passing(err) {
					t.Errorf("%s, %s: %v", when, what, err)
				}
			}
		}
		refused("begun")
		m.MoveKeys(w.Node(0, "n1"), w.Nodes(0), w.Meta(0))
		refused("half way")
		m.Move(1000)
		refused("all but given over")
		m.Finish()
		w.must(w.renew(w.inc[0]))
		w.mustHold(false)
		if _, err := w.TakeTurn(w.ctx, 0, "who died"); err != nil {
			t.Fatal(err)
		}
	}
	w.silence(time.Hour)
	m := s.BeginMigration(slot, (s.Owner(slot)+1)%s.Nodes())
	m.Finish()
	w.must(w.renew(w.inc[0]))
	if _, err := w.TakeTurn(w.ctx, 0, "who died"); !errors.Is(err, luascripts.ErrHeld) {
		t.Errorf("after a long way: %v", err)
	}
}

// try runs a batch that may be refused.
func (w *world) try(ops ...luascripts.Op) error {
	b := w.batch(ops...)
	_, err := w.Write(w.ctx, b)
	if err != nil {
		w.number[b.Shard]--
	}
	return err
}

// dump is all that Redis holds.
func (w *world) dump() map[string]string {
	w.t.Helper()
	all := map[string]string{}
	for _, key := range w.allKeys() {
		value, err := w.c.Dump(w.ctx, key).Result()
		w.must(err)
		all[key] = value
	}
	return all
}
