package presence_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
)

func short(c *modelChannel) string {
	_, short, _ := groups.SplitChannel(c.name)
	return short
}

// op is one call of a tracker.
type op struct {
	kind  string
	by    int // the node that is called
	c     *modelChannel
	r     *modelRoom
	who   presence.Member
	limit int // of an addition within one
	why   presence.Reason
}

func (o op) String() string {
	return fmt.Sprintf("node %d: %s %s in %s as %q %q", o.by, o.kind, o.c.name, o.r.name, o.who.User, o.who.Info)
}

// result is what it returned.
type result struct {
	presence presence.Presence
	left     map[string]presence.Revision
	err      error
}

func (o op) run(ctx context.Context, n *node) result {
	var res result
	var at presence.Revision
	switch o.kind {
	case "add":
		res.presence, at, res.err = n.Add(ctx, o.r.name, o.c.name, o.who)
	case "within":
		res.presence, at, res.err = n.AddWithin(ctx, o.r.name, o.c.name, o.who, o.limit)
	case "update":
		at, res.err = n.Update(ctx, o.r.name, o.c.name, o.who.Info)
	case "remove":
		at, res.err = n.Remove(ctx, o.r.name, o.c.name)
	case "leave":
		res.left, res.err = n.LeaveAll(ctx, o.c.name, o.why)
		return res
	}
	if at != 0 {
		res.left = map[string]presence.Revision{o.r.name: at}
	}
	return res
}

// insist runs an op until no lost connection is in its way.
func (o op) insist(ctx context.Context, n *node) (res result) {
	for range 100 {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		res = o.run(ctx, n)
		cancel()
		if !errors.Is(res.err, presence.ErrUnavailable) {
			break
		}
		time.Sleep(100 * time.Millisecond) // of the fake clock: a shard that was away is asked again after some
	}
	return res
}

var modelReasons = []presence.Reason{presence.Left, presence.Disconnected, presence.TimedOut}

func (h *history) drawRoom(rt *rapid.T) *modelRoom {
	return h.rooms[rapid.IntRange(0, len(h.rooms)-1).Draw(rt, "room")]
}

func (h *history) drawChannel(rt *rapid.T) *modelChannel {
	return h.channels[rapid.IntRange(0, len(h.channels)-1).Draw(rt, "channel")]
}

// drawCaller is the owner of a channel, or any node that can reach it.
func (h *history) drawCaller(rt *rapid.T, c *modelChannel) int {
	if h.cut || rapid.Bool().Draw(rt, "own") {
		return c.owner
	}
	return rapid.IntRange(0, len(h.nodes)-1).Draw(rt, "by")
}

func (h *history) drawOp(rt *rapid.T, c *modelChannel) op {
	return op{
		kind: rapid.SampledFrom([]string{"add", "add", "add", "update", "update", "remove", "leave"}).Draw(rt, "op"),
		by:   h.drawCaller(rt, c),
		c:    c,
		r:    h.drawRoom(rt),
		who: presence.Member{
			User: rapid.SampledFrom([]string{"", "ana", "ben"}).Draw(rt, "user"),
			Info: []byte(rapid.SampledFrom([]string{"", "a", "b", "\x00:\n5:é"}).Draw(rt, "info")),
		},
		why: rapid.SampledFrom(modelReasons).Draw(rt, "why"),
	}
}

// drawOps are of different channels, so that they may run at the same time.
func (h *history) drawOps(rt *rapid.T, least, most int) []op {
	var ops []op
	n := rapid.IntRange(least, most).Draw(rt, "ops")
	first := rapid.IntRange(0, len(h.channels)-1).Draw(rt, "first channel")
	for i := range n {
		ops = append(ops, h.drawOp(rt, h.channels[(first+i)%len(h.channels)]))
	}
	return ops
}

// account compares a result with the model, and moves that on.
func (h *history) account(st *step, o op, res result) {
	d := deed{by: o.c.owner, at: res.left[o.r.name]}
	old, there := o.r.state[o.c.name]
	wrong := func(want any) {
		h.rt.Fatalf("%v: %s, %v, %v; want %v", o, tellPresence(res.presence), res.left, res.err, want)
	}
	if o.kind == "within" && o.r.isFullFor(o.c, o.who.User, o.limit) {
		if !errors.Is(res.err, presence.ErrRoomFull) {
			wrong(presence.ErrRoomFull)
		}
		return
	}
	if res.err != nil && o.kind != "update" {
		wrong("no error")
	}
	switch o.kind {
	case "add", "within":
		is := member{o.who.User, string(o.who.Info), time.UnixMilli(res.presence.JoinedAt.UnixMilli()), o.who.Exclusive}
		if there && old.user == o.who.User && old.exclusive == o.who.Exclusive {
			is = old
			delete(o.c.evicted, o.r.name)
			st.as[spot{o.r.name, o.c.name}] = d.at
		} else {
			if rival := h.rival(o.r, o.c, is); rival != nil {
				h.depart(st, o.r, rival, deed{by: d.by, why: presence.Replaced, at: d.at})
			}
			if there {
				d.why = presence.Switched
			}
			h.enter(st, o.r, o.c, is, d)
			if at := h.joined(st, o.r, o.c); is.joined != at {
				wrong(fmt.Sprint("joined at ", at.UnixMilli()))
			}
		}
		if got, want := tellPresence(res.presence), tellPresence(is.presence(o.r.name, o.c.name)); got != want {
			wrong(want)
		}
		st.seen = append(st.seen, o.c)
	case "update":
		switch {
		case !there:
			if !errors.Is(res.err, presence.ErrNotPresent) {
				wrong(presence.ErrNotPresent)
			}
		case res.err != nil:
			wrong("no error")
		case old.info == string(o.who.Info):
			st.as[spot{o.r.name, o.c.name}] = d.at
		default:
			old.info = string(o.who.Info)
			h.enter(st, o.r, o.c, old, d)
		}
	case "remove":
		if there != (d.at != 0) && !st.loose {
			wrong(fmt.Sprint("that it was there: ", there))
		}
		d.why = presence.Left
		if o.by != o.c.owner {
			d.why = presence.RemovedByOther
		}
		delete(o.c.evicted, o.r.name)
		if there {
			h.depart(st, o.r, o.c, d)
		}
		h.settle(o.c)
	case "leave":
		clear(o.c.evicted)
		var rooms []string
		for _, r := range h.in(o.c) {
			rooms = append(rooms, r.name)
			h.depart(st, r, o.c, deed{by: o.c.owner, why: o.why, at: res.left[r.name]})
		}
		if !st.loose && !slices.Equal(slices.Sorted(maps.Keys(res.left)), rooms) {
			wrong(rooms)
		}
		h.settle(o.c)
	}
}

// act runs ops at the same time, and beside them what else is given.
func (h *history) act(st *step, ops []op, beside ...func()) {
	results := make([]result, len(ops))
	for i, o := range ops {
		h.rt.Log(o)
		beside = append(beside, func() {
			if st.loose {
				results[i] = o.insist(h.ctx, h.nodes[o.by])
			} else {
				results[i] = o.run(h.ctx, h.nodes[o.by])
			}
		})
	}
	together(beside...)
	if st.loose {
		h.mend()
	}
	for i, o := range ops {
		h.account(st, o, results[i])
	}
}

func (h *history) one(rt *rapid.T) {
	st := h.begin()
	h.act(st, h.drawOps(rt, 1, 1))
	h.end(st)
}

// within adds a channel to a room unless that is full.
func (h *history) within(rt *rapid.T) {
	o := h.drawOp(rt, h.drawChannel(rt))
	o.kind, o.limit = "within", rapid.IntRange(1, 3).Draw(rt, "limit")
	st := h.begin()
	h.act(st, []op{o})
	h.end(st)
}

// session has a channel be the only one of its user that is exclusive. What is done
// at the same time would come before it or after.
func (h *history) session(rt *rapid.T) {
	h.beginSession(rt, h.drawChannel(rt), h.drawRoom(rt), rapid.SampledFrom([]string{"ana", "ben"}).Draw(rt, "whose"))
}

func (h *history) beginSession(rt *rapid.T, c *modelChannel, r *modelRoom, user string) {
	o := op{kind: "add", by: h.drawCaller(rt, c), c: c, r: r, who: presence.Member{User: user, Exclusive: true}}
	st := h.begin()
	h.act(st, []op{o})
	for spot, d := range st.deeds {
		if d.why == presence.Replaced && h.s.Real() {
			h.awaitGone(spot)
		}
	}
	h.end(st)
}

// overtake has an exclusive channel be pruned, and another be in its place before it
// gives a sign of life.
func (h *history) overtake(rt *rapid.T) {
	c, r := h.drawChannel(rt), h.drawRoom(rt)
	who := r.state[c.name]
	if !who.exclusive {
		rt.Skip("is not exclusive there")
	}
	h.fallSilent(c, 90*time.Minute)
	h.pruneOlder(rapid.IntRange(0, len(h.pruners)-1).Draw(rt, "by"), time.Hour)
	if next := h.drawChannel(rt); next != c {
		h.beginSession(rt, next, r, who.user)
	}
	h.touchBy(c.owner, c)
	h.wait(rt)
}

// awaitGone waits until the node of a channel that was replaced has heard of it.
func (h *history) awaitGone(at spot) {
	c := h.channel(at.channel)
	redistest.Eventually(h.t, 10*time.Second, func() error {
		entry, err := h.client.HGet(h.ctx, h.reader.Store().Index(0, h.node(c)), short(c)).Result()
		if rooms, _ := luascripts.IndexEntry(entry); slices.Contains(rooms, at.room) {
			return fmt.Errorf("the index has %s in %q, %v", c.name, rooms, err)
		}
		return nil
	})
}

// burst has several nodes act at the same moment, while somebody reads and
// somebody begins to watch.
func (h *history) burst(rt *rapid.T) {
	if slices.ContainsFunc(h.channels, func(c *modelChannel) bool { return c.touched }) {
		h.wait(rt) // it may take time to read a room that changes
	}
	ops := h.drawOps(rt, 2, modelChannels)
	read, w := h.drawRoom(rt), h.drawWatcher(rt)
	st := h.begin()
	var s presence.Snapshot
	var err error
	h.act(st, ops,
		func() { s, err = h.reader.Snapshot(h.ctx, read.name) },
		func() { w.Watcher, w.err = h.nodes[w.on].Watch(h.ctx, w.room.name, nil) })
	if err != nil {
		rt.Fatal(err)
	}
	h.add(w)
	for _, o := range h.watchers { // an event that came after the read that has it
		o.resync = o.resync || o.on == w.on && o.room == w.room
	}
	st.read = append(st.read, s)
	if !h.faulty { // else it begins with what the node's view has
		st.read = append(st.read, w.Start())
	}
	h.end(st)
}

// touch is followed by the flush where it cannot be said when that comes.
func (h *history) touch(rt *rapid.T) {
	if h.cut {
		h.wait(rt)
	}
	c := h.drawChannel(rt)
	h.touchBy(h.drawCaller(rt, c), c)
}

func (h *history) touchBy(by int, c *modelChannel) {
	st := h.begin() // before the touch, which a real node may write at once
	h.nodes[by].Touch(c.name)
	// Only the node that holds a channel can touch it, and knows it while it is
	// in a room or was pruned from one.
	if by == c.owner && len(h.in(c))+len(c.evicted) > 0 {
		c.touched = true
	}
	if h.faulty || h.s.Real() {
		h.flush(st, modelFlush)
	}
}

// wait lets touches be written. Channels that were pruned come back with them.
func (h *history) wait(*rapid.T) { h.pass(modelFlush) }

func (h *history) pass(d time.Duration) { h.flush(h.begin(), d) }

// flush ends a step with what touches become once some time has passed.
func (h *history) flush(st *step, d time.Duration) {
	if !h.s.Real() {
		redistest.Advance(h.t, d)
	}
	h.cut = false
	for _, c := range h.channels {
		if !c.touched {
			continue
		}
		c.touched = false
		if h.s.Real() {
			h.awaitFlush(st, c)
		}
		for _, r := range h.rooms {
			if who, ok := c.evicted[r.name]; ok {
				h.comeBack(st, r, c, who)
			}
		}
		if len(h.in(c)) > 0 {
			st.seen = append(st.seen, c)
		}
	}
	for _, at := range st.lost {
		r := h.room(at.room)
		if c := h.channel(at.channel); h.rival(r, c, c.evicted[r.name]) == nil {
			h.rt.Fatalf("%s has not come back to %s, where nobody has its place", c.name, r.name)
		}
		delete(h.channel(at.channel).evicted, at.room)
	}
	h.end(st)
}

// comeBack has a channel that was pruned be in the room again. Of several that are
// exclusive and come back at once, Redis says which was the first.
func (h *history) comeBack(st *step, r *modelRoom, c *modelChannel, who member) {
	if who.exclusive && !h.inRedis(r, c) {
		st.lost = append(st.lost, spot{r.name, c.name})
		return
	}
	if rival := h.rival(r, c, who); rival != nil {
		h.rt.Fatalf("%s has come back to %s, where %s has its place", c.name, r.name, rival.name)
	}
	// A node that has not heard of the prune asserts what it has.
	if !h.unheard[spot{r.name, c.name}] || !h.joinedAt(r, c).Equal(who.joined) {
		who.joined = h.joined(st, r, c)
	}
	h.enter(st, r, c, who, deed{by: c.owner})
}

func (h *history) inRedis(r *modelRoom, c *modelChannel) bool {
	there, err := h.client.HExists(h.ctx, h.reader.Store().Room(r.name), c.name).Result()
	if err != nil {
		h.rt.Fatal(err)
	}
	return there
}

// awaitFlush waits until a touch is written, and what it brings back.
func (h *history) awaitFlush(st *step, c *modelChannel) {
	store := h.reader.Store()
	redistest.Eventually(h.t, 10*time.Second, func() error {
		present := len(h.in(c)) > 0
		for room, who := range c.evicted {
			r := h.room(room)
			back := h.inRedis(r, c)
			taken, err := h.client.HExists(h.ctx, store.Exclusive(0), claim(r, who)).Result()
			if !back && !(who.exclusive && taken) {
				return fmt.Errorf("%s is not back in %s: %v", c.name, room, err)
			}
			present = present || back
		}
		score, err := h.client.ZScore(h.ctx, store.Presences(0, h.node(c)), short(c)).Result()
		if present && (err != nil || int64(score) < st.from.UnixMilli()) {
			return fmt.Errorf("%s: last seen %v, %v", c.name, score, err)
		}
		return nil
	})
}

// silence makes a channel look as if it had been silent for long.
func (h *history) silence(rt *rapid.T) {
	c := h.drawChannel(rt)
	ago := rapid.SampledFrom([]time.Duration{30 * time.Minute, 90 * time.Minute, 150 * time.Minute}).Draw(rt, "ago")
	if c.seen.IsZero() {
		rt.Skip("has no presence")
	}
	h.fallSilent(c, ago)
}

func (h *history) fallSilent(c *modelChannel, ago time.Duration) {
	c.seen = time.UnixMilli(h.now().Add(-ago).UnixMilli())
	key := h.reader.Store().Presences(0, h.node(c))
	h.nodes[c.owner].Silence(c.name, ago, func() {
		if err := h.client.Do(h.ctx, "ZADD", key, "XX", c.seen.UnixMilli(), short(c)).Err(); err != nil {
			h.rt.Fatal(err)
		}
	})
}

// prune removes what is stale by an age of the caller's, or by the max age of
// each node.
func (h *history) prune(rt *rapid.T) {
	by := rapid.IntRange(0, len(h.pruners)-1).Draw(rt, "by")
	h.pruneOlder(by, rapid.SampledFrom([]time.Duration{0, 10 * time.Minute, time.Hour, 2 * time.Hour}).Draw(rt, "age"))
}

func (h *history) pruneOlder(by int, age time.Duration) {
	st := h.begin()
	st.bulk = true
	d := deed{by: by, why: presence.Pruned}
	limit := func(int) time.Time { return st.from.Add(-age) }
	if age == 0 {
		d.why = presence.TimedOut
		limit = func(owner int) time.Time { return st.from.Add(-modelMaxAges[owner]) }
	}
	for _, c := range h.stale(limit) {
		for _, r := range h.in(c) {
			c.evicted[r.name] = r.state[c.name]
			h.depart(st, r, c, d)
		}
	}
	var returned []presence.Change
	var err error
	if age == 0 {
		returned, err = h.pruners[by].Presences(h.ctx)
	} else {
		returned, err = h.pruners[by].PresencesOlderThan(h.ctx, age)
	}
	if err != nil {
		h.rt.Fatal(err)
	}
	st.returned = returned
	h.end(st)
}

func (h *history) pruneRooms(rt *rapid.T) {
	var want []string
	for _, r := range h.rooms {
		if r.revision != 0 && len(r.state) == 0 {
			want = append(want, r.name)
			r.pruned, r.revision = r.revision, 0
			for _, w := range h.watchers {
				w.resync = w.resync || w.room == r
			}
		}
	}
	by := rapid.IntRange(0, len(h.pruners)-1).Draw(rt, "by")
	got, err := h.pruners[by].Rooms(h.ctx)
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		rt.Fatalf("rooms %q were pruned, %v; want %q", got, err, want)
	}
}
