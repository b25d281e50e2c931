package presence

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/seal"
	"github.com/rollcall-go/rollcall/luascripts"
)

// Reader asks Redis who is where. It opens no subscriber connection. It is safe for
// concurrent use and needs no closing.
type Reader struct {
	store  *luascripts.Store
	sealer *seal.Sealer
	down   func(shard int) error // why a shard need not be asked; nil if that is never known
}

// reachable returns an error at once if a room's shard is known to be away.
func (r *Reader) reachable(room string) error {
	if r.down == nil {
		return nil
	}
	return r.down(r.store.Shard(room))
}

// ReaderOptions match those of the layers whose data a Reader reads. The zero value of
// each field is its default.
type ReaderOptions struct {
	// Prefix begins every key in Redis. Defaults to groups.DefaultPrefix.
	Prefix string

	// Shards is the number of parts of the data. Defaults to the number recorded in
	// Redis, or if there is none yet, to the default of a groups.Layer.
	Shards int

	// Keys open the infos of presences, as groups.Options.Keys do. Without a need for
	// infos there is no need for keys: see Presence.Unopened. Defaults to none.
	Keys [][]byte
}

// NewReader returns a Reader. It refuses a server that rollcall cannot use, and data of
// another version or with another number of shards. nil options mean defaults. In a
// cluster, some shards may be away, as for groups.New.
func NewReader(ctx context.Context, client redis.UniversalClient, opts *ReaderOptions) (*Reader, error) {
	var o ReaderOptions
	if opts != nil {
		o = *opts
	}
	shards := cmp.Or(o.Shards, luascripts.DefaultShards(client))
	names, err := luascripts.NewKeys(cmp.Or(o.Prefix, groups.DefaultPrefix), shards)
	if err != nil {
		return nil, err
	}
	sealer, err := seal.New(o.Keys)
	if err != nil {
		return nil, err
	}
	store, err := luascripts.Open(ctx, client, names)
	if err != nil {
		return nil, unavailable(err)
	}
	if o.Shards == 0 {
		err = store.Adopt(ctx)
	}
	if err == nil {
		_, err = store.Survey(ctx, nil)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	return &Reader{store: store, sealer: sealer}, nil
}

// failed marks an error of Redis. It also has a cluster client look up again which
// server holds what, as nodes do when their leases cannot be signed.
func (r *Reader) failed(err error) error {
	r.store.Reconsider(err)
	return unavailable(err)
}

// Store returns the state in Redis that the Reader reads, for rollcall's own packages.
func (r *Reader) Store() *luascripts.Store { return r.store }

// Users returns the distinct users of a room, or their keys, sorted.
func (r *Reader) Users(ctx context.Context, room string) ([]string, error) {
	if err := checkRoom(room); err != nil {
		return nil, err
	}
	if err := r.reachable(room); err != nil {
		return nil, opError("users", room, "", err)
	}
	users, err := r.store.Client().HKeys(ctx, r.store.RoomUsers(room)).Result()
	if err != nil {
		return nil, opError("users", room, "", r.failed(err))
	}
	slices.Sort(users)
	return users, nil
}

// AnonymousCount returns how many channels of a room have no user.
func (r *Reader) AnonymousCount(ctx context.Context, room string) (int, error) {
	c, err := r.Counts(ctx, room)
	return c.Anonymous, err
}

// Counts returns the counts of a room, in constant time.
func (r *Reader) Counts(ctx context.Context, room string) (Counts, error) {
	counts, errs := r.countsOf(ctx, []string{room})
	if errs[0] != nil {
		return Counts{}, errs[0]
	}
	return counts[0], nil
}

// CountsOf returns the counts of several rooms in one round trip, in the order of the
// rooms. They are zero for an unknown room. They are also zero for rooms of shards that
// are away, and there is a *PartialError.
func (r *Reader) CountsOf(ctx context.Context, rooms ...string) ([]Counts, error) {
	counts, errs := r.countsOf(ctx, rooms)
	away := make(luascripts.Away)
	for i, err := range errs {
		switch {
		case err == nil:
		case errors.Is(err, ErrUnavailable):
			away[r.store.Shard(rooms[i])] = errors.Unwrap(err)
		default:
			return nil, err
		}
	}
	return counts, opError("counts", "", "", away.Err())
}

// countsOf is CountsOf with one error for each room.
func (r *Reader) countsOf(ctx context.Context, rooms []string) ([]Counts, []error) {
	errs := make([]error, len(rooms))
	counts := make([]Counts, len(rooms))
	pipe := r.store.Client().Pipeline()
	headers := make([]*redis.StringCmd, len(rooms))
	healing := make(map[int]*redis.BoolCmd, 1)
	for i, room := range rooms {
		if errs[i] = checkRoom(room); errs[i] != nil {
			return nil, errs
		}
		if err := r.reachable(room); err != nil {
			errs[i] = opError("counts", room, "", err)
			continue
		}
		headers[i] = pipe.HGet(ctx, r.store.Room(room), "")
		if shard := r.store.Shard(room); healing[shard] == nil {
			healing[shard] = pipe.HExists(ctx, r.store.Meta(shard), luascripts.Healing)
		}
	}
	if len(rooms) == 0 {
		return nil, nil
	}
	_, _ = pipe.Exec(ctx) // each reply has its own error
	for i, cmd := range headers {
		if cmd == nil {
			continue
		}
		counts[i].Healing = healing[r.store.Shard(rooms[i])].Val()
		if cmd.Err() == redis.Nil {
			continue
		}
		if cmd.Err() != nil {
			errs[i] = opError("counts", rooms[i], "", r.failed(cmd.Err()))
			continue
		}
		h, err := luascripts.DecodeHeader(cmd.Val())
		errs[i] = opError("counts", rooms[i], "", err)
		counts[i].set(h)
	}
	return counts, errs
}

// Rooms iterates over the names of the rooms, in no particular order, including empty
// ones that are not yet pruned. A name may appear twice if rooms come and go. If shards
// are away, a *PartialError comes last, after the rooms of all other shards.
func (r *Reader) Rooms(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		away, err := r.store.Survey(ctx, r.down)
		for shard := range r.store.Shards() {
			if err != nil || away[shard] != nil {
				continue
			}
			it := r.store.Client().SScan(ctx, r.store.Rooms(shard), 0, "", 1000).Iterator()
			for it.Next(ctx) {
				if !yield(it.Val(), nil) {
					return
				}
			}
			if err := it.Err(); err != nil {
				away[shard] = err
			}
		}
		if err = cmp.Or(err, away.Err()); err != nil {
			yield("", opError("rooms", "", "", r.failed(err)))
		}
	}
}

func checkRoom(name string) error { return luascripts.CheckName("room", name) }
