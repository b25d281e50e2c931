package luascripts

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Healing is the field of Meta that is there while not all nodes may have added
// again what they hold, after data was lost.
const Healing = "healing"

// Check returns ErrMismatch where the data in Redis was written by another
// version or with another number of shards, for those that do not Register.
// Where nothing was written yet, anything fits.
func (s *Store) Check(ctx context.Context) error {
	for shard := range s.Shards() {
		meta, err := s.client.HMGet(ctx, s.Meta(shard), "schema", "shards", "remember").Result()
		if err != nil {
			return err
		}
		if schema, ok := meta[0].(string); ok && schema != strconv.Itoa(SchemaVersion) {
			return schemaMismatch(schema)
		}
		if shards, ok := meta[1].(string); ok && shards != strconv.Itoa(s.Shards()) {
			return s.shardsMismatch(shards)
		}
		s.remember.Store(milliseconds(meta[2]).Milliseconds())
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
