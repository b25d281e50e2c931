package prune

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/luascripts"
)

// keys walks all keys under the prefix.
func (w *walk) keys() error {
	masters, err := w.store.Masters(w.ctx)
	if err != nil {
		return err
	}
	var failed error
	for _, master := range masters {
		err := w.scan(func(cursor uint64) ([]string, uint64, error) {
			return master.Scan(w.ctx, cursor, w.store.KeyPattern(), step).Result()
		}, w.page)
		if errors.Is(err, errStop) {
			return err
		}
		failed = cmp.Or(failed, err)
	}
	return failed
}

// part is a page's keys of one shard, by kind.
type part struct{ rooms, users, seen, nodes []string }

// page checks some keys, shard by shard: one that is away hides no other.
func (w *walk) page(names []string) error {
	var unknown []string
	byShard := make(map[int][]string)
	for _, name := range names {
		if key, ok := w.parse(name); ok {
			byShard[key.Shard] = append(byShard[key.Shard], name)
		} else {
			unknown = append(unknown, name)
		}
	}
	for shard, names := range byShard {
		if err := w.blame(shard, w.pageOf(shard, names)); err != nil {
			return err
		}
	}
	return w.unknown(unknown)
}

// unknown tells of keys that are none of rollcall's.
func (w *walk) unknown(names []string) error {
	types, err := w.typesOf(names)
	if err != nil {
		return err
	}
	for i, name := range names {
		if types[i] == "none" {
			continue // it was deleted since
		}
		if err := w.found(Problem{Kind: UnknownKey, Key: name, What: "a " + types[i]}); err != nil {
			return err
		}
	}
	return nil
}

// pageOf looks at some keys of a shard.
func (w *walk) pageOf(shard int, names []string) error {
	types, err := w.typesOf(names)
	if err != nil {
		return err
	}
	var p part
	for i, name := range names {
		key, _ := w.parse(name)
		switch {
		case types[i] == "none": // it was deleted since
		case types[i] != key.Type:
			if err := w.found(wrongType(name, key, types[i])); err != nil {
				return err
			}
		case !w.spoilt[shard]:
			p.add(key)
		}
	}
	for _, step := range []func() error{
		func() error { return w.audit(shard, p.rooms) },
		func() error { return w.strayUsers(shard, p.users) },
		func() error { return w.lastSeen(shard, p.seen) },
		func() error { return w.unlisted(shard, p.nodes) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (p *part) add(key luascripts.Key) {
	switch key.Kind {
	case "room":
		p.rooms = append(p.rooms, key.Name)
	case "users":
		p.users = append(p.users, key.Name)
	case "seen":
		p.seen = append(p.seen, key.Name)
	case "node", "presences", "index":
		p.nodes = append(p.nodes, key.Name)
	}
}

func (w *walk) strayUsers(shard int, rooms []string) error {
	if len(rooms) == 0 {
		return nil
	}
	stray, err := w.store.StrayUsers(w.ctx, rooms)
	if err != nil {
		return err
	}
	for _, room := range stray {
		if err := w.found(Problem{Kind: UsersStray, Shard: shard, Room: room}); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) lastSeen(shard int, rooms []string) error {
	if len(rooms) == 0 {
		return nil
	}
	pipe := w.store.Client().Pipeline()
	ends := make([]*redis.DurationCmd, len(rooms))
	for i, room := range rooms {
		ends[i] = pipe.PTTL(w.ctx, w.store.RoomSeen(room))
	}
	if _, err := pipe.Exec(w.ctx); err != nil {
		return err
	}
	const never = -1
	for i, room := range rooms {
		if ends[i].Val() != never {
			continue
		}
		if err := w.found(Problem{Kind: SeenForever, Shard: shard, Room: room}); err != nil {
			return err
		}
	}
	return nil
}

// unlisted looks for nodes that no sweep would reach.
func (w *walk) unlisted(shard int, nodes []string) error {
	slices.Sort(nodes)
	var places []luascripts.Place
	for _, node := range slices.Compact(nodes) {
		places = append(places, luascripts.Place{Node: node})
	}
	return w.look(shard, places, func(st luascripts.Standing) error {
		if st.Listed || !st.Known {
			return nil
		}
		return w.found(Problem{Kind: NodeUnlisted, Shard: shard, Node: st.Node})
	})
}

// audit checks rooms, and each of their records.
func (w *walk) audit(shard int, rooms []string) error {
	var places []luascripts.Place
	for a, err := range w.store.AuditRooms(w.ctx, shard, rooms) {
		if err != nil {
			return err
		}
		for _, p := range problemsOf(a) {
			p.Shard, p.Room = shard, a.Room
			if err := w.found(p); err != nil {
				return err
			}
		}
		for _, channel := range a.Channels {
			if place, ok := luascripts.PlaceOf(a.Room, channel); ok {
				places = append(places, place)
			}
		}
		if len(places) < step {
			continue // small rooms share a step
		}
		if err := w.records(shard, places); err != nil {
			return err
		}
		places = nil
	}
	return w.records(shard, places)
}

// records looks at the records of some places.
func (w *walk) records(shard int, places []luascripts.Place) error {
	var claims []luascripts.Claim
	err := w.look(shard, places, func(st luascripts.Standing) error {
		if claim, ok := luascripts.ClaimOf(st.Room, st.Channel(), st.Record); ok {
			claims = append(claims, claim)
		}
		return w.judgeRecord(shard, st)
	})
	if err != nil {
		return err
	}
	return w.unclaimed(shard, claims)
}

// problemsOf returns the problems of a room as a whole.
func problemsOf(a luascripts.Audit) []Problem {
	if !a.Exists {
		return nil
	}
	var problems []Problem
	tell := func(kind Kind, format string, args ...any) {
		problems = append(problems, Problem{Kind: kind, What: fmt.Sprintf(format, args...)})
	}
	for _, field := range a.Junk {
		problems = append(problems, Problem{Kind: RecordUnreadable, Channel: field})
	}
	if !a.Sound {
		tell(HeaderUnreadable, "there is none, or it is no header")
	} else if !a.CountsAgree() {
		h := a.Header
		tell(CountsDiffer, "%d presences, %d users, %d anonymous are counted, and %d, %d, %d are there",
			h.Presences, h.Users, h.Anonymous, a.Presences+len(a.Junk), a.Users, a.Anonymous)
	}
	if n := len(a.Miscounted); n > 0 {
		user := slices.Min(slices.Collect(maps.Keys(a.Miscounted)))
		tell(UsersDiffer, "%d are miscounted; %q has %d channels", n, user, a.Miscounted[user])
	}
	if !a.Registered {
		tell(RoomUnregistered, "")
	}
	occupied := a.Presences+len(a.Junk) > 0
	if occupied && a.Empty {
		tell(EmptyWrong, "%d presences are there", a.Presences+len(a.Junk))
	}
	if !occupied && !a.Empty {
		tell(EmptyUnlisted, "")
	}
	return problems
}

// judgeRecord compares a record with what its node has.
func (w *walk) judgeRecord(shard int, st luascripts.Standing) error {
	_, whole := luascripts.IndexEntry(st.Entry)
	whole = whole || st.Entry == ""
	switch {
	case st.Record == "":
		return nil // it has left
	case luascripts.InGrace(st.Record):
		if st.Indexed() {
			if err := w.found(place(GraceIndexed, shard, st, "")); err != nil {
				return err
			}
		}
		if !st.Graced {
			return w.found(place(GraceUnlisted, shard, st, ""))
		}
	case !st.Listed && !st.Known:
		return w.found(place(NodeUnknown, shard, st, ""))
	case st.Listed && whole && !st.Indexed():
		return w.found(place(NotIndexed, shard, st, ""))
	}
	return nil
}
