package luascripts

import (
	"strconv"

	"github.com/rollcall-go/rollcall/internal/hashslot"
)

// firstTag is the hash tag of shard 0, whatever the number of shards: the number is
// recorded there, where a node configured with another number looks.
const firstTag = "0"

// hashTags returns the hash tag of each shard. They are part of the schema.
//
// The slots of the shards are evenly spaced, so that masters with equal ranges of slots
// have equally many shards, give or take one. The tag for a slot is the first of 0, 1,
// ... z, 10, 11, ... that hashes to it.
func hashTags(shards int) []string {
	first := hashslot.Of(firstTag)
	shardAt := make(map[int]int, shards)
	for shard := range shards {
		shardAt[(first+shard*(hashslot.Count/shards))%hashslot.Count] = shard
	}
	tags := make([]string, shards)
	for n := int64(0); len(shardAt) > 0; n++ {
		tag := strconv.FormatInt(n, 36)
		slot := hashslot.Of(tag)
		if shard, ok := shardAt[slot]; ok {
			tags[shard] = tag
			delete(shardAt, slot)
		}
	}
	return tags
}
