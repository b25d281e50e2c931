package luascripts_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-go/rollcall/internal/hashslot"
	"github.com/rollcall-go/rollcall/luascripts"
)

func TestNewKeys(t *testing.T) {
	for _, tt := range []struct {
		prefix string
		shards int
		ok     bool
	}{
		{"rollcall", 1, true}, {"a:b c*", 16, true}, {"x", 1024, true},
		{"", 1, false}, {"a{b", 1, false}, {"a}b", 1, false}, {"{a}", 1, false},
		{"x", 0, false}, {"x", -1, false}, {"x", -2, false}, {"x", 3, false}, {"x", 12, false}, {"x", 2048, false},
	} {
		keys, err := luascripts.NewKeys(tt.prefix, tt.shards)
		if (err == nil) != tt.ok {
			t.Errorf("%q, %d: %v", tt.prefix, tt.shards, err)
		}
		if err == nil && keys.Shards() != tt.shards {
			t.Errorf("%d shards, want %d", keys.Shards(), tt.shards)
		}
	}
}

func all(k luascripts.Keys, name string) []string {
	shard := k.Shard(name)
	return []string{
		k.Room(name), k.RoomUsers(name), k.Inbox(name), k.Rooms(shard), k.Empty(shard), k.Nodes(shard), k.Meta(shard), k.Sweep(shard),
		k.Node(shard, name), k.Presences(shard, name), k.Index(shard, name), k.Pulse(shard, name),
	}
}

// Keys are part of the schema: data of an earlier release is read by these.
func TestKeysStayAsTheyAre(t *testing.T) {
	k, err := luascripts.NewKeys("p", 8)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"p:{cgr}:room:lobby", "p:{cgr}:users:lobby", "p:{cgr}:inbox:lobby", "p:{cgr}:rooms", "p:{cgr}:empty", "p:{cgr}:nodes", "p:{cgr}:meta", "p:{cgr}:sweep",
		"p:{cgr}:node:lobby", "p:{cgr}:presences:lobby", "p:{cgr}:index:lobby", "p:{cgr}:pulse:lobby",
	}
	if got := all(k, "lobby"); !slices.Equal(got, want) {
		t.Fatalf("%q", got)
	}
}

// Braces in a name must not lead its keys out of the shard.
func TestKeysOfAShardShareASlot(t *testing.T) {
	k, err := luascripts.NewKeys("p", 8)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]string)
	for _, name := range hostile {
		shard := k.Shard(name)
		for i, key := range all(k, name) {
			if got, want := hashslot.Of(key), hashslot.Of(k.Meta(shard)); got != want {
				t.Errorf("%q: slot %d, the shard's is %d", key, got, want)
			}
			what := fmt.Sprintf("%d of %q", i, name)
			if i >= 3 && i <= 7 {
				what = fmt.Sprintf("%d of shard %d", i, shard)
			}
			if other, ok := seen[key]; ok && other != what {
				t.Errorf("%q is %s and %s", key, what, other)
			}
			seen[key] = what
		}
	}
}

func TestShardsAreAllUsed(t *testing.T) {
	for _, shards := range []int{1, 2, 64} {
		k, err := luascripts.NewKeys("p", shards)
		if err != nil {
			t.Fatal(err)
		}
		rooms := make([]int, shards)
		for i := range 100 * shards {
			rooms[k.Shard(fmt.Sprint("room ", i))]++
		}
		if least := slices.Min(rooms); least < 50 {
			t.Errorf("%d shards: one has %d of 100 expected", shards, least)
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range append([]string{"a"}, hostile...) {
		if err := luascripts.CheckName("room", name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, tt := range []struct{ name, reason string }{
		{"", "empty"},
		{longest + "d", "256 bytes, more than 255"},
		{strings.Repeat("x", 1<<20), "1048576 bytes, more than 255"},
		{"\xff", "not valid UTF-8"},
		{"a\xc3", "not valid UTF-8"},
		{"\xed\xa0\x80", "not valid UTF-8"},
	} {
		err := luascripts.CheckName("room", tt.name)
		var invalid *luascripts.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != "room" || invalid.Reason != tt.reason {
			t.Errorf("%.40q: %v", tt.name, err)
			continue
		}
		if len(invalid.Value) > 40 || !strings.HasPrefix(tt.name, invalid.Value) || !strings.Contains(err.Error(), "invalid room") {
			t.Errorf("%.40q: %+v", tt.name, invalid)
		}
	}
}
