package luascripts_test

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-go/rollcall/internal/hashslot"
	"github.com/rollcall-go/rollcall/luascripts"
)

// tags returns what stands between the braces of each shard's keys.
func tags(t *testing.T, shards int) []string {
	t.Helper()
	k, err := luascripts.NewKeys("p", shards)
	if err != nil {
		t.Fatal(err)
	}
	tags := make([]string, shards)
	for shard := range tags {
		tag, begins := strings.CutPrefix(k.Rooms(shard), "p:{")
		var ends bool
		tags[shard], _, ends = strings.Cut(tag, "}:")
		if !begins || !ends {
			t.Fatalf("key %q", k.Rooms(shard))
		}
	}
	return tags
}

// Tags are part of the schema: with others, nothing would be found again.
func TestTagsStayAsTheyAre(t *testing.T) {
	for shards, want := range map[int]string{
		1:  "0",
		2:  "0 o7m",
		8:  "0 at6 36 cgr o7m c2x 8jq 4od",
		16: "0 apv at6 7v 36 6ib cgr 20e o7m c68 c2x 8n1 8jq aat 4od e8s",
	} {
		if got := strings.Join(tags(t, shards), " "); got != want {
			t.Errorf("%d shards: %q", shards, got)
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(tags(t, 1024), " ")))
	if got := hex.EncodeToString(sum[:8]); got != "af4303c2c97ff4a8" {
		t.Errorf("1024 shards: %s", got)
	}
}

// The number of shards is recorded in shard 0, where every number finds it.
func TestShardZeroIsTheSameForEveryNumber(t *testing.T) {
	for shards := 1; shards <= luascripts.MaxShards; shards *= 2 {
		all := tags(t, shards)
		if all[0] != "0" || len(slices.MaxFunc(all, func(a, b string) int { return len(a) - len(b) })) > 4 {
			t.Errorf("%d shards: %q", shards, all)
		}
	}
}

// Masters that own equal ranges of slots, as redis-cli deals them out, have
// equally many shards, and so does one that takes a range of any place and size.
func TestShardsAreSpreadEvenly(t *testing.T) {
	for shards := 1; shards <= luascripts.MaxShards; shards *= 2 {
		var at [hashslot.Count + 1]int // shards before a slot
		for _, tag := range tags(t, shards) {
			at[hashslot.Of(tag)+1]++
		}
		for slot := range hashslot.Count {
			at[slot+1] += at[slot]
		}
		for _, masters := range []int{1, 2, 3, 4, 5, 7, 30, 100, 1000} {
			least, most := shards, 0
			for m := range masters {
				n := at[(m+1)*hashslot.Count/masters] - at[m*hashslot.Count/masters]
				least, most = min(least, n), max(most, n)
			}
			if masters <= 30 && (shards == 16 || shards == 64 || shards == 1024) {
				t.Logf("%4d shards on %2d masters: %d to %d on each", shards, masters, least, most)
			}
			if least < shards/masters || most > (shards+masters-1)/masters {
				t.Errorf("%d shards on %d masters: %d to %d on each", shards, masters, least, most)
			}
		}
	}
}
