package presence

import (
	"context"
	"iter"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/luascripts"
)

const (
	maxWhole = 2000 // presences read in one step: a fraction of a millisecond of Redis
	pageSize = 500
)

// All iterates over the presences of a room in pages, and so never holds Redis for
// long. The result is not the state at one moment: presences that come or go meanwhile
// may or may not be in it, and a channel may appear twice. Watch is exact for rooms of
// any size.
func (r *Reader) All(ctx context.Context, room string) iter.Seq2[Presence, error] {
	return func(yield func(Presence, error) bool) {
		if err := checkRoom(room); err != nil {
			yield(Presence{}, err)
			return
		}
		for f, err := range r.store.Fields(ctx, r.store.Room(room), pageSize) {
			if err != nil {
				yield(Presence{}, opError("all", room, "", r.failed(err)))
				return
			}
			if f.Name == "" {
				continue // the header
			}
			record, err := luascripts.DecodeRecord(f.Value)
			if err != nil {
				yield(Presence{}, opError("all", room, f.Name, err))
				return
			}
			if !yield(r.presenceOf(room, f.Name, record), nil) {
				return
			}
		}
	}
}

// header reads the header of a room, or the zero Header if there is none.
func (r *Reader) header(ctx context.Context, room string) (luascripts.Header, error) {
	if err := r.reachable(room); err != nil {
		return luascripts.Header{}, opError("read", room, "", err)
	}
	text, err := r.store.Client().HGet(ctx, r.store.Room(room), "").Result()
	if err == redis.Nil {
		return luascripts.Header{}, nil
	}
	if err != nil {
		return luascripts.Header{}, opError("read", room, "", r.failed(err))
	}
	return luascripts.DecodeHeader(text)
}

// pages reads a large room. The result is the state at the snapshot's revision, mixed
// with changes up to the revision end: applying the events in between gives the exact
// state at end.
func (r *Reader) pages(ctx context.Context, room string, head luascripts.Header) (s Snapshot, end Revision, err error) {
	found := make(map[string]Presence, head.Presences)
	for p, err := range r.All(ctx, room) {
		if err != nil {
			return Snapshot{}, 0, err
		}
		found[p.Channel] = p
	}
	last, err := r.Counts(ctx, room)
	if err != nil {
		return Snapshot{}, 0, err
	}
	s = Snapshot{Room: room, header: head, Counts: countsOf(head), Presences: make([]Presence, 0, len(found))}
	for _, p := range found {
		s.Presences = append(s.Presences, p)
	}
	s.Counts.Healing = last.Healing
	return s, last.Revision, nil
}
