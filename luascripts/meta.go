package luascripts

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Healing is the field of Meta that is there while not all nodes may have added
// again what they hold, after data was lost.
const Healing = "healing"

// DefaultShards is the number of shards where none is given or recorded: 16 on a
// cluster, else 1, with which a leave-all is one step.
func DefaultShards(client redis.UniversalClient) int {
	if _, ok := client.(*redis.ClusterClient); ok {
		return 16
	}
	return 1
}

// Adopt gives the Store the number of shards that is recorded in Redis, if there
// is any. It must not be in use yet.
func (s *Store) Adopt(ctx context.Context) error {
	text, err := s.client.HGet(ctx, s.Meta(0), "shards").Result() // the same key for every number
	switch {
	case errors.Is(err, redis.Nil):
		return nil
	case err != nil:
		return err
	}
	shards, _ := strconv.Atoi(text)
	keys, err := NewKeys(s.prefix, shards)
	if err != nil {
		return fmt.Errorf("%w: %q is recorded: %w", ErrMismatch, text, err)
	}
	s.Keys = keys
	return nil
}

// Claim records the schema and the number of shards, for those that do not
// Register, where nothing is recorded; else it is Check.
func (s *Store) Claim(ctx context.Context) error {
	recorded, err := s.client.Exists(ctx, s.Meta(0)).Result()
	if err != nil {
		return err
	}
	if recorded == 0 {
		pipe := s.client.Pipeline()
		pipe.HSetNX(ctx, s.Meta(0), "schema", SchemaVersion)
		pipe.HSetNX(ctx, s.Meta(0), "shards", s.Shards())
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
	}
	return s.Check(ctx)
}

// Check returns ErrMismatch where the data in Redis was written by another
// version or with another number of shards. Where nothing was written yet,
// anything fits. It looks at all shards unless some are given. Of those that do not
// answer it returns the first error, after all others were looked at.
func (s *Store) Check(ctx context.Context, shards ...int) error {
	if len(shards) == 0 {
		for shard := range s.Shards() {
			shards = append(shards, shard)
		}
	}
	pipe := s.client.Pipeline()
	metas := make([]*redis.SliceCmd, len(shards))
	for i, shard := range shards {
		metas[i] = pipe.HMGet(ctx, s.Meta(shard), "schema", "shards", "remember")
	}
	_, failed := pipe.Exec(ctx) // each reply has its own error
	for _, meta := range metas {
		if meta.Err() != nil {
			continue
		}
		if schema, ok := meta.Val()[0].(string); ok && schema != strconv.Itoa(SchemaVersion) {
			return schemaMismatch(schema)
		}
		if shards, ok := meta.Val()[1].(string); ok && shards != strconv.Itoa(s.Shards()) {
			return s.shardsMismatch(shards)
		}
	}
	if metas[0].Err() == nil {
		s.remember.Store(milliseconds(metas[0].Val()[2]).Milliseconds())
	}
	return failed
}

// ErrInUse tells that there are nodes, or rooms, where there must be none.
var ErrInUse = errors.New("rollcall: the data is in use")

// Forget takes back the record of the number of shards, so that a fleet can start
// with another one. It returns ErrInUse while a node is registered or a room is
// there.
func (s *Store) Forget(ctx context.Context) error {
	if err := s.Check(ctx); err != nil {
		return err
	}
	// Shard 0 is the last: until then, a node with another number is refused.
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

// Remember is for how long users who went are remembered, 0 for not at all.
func (s *Store) Remember() time.Duration {
	return time.Duration(s.remember.Load()) * time.Millisecond
}

func schemaMismatch(found string) error {
	return fmt.Errorf("%w: this is schema %d, the data is schema %s", ErrMismatch, SchemaVersion, found)
}

func (s *Store) shardsMismatch(found string) error {
	return fmt.Errorf("%w: configured for %d shards, the data has %s", ErrMismatch, s.Shards(), found)
}
