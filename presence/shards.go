package presence

import (
	"slices"
	"sync"

	"github.com/rollcall-go/rollcall/luascripts"
)

// shardResult is the outcome for a channel's rooms in one shard: results for the first
// of them, and the error that left the rest without any.
type shardResult struct {
	done []luascripts.Result
	err  error
}

// inShards calls do for the rooms of each shard, at most maxOps at a time. Shards do
// not wait for each other.
func (t *Tracker) inShards(
	byShard map[int][]string, do func(shard int, rooms []string) ([]luascripts.Result, error),
) map[int]shardResult {
	one := func(shard int, rooms []string) shardResult {
		var r shardResult
		for chunk := range slices.Chunk(rooms, maxOps) {
			results, err := do(shard, chunk)
			if err != nil {
				r.err = err
				break
			}
			r.done = append(r.done, results...)
		}
		return r
	}
	results := make(map[int]shardResult, len(byShard))
	var mu sync.Mutex
	var work sync.WaitGroup
	for shard, rooms := range byShard {
		if len(byShard) == 1 {
			results[shard] = one(shard, rooms)
			break
		}
		work.Go(func() {
			r := one(shard, rooms)
			mu.Lock()
			defer mu.Unlock()
			results[shard] = r
		})
	}
	work.Wait()
	return results
}
