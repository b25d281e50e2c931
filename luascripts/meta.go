package luascripts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Healing is the field of Meta that exists after data was lost, while some nodes may
// not have put back what they hold.
const Healing = "healing"

// DefaultShards returns the number of shards if none is given or recorded: 16 on a
// cluster, otherwise 1, with which a leave-all is one step.
func DefaultShards(client redis.UniversalClient) int {
	if _, ok := client.(*redis.ClusterClient); ok {
		return 16
	}
	return 1
}

// Adopt sets the Store to the number of shards recorded in Redis, if any. The Store
// must not be in use yet. If shard 0 is away, the others tell the number: the shards of
// a number are also shards of any greater one.
func (s *Store) Adopt(ctx context.Context) error {
	metas, away := s.metas(ctx, nil)
	for _, m := range metas {
		if m.shards == "" {
			continue
		}
		shards, _ := strconv.Atoi(m.shards)
		keys, err := NewKeys(s.prefix, shards)
		if err != nil {
			return fmt.Errorf("%w: %q is recorded: %w", ErrMismatch, m.shards, err)
		}
		s.Keys = keys
		return nil
	}
	return away.Err()
}

// Claim records the schema and the number of shards if nothing is recorded, for
// processes that do not Register, and does what Survey does.
func (s *Store) Claim(ctx context.Context) (Away, error) {
	metas, gone := s.metas(ctx, nil)
	if err := s.suit(metas); err != nil {
		return nil, err
	}
	if first := metas[0]; gone[0] == nil && first.schema+first.shards == "" {
		pipe := s.client.Pipeline()
		pipe.HSetNX(ctx, s.Meta(0), "schema", SchemaVersion)
		pipe.HSetNX(ctx, s.Meta(0), "shards", s.Shards())
		reply := s.askMeta(ctx, pipe, 0) // another may have been first
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, err
		}
		metas[0] = metaOf(reply)
	}
	return s.found(metas, gone)
}

// Survey asks each shard by itself, except those for which known says why they are
// away; a nil known knows of none. It returns those that are away, and ErrMismatch if
// the data in Redis was written by another version or with another number of shards. If
// some are away and nothing is recorded in the others, there is nothing to go by, and
// it returns an error.
func (s *Store) Survey(ctx context.Context, known func(shard int) error) (Away, error) {
	metas, gone := s.metas(ctx, known)
	return s.found(metas, gone)
}

// found judges what the shards have answered.
func (s *Store) found(metas []meta, gone Away) (Away, error) {
	if err := s.suit(metas); err != nil {
		return nil, err
	}
	recorded := func(m meta) bool { return m.shards != "" }
	if len(gone) > 0 && !slices.ContainsFunc(metas, recorded) {
		return nil, gone.Err()
	}
	return gone, nil
}

// HealsEverywhere reports whether data was lost a moment ago in all shards that answer. If
// it was in some only, the others know all nodes.
func (s *Store) HealsEverywhere(ctx context.Context, known func(shard int) error) bool {
	metas, away := s.metas(ctx, known)
	for shard, m := range metas {
		if away[shard] == nil && m.healing == "" {
			return false
		}
	}
	return len(away) < len(metas)
}

// meta is what is recorded in a shard; empty if that is nothing, or unknown.
type meta struct{ schema, shards, remember, healing string }

func (s *Store) askMeta(ctx context.Context, of redis.Cmdable, shard int) *redis.SliceCmd {
	return of.HMGet(ctx, s.Meta(shard), "schema", "shards", "remember", Healing)
}

func metaOf(reply *redis.SliceCmd) (m meta) {
	if reply.Err() == nil {
		for i, field := range []*string{&m.schema, &m.shards, &m.remember, &m.healing} {
			*field, _ = reply.Val()[i].(string)
		}
	}
	return m
}

// metas asks all shards at the same time.
func (s *Store) metas(ctx context.Context, known func(shard int) error) ([]meta, Away) {
	ctx, cancel := s.patient(ctx, metaIn)
	defer cancel()
	metas, away := make([]meta, s.Shards()), make(Away)
	var mu sync.Mutex
	var work sync.WaitGroup
	for shard := range metas {
		work.Go(func() {
			var err error
			if known != nil {
				err = known(shard)
			}
			if err == nil {
				reply := s.askMeta(ctx, s.client, shard)
				metas[shard], err = metaOf(reply), reply.Err()
				s.Reconsider(err)
			}
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				away[shard] = err
			}
		})
	}
	work.Wait()
	return metas, away
}

// suit returns ErrMismatch if something else is recorded. If nothing is, anything fits.
func (s *Store) suit(metas []meta) error {
	for _, m := range metas {
		if m.schema != "" && m.schema != strconv.Itoa(SchemaVersion) {
			return schemaMismatch(m.schema)
		}
		if m.shards != "" && m.shards != strconv.Itoa(s.Shards()) {
			return s.shardsMismatch(m.shards)
		}
	}
	for _, m := range metas {
		if m.remember != "" {
			s.learnRemember(m.remember)
			break
		}
	}
	return nil
}

// learnRemember takes the setting of the fleet. Where there is none it may be lost, and
// the Store keeps what it knows.
func (s *Store) learnRemember(ms string) {
	if ms != "" {
		s.remember.Store(milliseconds(ms).Milliseconds())
	}
}

// ErrInUse means that there are nodes or rooms where there must be none.
var ErrInUse = errors.New("rollcall: the data is in use")

// Forget deletes the recorded number of shards, so that a fleet can start with another
// one. It returns ErrInUse while a node is registered or a room exists.
func (s *Store) Forget(ctx context.Context) error {
	if away, err := s.Survey(ctx, nil); err != nil || len(away) > 0 {
		return cmp.Or(err, away.Err())
	}
	// Shard 0 comes last: until then, a node with another number is refused.
	for shard := s.Shards() - 1; shard >= 0; shard-- {
		keys := []string{s.Meta(shard), s.Nodes(shard), s.Rooms(shard), s.Sweep(shard)}
		left, err := s.run(ctx, s.scripts.forget, keys, nil).Int64Slice()
		if err != nil {
			return err
		}
		if len(left) != 2 || left[0]+left[1] > 0 {
			return fmt.Errorf("%w: nodes and rooms in shard %d: %d", ErrInUse, shard, left)
		}
	}
	return nil
}

// Remember returns how long users who went are remembered, 0 for not at all.
func (s *Store) Remember() time.Duration {
	return time.Duration(s.remember.Load()) * time.Millisecond
}

func schemaMismatch(found string) error {
	return fmt.Errorf("%w: this is schema %d, the data is schema %s", ErrMismatch, SchemaVersion, found)
}

func (s *Store) shardsMismatch(found string) error {
	return fmt.Errorf("%w: configured for %d shards, the data has %s", ErrMismatch, s.Shards(), found)
}
