package presence_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
)

// checkChanges replays what the handlers heard, in the order of the revisions,
// from the rooms as they were: it must fit, and come to what the model has.
func (h *history) checkChanges(st *step, all []heard) {
	slices.SortStableFunc(all, func(a, b heard) int { return int(a.Counts.Revision - b.Counts.Revision) })
	for _, r := range h.rooms {
		was := st.was[r.name]
		p := &replay{st: st, room: r.name, state: was.state, revision: was.revision}
		p.states = map[presence.Revision]state{p.revision: p.state, was.pruned: p.state}
		for _, c := range all {
			if c.Room == r.name {
				p.apply(c)
			}
		}
		p.endRevision()
		if p.wrong == "" && (p.revision != r.revision || tellPresences(p.state.presences(r.name)) != tellPresences(r.presences(r.name))) {
			p.wrong = "they do not come to what Redis has"
		}
		for spot, d := range st.deeds {
			if spot.room == r.name && !p.done[spot] {
				p.wrong = fmt.Sprintf("of %s by node %d nobody heard", spot.channel, d.by)
			}
		}
		for _, s := range st.read {
			then, known := p.states[s.Counts.Revision]
			if s.Room == r.name && (!known || tellPresences(s.Presences) != tellPresences(then.presences(r.name)) ||
				s.Counts != then.counts(s.Counts.Revision)) {
				p.wrong = fmt.Sprintf("at no time it was%s\n%+v", tellPresences(s.Presences), s.Counts)
			}
		}
		for spot, at := range st.as {
			if spot.room == r.name && p.states[at] == nil {
				p.wrong = fmt.Sprintf("a call for %s returned revision %d, which it never had", spot.channel, at)
			}
		}
		if p.wrong != "" {
			h.rt.Fatalf("%s: %s\nit was at %d%s\nit is at %d%s\nheard %+v", r.name, p.wrong, was.revision,
				tellPresences(was.presences(r.name)), r.revision, tellPresences(r.presences(r.name)), all)
		}
	}
	h.checkReturned(st, all)
	h.checkEvictions(st)
}

// replay is one room as the changes that were heard make it.
type replay struct {
	st       *step
	room     string
	state    state
	revision presence.Revision
	states   map[presence.Revision]state
	done     map[spot]bool
	wrong    string

	before     state // the revision that is replayed
	counts     presence.Counts
	came, went []string
}

func (p *replay) fail(c heard, format string, args ...any) {
	if p.wrong == "" {
		p.wrong = fmt.Sprintf("%s, in what node %d heard: %+v", fmt.Sprintf(format, args...), c.by, c.Change)
	}
}

// apply is called with the changes in order. Those of one batch have the same
// revision.
func (p *replay) apply(c heard) {
	if p.before == nil || c.Counts.Revision != p.counts.Revision {
		p.endRevision()
		if p.counts = c.Counts; p.counts.Revision <= p.revision {
			p.fail(c, "the revision does not rise")
		}
		p.before, p.state = p.state, maps.Clone(p.state)
	}
	if c.Counts != p.counts {
		p.fail(c, "the numbers differ")
	}
	if n := len(c.Added) + len(c.Updated); c.Bulk != p.st.bulk || !c.Bulk && (n > 1 || len(c.Removed) > 1) || c.Bulk && n > 0 {
		p.fail(c, "bulk, or not bulk")
	}
	for _, d := range c.Removed {
		old, there := p.state[d.Channel]
		old.info = ""
		if !there || !old.same(memberOf(d.Presence)) {
			p.fail(c, "%s left, and was not there", d.Channel)
		}
		delete(p.state, d.Channel)
		p.deed(c, d.Presence, d.Reason)
	}
	for _, a := range c.Added {
		if _, there := p.state[a.Channel]; there {
			p.fail(c, "%s came, and was there", a.Channel)
		}
		p.state[a.Channel] = memberOf(a)
		p.deed(c, a, 0)
	}
	for _, u := range c.Updated {
		if old, there := p.state[u.Channel]; !there || old.user != u.User {
			p.fail(c, "%s was updated, and was not there", u.Channel)
		}
		p.state[u.Channel] = memberOf(u)
		p.deed(c, u, 0)
	}
	p.came, p.went = append(p.came, c.UsersCame...), append(p.went, c.UsersWent...)
}

// deed checks that a step was meant to do this, and that it is told of once.
func (p *replay) deed(c heard, is presence.Presence, why presence.Reason) {
	at := spot{is.Room, is.Channel}
	d, meant := p.st.deeds[at]
	switch {
	case !meant || d.by != c.by || d.at != 0 && d.at != c.Counts.Revision || why != 0 && d.why != why:
		p.fail(c, "%s: meant %v: by node %d, %v, at %d", is.Channel, meant, d.by, d.why, d.at)
	case p.done[at] && d.why != presence.Switched:
		p.fail(c, "%s is told twice", is.Channel)
	case !is.LastSeen.IsZero() || is.Unopened:
		p.fail(c, "%s has what no change has", is.Channel)
	}
	if p.done == nil {
		p.done = make(map[spot]bool)
	}
	p.done[at] = true
}

func (p *replay) endRevision() {
	if p.before == nil {
		return
	}
	came, went := usersBetween(p.before, p.state)
	slices.Sort(p.came)
	slices.Sort(p.went)
	if !slices.Equal(p.came, came) || !slices.Equal(p.went, went) || p.counts != p.state.counts(p.counts.Revision) {
		p.fail(heard{}, "at %d users came %q and went %q with %+v; want %q, %q and %+v", p.counts.Revision,
			p.came, p.went, p.counts, came, went, p.state.counts(p.counts.Revision))
	}
	p.before, p.came, p.went = nil, nil, nil
	p.revision = p.counts.Revision
	p.states[p.revision] = p.state
}

// checkReturned compares what a prune returned with what its node heard.
func (h *history) checkReturned(st *step, all []heard) {
	tell := func(changes []presence.Change) string {
		slices.SortFunc(changes, func(a, b presence.Change) int { return strings.Compare(a.Room, b.Room) })
		return fmt.Sprint(changes)
	}
	var changes []presence.Change
	for _, c := range all {
		changes = append(changes, c.Change)
	}
	if st.bulk && tell(changes) != tell(st.returned) {
		h.rt.Fatalf("a prune returned %+v, heard %+v", st.returned, changes)
	}
}

// checkEvictions compares what nodes were told of their channels that somebody
// pruned or replaced. Over a bus that was cut they may not hear of it, or find out later.
func (h *history) checkEvictions(st *step) {
	want := make([][]string, len(h.nodes))
	tell := func(e presence.Eviction) string {
		if h.s.Real() && e.Reason == presence.Pruned {
			e.Reason = presence.TimedOut // as a node takes it that finds out before it hears
		}
		return fmt.Sprint(e.Channel, e.Room, e.Reason)
	}
	for _, c := range h.channels {
		for spot, d := range st.deeds {
			if st.bulk && spot.channel == c.name {
				want[c.owner] = append(want[c.owner], tell(presence.Eviction{Channel: c.name, Room: spot.room, Reason: d.why}))
				if h.cut {
					h.unheard[spot] = true
				} else {
					delete(h.unheard, spot) // this one is heard
				}
			}
		}
	}
	tellReplaced := func(at spot) {
		owner := h.channel(at.channel).owner
		want[owner] = append(want[owner], tell(presence.Eviction{Channel: at.channel, Room: at.room, Reason: presence.Replaced}))
	}
	for at, d := range st.deeds {
		if d.why == presence.Replaced {
			tellReplaced(at)
		}
	}
	for _, at := range st.lost {
		tellReplaced(at)
	}
	for i, n := range h.nodes {
		slices.Sort(want[i])
		var got []string
		redistest.Eventually(h.t, 10*time.Second, func() error {
			for _, e := range n.TakeEvicted() {
				if h.cut || !h.unheard[spot{e.Room, e.Channel}] {
					got = append(got, tell(e))
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want[i]) && !h.cut {
				return fmt.Errorf("node %d was told of the evictions %q, want %q", i, got, want[i])
			}
			return nil
		})
	}
}

// checkAll compares all that can be read with the model.
func (h *history) checkAll() {
	for _, w := range h.watchers {
		h.look(w)
		h.same(w)
	}
	for _, c := range h.counters {
		h.count(c)
	}
	readers := []*presence.Reader{h.reader}
	for _, n := range h.nodes {
		readers = append(readers, n.Reader)
	}
	for _, r := range readers {
		for _, room := range h.rooms {
			h.checkReads(r, room)
		}
		h.checkRooms(r)
	}
	h.checkRedis()
}

// checkReads compares what each call says of a room.
func (h *history) checkReads(r *presence.Reader, room *modelRoom) {
	want := room.presences(room.name)
	expect := func(what string, got, want any, err error) {
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			h.rt.Fatalf("%s of %s: %v, %v; want %v", what, room.name, got, err, want)
		}
	}
	s, err := r.SnapshotAt(h.ctx, room.name, max(room.revision, 0))
	if room.revision == 0 {
		s, err = r.Snapshot(h.ctx, room.name)
	}
	expect("snapshot", tellPresences(s.Presences), tellPresences(want), err)
	expect("numbers of a snapshot", s.Counts, room.counts(), nil)
	expect("users of a snapshot", s.Users(), room.users(), nil)
	counts, err := r.Counts(h.ctx, room.name)
	expect("numbers", counts, room.counts(), err)
	users, err := r.Users(h.ctx, room.name)
	expect("users", users, room.users(), err)
	anonymous, err := r.AnonymousCount(h.ctx, room.name)
	expect("anonymous", anonymous, room.counts().Anonymous, err)
	var paged []presence.Presence
	for p, err := range r.All(h.ctx, room.name) {
		expect("error of the pages", err, nil, nil)
		paged = append(paged, p)
	}
	slices.SortFunc(paged, func(a, b presence.Presence) int { return strings.Compare(a.Channel, b.Channel) })
	expect("pages", tellPresences(paged), tellPresences(want), nil)
	all, err := r.Presences(h.ctx, room.name)
	expect("presences", tellPresences(all), tellPresences(want), err)
	for _, p := range all {
		i := slices.IndexFunc(h.channels, func(c *modelChannel) bool { return c.name == p.Channel })
		c := h.channels[i]
		if now := h.lastSeen(c); h.faulty && now.Sub(c.seen) < time.Second {
			c.seen = now // what was sent again has come since
		}
		expect("last seen of "+p.Channel, p.LastSeen, c.seen, nil)
	}
}

// checkRooms compares what is said of all rooms and nodes.
func (h *history) checkRooms(r *presence.Reader) {
	var want, got, all []string
	var counts []presence.Counts
	for _, room := range h.rooms {
		all, counts = append(all, room.name), append(counts, room.counts())
		if room.revision != 0 {
			want = append(want, room.name)
		}
	}
	for name, err := range r.Rooms(h.ctx) {
		if err != nil {
			h.rt.Fatal(err)
		}
		got = append(got, name)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		h.rt.Fatalf("the rooms are %q, want %q", got, want)
	}
	if of, err := r.CountsOf(h.ctx, all...); err != nil || !slices.Equal(of, counts) {
		h.rt.Fatalf("the numbers of all rooms are %+v, %v; want %+v", of, err, counts)
	}
	channels := make(map[string]int)
	for _, c := range h.channels {
		if !c.seen.IsZero() {
			channels[h.node(c)]++
		}
	}
	nodes, err := r.Nodes(h.ctx)
	if err != nil || len(nodes) != len(h.nodes) {
		h.rt.Fatalf("the nodes are %+v, %v", nodes, err)
	}
	for _, n := range nodes {
		if n.Channels != channels[n.ID] {
			h.rt.Fatalf("node %+v, want %d channels", n, channels[n.ID])
		}
	}
}

// checkRedis compares every key in Redis with the model.
func (h *history) checkRedis() {
	k := h.reader.Store()
	want := map[string]string{"registry": "", "empty": ""}
	got := make(map[string]string)
	keys := []string{k.Meta(0), k.Nodes(0)}
	tell := func(into map[string]string, what string, fields map[string]string) {
		for _, f := range slices.Sorted(maps.Keys(fields)) {
			into[what] += fmt.Sprintf("%q: %s\n", f, fields[f])
		}
	}
	read := func(what, key string, decode func(field, value string) string) {
		fields, err := h.client.HGetAll(h.ctx, key).Result()
		if err != nil {
			h.rt.Fatal(err)
		}
		for f, v := range fields {
			fields[f] = decode(f, v)
		}
		tell(got, what, fields)
	}
	claims := make(map[string]string)
	for _, r := range h.rooms {
		name := "room " + r.name
		read(name, k.Room(r.name), func(field, value string) string {
			if field == "" {
				header, err := luascripts.DecodeHeader(value)
				return fmt.Sprint(header.Revision, header.Presences, header.Users, header.Anonymous, err)
			}
			record, err := luascripts.DecodeRecord(value)
			return fmt.Sprintf("%q %q %d %v %v %v", record.User, record.Info, record.JoinedAt, record.Sealed, record.Exclusive, err)
		})
		read("users of "+r.name, k.RoomUsers(r.name), func(_, value string) string { return value })
		if r.revision == 0 {
			continue
		}
		keys = append(keys, k.Rooms(0), k.Room(r.name))
		want["registry"] += r.name + "\n"
		if len(r.state) == 0 {
			keys = append(keys, k.Empty(0))
			want["empty"] += r.name + "\n"
		}
		c := r.counts()
		fields := map[string]string{"": fmt.Sprint(c.Revision, c.Presences, c.Users, c.Anonymous, error(nil))}
		channels := make(map[string]int)
		for channel, m := range r.state {
			fields[channel] = fmt.Sprintf("%q %q %d false %v <nil>", m.user, m.info, m.joined.UnixMilli(), m.exclusive)
			channels[m.user]++
			if m.exclusive {
				claims[claim(r, m)] = channel
			}
		}
		tell(want, name, fields)
		delete(channels, "")
		if len(channels) > 0 {
			keys = append(keys, k.RoomUsers(r.name))
		}
		users := make(map[string]string)
		for u, n := range channels {
			users[u] = strconv.Itoa(n)
		}
		tell(want, "users of "+r.name, users)
	}
	tell(want, "claims", claims)
	read("claims", k.Exclusive(0), func(_, channel string) string { return channel })
	if len(claims) > 0 {
		keys = append(keys, k.Exclusive(0))
	}
	registry, err := h.client.SMembers(h.ctx, k.Rooms(0)).Result()
	slices.Sort(registry)
	got["registry"] = lines(registry)
	empty, err2 := h.client.ZRange(h.ctx, k.Empty(0), 0, -1).Result()
	slices.Sort(empty)
	got["empty"] = lines(empty)
	if err != nil || err2 != nil {
		h.rt.Fatal(err, err2)
	}
	for i, n := range h.nodes {
		id := n.Layer.NodeID()
		keys = append(keys, k.Node(0, id))
		index, seen := make(map[string]string), make(map[string]string)
		for _, c := range h.channels {
			if c.owner != i || c.seen.IsZero() {
				continue
			}
			for _, r := range h.in(c) {
				index[short(c)] += " " + r.name
			}
			seen[short(c)] = fmt.Sprint(c.seen.UnixMilli())
		}
		if len(seen) > 0 {
			keys = append(keys, k.Index(0, id), k.Presences(0, id))
		}
		tell(want, "index of "+id, index)
		tell(want, "presences of "+id, seen)
		read("index of "+id, k.Index(0, id), func(_, value string) string {
			var rooms []string
			for value != "" {
				end := 1 + int(value[0])
				rooms = append(rooms, " "+value[1:end])
				value = value[end:]
			}
			slices.Sort(rooms)
			return strings.Join(rooms, "")
		})
		scores, err := h.client.ZRangeWithScores(h.ctx, k.Presences(0, id), 0, -1).Result()
		if err != nil {
			h.rt.Fatal(err)
		}
		fields := make(map[string]string)
		for _, z := range scores {
			fields[z.Member.(string)] = fmt.Sprint(int64(z.Score))
		}
		tell(got, "presences of "+id, fields)
	}
	for _, what := range slices.Sorted(maps.Keys(got)) {
		if got[what] != want[what] {
			h.rt.Fatalf("Redis has as %s\n%swant\n%s", what, got[what], want[what])
		}
	}
	all, err := allKeys(h.ctx, h.client)
	slices.Sort(all)
	slices.Sort(keys)
	if keys = slices.Compact(keys); err != nil || !slices.Equal(all, keys) {
		h.rt.Fatalf("the keys are %q, %v; want %q", all, err, keys)
	}
}

func lines(all []string) string {
	var b strings.Builder
	for _, s := range all {
		b.WriteString(s + "\n")
	}
	return b.String()
}

// allKeys returns the names of all keys, on every master of a cluster.
func allKeys(ctx context.Context, client redis.UniversalClient) ([]string, error) {
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		return client.Keys(ctx, "*").Result()
	}
	var mu sync.Mutex
	var all []string
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		some, err := c.Keys(ctx, "*").Result()
		mu.Lock()
		defer mu.Unlock()
		all = append(all, some...)
		return err
	})
	return all, err
}
