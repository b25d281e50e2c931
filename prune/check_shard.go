package prune

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rollcall-go/rollcall/luascripts"
)

// types checks the keys that a shard has one of. Nothing else can be judged in a shard
// where one is of the wrong type.
func (w *walk) types(shard int) error {
	s := w.store
	names := []string{s.Rooms(shard), s.Empty(shard), s.Grace(shard), s.Exclusive(shard), s.Nodes(shard), s.Sweep(shard)}
	types, err := w.typesOf(names)
	if err != nil {
		return err
	}
	for i, name := range names {
		key, _ := w.parse(name)
		if types[i] == "none" || types[i] == key.Type {
			continue
		}
		w.spoilt[shard] = !w.mend
		if err := w.found(wrongType(name, key, types[i])); err != nil {
			return err
		}
	}
	return nil
}

func wrongType(name string, key luascripts.Key, is string) Problem {
	return Problem{
		Kind: WrongType, Shard: key.Shard, Key: name,
		What: fmt.Sprintf("it is a %s and must be a %s", is, key.Type),
	}
}

func (w *walk) typesOf(keys []string) ([]string, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	pipe := w.store.Client().Pipeline()
	cmds := make([]*redis.StatusCmd, len(keys))
	for i, key := range keys {
		cmds[i] = pipe.Type(w.ctx, key)
	}
	if _, err := pipe.Exec(w.ctx); err != nil {
		return nil, err
	}
	types := make([]string, len(keys))
	for i, cmd := range cmds {
		types[i] = cmd.Val()
	}
	return types, nil
}

// meta checks what every node relies on, if there is any data.
func (w *walk) meta(shard int) error {
	s, fields := w.store, []string{"schema", "shards", "epoch"}
	pipe := s.Client().TxPipeline()
	meta := pipe.HMGet(w.ctx, s.Meta(shard), fields...)
	data := pipe.Exists(w.ctx, s.Rooms(shard), s.Nodes(shard))
	if _, err := pipe.Exec(w.ctx); err != nil {
		return err
	}
	var lacking []string
	for i, value := range meta.Val() {
		if value == nil {
			lacking = append(lacking, fields[i])
		}
	}
	if len(lacking) == 0 || data.Val() == 0 {
		return nil
	}
	return w.found(Problem{
		Kind: MetaIncomplete, Shard: shard, Key: s.Meta(shard),
		What: "it lacks " + strings.Join(lacking, " and "),
	})
}

// rooms looks for names in the registry without a room.
func (w *walk) rooms(shard int) error {
	return w.scan(func(cursor uint64) ([]string, uint64, error) {
		return w.store.Client().SScan(w.ctx, w.store.Rooms(shard), cursor, "", step).Result()
	}, func(names []string) error { return w.unfounded(shard, names) })
}

// empties is rooms for the registry of rooms without presences.
func (w *walk) empties(shard int) error {
	return w.scan(func(cursor uint64) ([]string, uint64, error) {
		return w.scanSorted(w.store.Empty(shard), cursor)
	}, func(names []string) error { return w.unfounded(shard, names) })
}

func (w *walk) unfounded(shard int, names []string) error {
	rooms, empty, err := w.store.Unfounded(w.ctx, shard, names)
	if err != nil {
		return err
	}
	for _, room := range rooms {
		if err := w.found(Problem{Kind: RoomMissing, Shard: shard, Room: room}); err != nil {
			return err
		}
	}
	for _, room := range empty {
		if err := w.found(Problem{Kind: EmptyWrong, Shard: shard, Room: room, What: "there is no such room"}); err != nil {
			return err
		}
	}
	return nil
}

// graces looks for deadlines without a presence, and for those that passed long ago.
func (w *walk) graces(shard int) error {
	since, err := w.store.OverdueSince(w.ctx, shard, w.opts.Overdue)
	if err != nil {
		return err
	}
	return w.scan(func(cursor uint64) ([]string, uint64, error) {
		return w.scanSorted(w.store.Grace(shard), cursor)
	}, func(members []string) error {
		var places []luascripts.Place
		for _, member := range members {
			place, ok := luascripts.GraceMember(member)
			if ok {
				places = append(places, place)
				continue
			}
			err := w.found(Problem{
				Kind: GraceUnreadable, Shard: shard, Key: w.store.Grace(shard), Member: member,
				What: "no room and channel",
			})
			if err != nil {
				return err
			}
		}
		return w.look(shard, places, func(st luascripts.Standing) error {
			switch {
			case st.Graced && !luascripts.InGrace(st.Record):
				return w.found(place(GraceStray, shard, st, ""))
			case st.Graced && st.EndsAt.Before(since):
				return w.found(place(GraceOverdue, shard, st, "it ended at "+st.EndsAt.UTC().Format(time.DateTime)))
			}
			return nil
		})
	})
}

// place returns a problem of a channel in a room.
func place(kind Kind, shard int, st luascripts.Standing, what string) Problem {
	return Problem{Kind: kind, Shard: shard, Room: st.Room, Node: st.Node, Channel: st.Channel(), What: what}
}

// step is how much of a key is read at once.
const step = luascripts.MaxSweep

// scan calls each with the pages of a SCAN, in chunks of at most step, because Redis
// returns a small key all at once.
func (w *walk) scan(page func(cursor uint64) ([]string, uint64, error), each func([]string) error) error {
	for cursor := uint64(0); ; {
		items, next, err := page(cursor)
		if err != nil {
			return err
		}
		for some := range slices.Chunk(items, step) {
			if err := each(some); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// scanHash is scan for the fields of a hash.
func (w *walk) scanHash(key string, each func([]luascripts.Field) error) error {
	var some []luascripts.Field
	for f, err := range w.store.Fields(w.ctx, key, step) {
		if err != nil {
			return w.elsewhere(err)
		}
		if some = append(some, f); len(some) == step {
			if err := each(some); err != nil {
				return err
			}
			some = some[:0]
		}
	}
	return each(some)
}

// scanSorted is ZSCAN without the scores.
func (w *walk) scanSorted(key string, cursor uint64) ([]string, uint64, error) {
	page, next, err := w.store.Client().ZScan(w.ctx, key, cursor, "", step).Result()
	members := page[:0]
	for i := 0; i < len(page); i += 2 {
		members = append(members, page[i])
	}
	return members, next, err
}

// look judges the current state of places, a step at a time.
func (w *walk) look(shard int, places []luascripts.Place, judge func(luascripts.Standing) error) error {
	for some := range slices.Chunk(places, step) {
		standings, err := w.store.Look(w.ctx, shard, some)
		if err != nil {
			return err
		}
		for _, st := range standings {
			if err := judge(st); err != nil {
				return err
			}
		}
	}
	return nil
}
