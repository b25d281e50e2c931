package presence

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// A node is asked to confirm who is in a room, and the batch before finds out that
// the last writes were lost: what they had added is added again, and not taken for
// pruned.
func TestConfirmThatWaitsForALossToBeFound(t *testing.T) {
	s := redistest.Real(t)
	client := s.NewClient(t)
	ctx := t.Context()
	tracker := newStrangerOn(t, client)
	enter := func(user string) *groups.Channel {
		ch, err := tracker.layer.NewChannel()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := tracker.Add(ctx, "lobby", ch.Name(), Member{User: user}); err != nil {
			t.Fatal(err)
		}
		return ch
	}
	enter("ann")
	before := dump(t, client)
	lost := tracker.own(enter("bob").Name())
	rewind(t, client, before)

	h, _ := lost.held("lobby")
	asked := &write{ctx: ctx, done: make(chan outcome, 1), ops: []luascripts.Op{{
		Action: luascripts.Confirm, Room: "lobby", Short: lost.short, Stored: h.record, Since: int64(h.revision), Unseen: time.Second,
	}}}
	w := tracker.writers[0]
	w.mu.lock()
	err := w.register(true)
	w.mu.unlock()
	if err != nil {
		t.Fatal(err)
	}
	w.run([]*write{asked})
	if o := <-asked.done; o.err != nil || o.results[0].Status == luascripts.StatusAbsent {
		t.Errorf("%+v", o)
	}
}

// What cannot be put back at once is put back later.
func TestHealingThatFailsIsTriedAgain(t *testing.T) {
	s := redistest.Real(t)
	client := s.NewClient(t)
	ctx := t.Context()
	tracker := newStrangerOn(t, client)
	enter := func(user string) {
		ch, err := tracker.layer.NewChannel()
		if err == nil {
			_, _, err = tracker.Add(ctx, "lobby", ch.Name(), Member{User: user})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	enter("ann")
	before := dump(t, client)
	enter("bob")
	rewind(t, client, before)
	restore := s.SetConfig("maxmemory", "1")
	w := tracker.writers[0]
	w.mu.lock()
	err := w.register(true)
	w.mu.unlock()
	if err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, 30*time.Second, func() error {
		info, err := client.Info(ctx, "errorstats").Result()
		if err == nil && !strings.Contains(info, "errorstat_OOM") {
			err = errors.New("nothing was refused")
		}
		return err
	})
	restore()
	redistest.Eventually(t, 30*time.Second, func() error {
		counts, err := tracker.Counts(ctx, "lobby")
		if err == nil && counts.Presences != 2 {
			err = fmt.Errorf("%+v", counts)
		}
		return err
	})
}

// A channel is asserted again in more rooms than fit in a batch, and while the first
// batch is under way its node hears that it was pruned from the last of them.
func TestAPruneWhileAChannelIsAssertedAgain(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		wire := newReads()
		client := s.NewClient(t)
		client.AddHook(wire)
		n := newStrangerOn(t, client)
		c, err := n.layer.NewChannel()
		if err != nil {
			t.Fatal(err)
		}
		const last = "room 299"
		for i := range 300 {
			if _, _, err := n.Add(t.Context(), fmt.Sprintf("room %03d", i), c.Name(), Member{User: "ana"}); err != nil {
				t.Fatal(err)
			}
		}
		redistest.Advance(t, time.Second)
		e := n.own(c.Name())
		wire.then("evalsha", func() {
			_, err := n.store.Prune(t.Context(), luascripts.Sweep{
				Node: n.layer.NodeID(), MaxAge: time.Millisecond, Reason: byte(TimedOut),
				Stale: []luascripts.Stale{{Short: e.short, Rooms: []string{last}}},
			})
			if err != nil {
				t.Error(err)
			}
			redistest.Advance(t, time.Millisecond) // the event of the prune comes
		})
		if err := n.reassert(t.Context(), e, 0, false, true); err != nil {
			t.Error(err)
		}
		redistest.Advance(t, time.Millisecond)
		if counts, err := n.Counts(t.Context(), last); err != nil || counts.Presences != 1 || !e.isIn(last) {
			t.Errorf("%+v, %v, in the ledger: %v", counts, err, e.isIn(last))
		}
		if members := n.layer.Members(last); !slices.Equal(members, []string{c.Name()}) {
			t.Errorf("members of the group: %q", members)
		}
	})
}

// A node that heals has found nothing left to do when another loss is found. It heals
// once more, and restores as long as it does.
func TestALossAtTheEndOfHealing(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		wire := newReads()
		client := s.NewClient(t)
		client.AddHook(wire)
		w := newStrangerOn(t, client).writers[0]
		lose := func() {
			w.lost = true
			w.heal()
		}
		w.mu.lock()
		lose()
		redistest.Advance(t, time.Second) // it has looked at what Redis has, and waits
		lose()
		looked := wire.of("hscan")
		w.mu.unlock()
		redistest.Advance(t, time.Millisecond)
		w.mu.lock()
		if !w.lost {
			t.Error("the second loss counts as healed")
		}
		w.mu.unlock()
		redistest.Advance(t, time.Second)
		if n := wire.of("hscan") - looked; n != 1 {
			t.Errorf("looked %d times after the second loss", n)
		}
		w.mu.lock()
		defer w.mu.unlock()
		if w.lost {
			t.Error("it heals without an end")
		}
	})
}

// A node's writes were lost, and its next one is refused for that. It is not sent again
// before the node has registered.
func TestALossIsKnownAtOnce(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		n := newStrangerOn(t, client)
		add := func() {
			t.Helper()
			ch, err := n.layer.NewChannel()
			if err == nil {
				_, _, err = n.Add(t.Context(), "lobby", ch.Name(), Member{})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		add()
		add()
		if err := client.HSet(t.Context(), n.store.Node(0, n.layer.NodeID()), "number", 1).Err(); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		add()
		if took := time.Since(start); took > 0 {
			t.Errorf("the next write took %v", took)
		}
		if counts, err := n.Counts(t.Context(), "lobby"); err != nil || counts.Presences != 3 {
			t.Errorf("%+v, %v", counts, err)
		}
	})
}

func dump(t *testing.T, client redis.UniversalClient) map[string]string {
	t.Helper()
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, key := range keys {
		if all[key], err = client.Dump(t.Context(), key).Result(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// rewind makes Redis as it was, as a failover does that loses the last writes.
func rewind(t *testing.T, client redis.UniversalClient, to map[string]string) {
	t.Helper()
	for key, value := range to {
		if err := client.RestoreReplace(t.Context(), key, 0, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// Redis has lost a presence whose removal is owed. An update does not put it back.
func TestAnUpdateOfWhoIsToLeave(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newStranger(t, s)
		c, err := n.layer.NewChannel()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := n.Add(t.Context(), "lobby", c.Name(), Member{User: "ana"}); err != nil {
			t.Fatal(err)
		}
		e := n.own(c.Name())
		e.leave("lobby", departure{why: Left})
		s.Mini().Del(n.store.Room("lobby"))
		w := n.writer("lobby")
		w.mu.lock()
		w.heal()
		w.mu.unlock()
		if _, err := n.Update(t.Context(), "lobby", c.Name(), []byte("away")); !errors.Is(err, ErrNotPresent) {
			t.Errorf("update: %v", err)
		}
		if counts, err := n.Counts(t.Context(), "lobby"); err != nil || counts.Presences != 0 {
			t.Errorf("%+v, %v", counts, err)
		}
	})
}
