package luascripts_test

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/luascripts"
)

// agree checks that all that Redis holds says the same: the records and the
// header of each room, its users, the registry of rooms and of empty ones, those
// in grace, the claims of those who are exclusive, and of each node the index and
// the presences: each record is in its node's index or in grace, and never in both.
// No other key may exist, but for one that will expire.
func (w *world) agree(nodes ...string) {
	w.t.Helper()
	var known []string
	for shard := range w.Shards() {
		known = append(known, w.Rooms(shard), w.Empty(shard), w.Grace(shard), w.Exclusive(shard), w.Nodes(shard), w.Meta(shard))
		records, graced, claims := w.rooms(shard, &known)
		w.graceAgrees(shard, graced)
		w.claimsAgree(shard, claims)
		for _, node := range nodes {
			w.indexAgrees(shard, node, records)
			known = append(known, w.Node(shard, node), w.Presences(shard, node), w.Index(shard, node))
		}
		for channel, rooms := range records {
			w.t.Errorf("%q in %q belongs to no node", channel, rooms)
		}
	}
	for _, key := range w.allKeys() {
		if slices.Contains(known, key) {
			continue
		}
		if ttl, err := w.c.PTTL(w.ctx, key).Result(); err != nil || ttl <= 0 {
			w.t.Errorf("left over: key %q, %v", key, err)
		}
	}
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// rooms checks those of a shard, and returns the rooms of each channel, and as the
// sorted set has them those in grace, and as the hash has them the claims.
func (w *world) rooms(shard int, known *[]string) (records map[string][]string, graced []string, claims map[string]string) {
	w.t.Helper()
	names, err := w.c.SMembers(w.ctx, w.Rooms(shard)).Result()
	w.must(err)
	slices.Sort(names)
	var empty []string
	records, claims = make(map[string][]string), make(map[string]string)
	for _, name := range names {
		*known = append(*known, w.Room(name), w.RoomUsers(name))
		fields, err := w.c.HGetAll(w.ctx, w.Room(name)).Result()
		w.must(err)
		header, err := luascripts.DecodeHeader(fields[""])
		w.must(err)
		delete(fields, "")

		users, anonymous := map[string]string{}, 0
		for channel, text := range fields {
			record, err := luascripts.DecodeRecord(text)
			w.must(err)
			if luascripts.InGrace(text) {
				graced = append(graced, string([]byte{byte(len(name))})+name+channel)
			} else {
				records[channel] = append(records[channel], name)
			}
			who := record.Identity()
			if record.Exclusive {
				claims[string([]byte{byte(len(name))})+name+who] = channel
			}
			if who == "" {
				anonymous++
				continue
			}
			n, _ := strconv.Atoi(users[who])
			users[who] = strconv.Itoa(n + 1)
		}
		if header.Presences != len(fields) || header.Users != len(users) || header.Anonymous != anonymous {
			w.t.Errorf("%q: header %+v, but %d presences, %d users, %d anonymous",
				name, header, len(fields), len(users), anonymous)
		}
		stored, err := w.c.HGetAll(w.ctx, w.RoomUsers(name)).Result()
		w.must(err)
		if !maps.Equal(stored, users) {
			w.t.Errorf("%q: users %q, want %q", name, stored, users)
		}
		if len(fields) == 0 {
			empty = append(empty, name)
		}
	}
	got, err := w.c.ZRange(w.ctx, w.Empty(shard), 0, -1).Result()
	w.must(err)
	slices.Sort(got)
	if !slices.Equal(got, empty) {
		w.t.Errorf("empty rooms %q, want %q", got, empty)
	}
	return records, graced, claims
}

func (w *world) claimsAgree(shard int, want map[string]string) {
	w.t.Helper()
	got, err := w.c.HGetAll(w.ctx, w.Exclusive(shard)).Result()
	w.must(err)
	if !maps.Equal(got, want) {
		w.t.Errorf("claims %q, want %q", got, want)
	}
}

func (w *world) graceAgrees(shard int, want []string) {
	w.t.Helper()
	got, err := w.c.ZRange(w.ctx, w.Grace(shard), 0, -1).Result()
	w.must(err)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Errorf("in grace %q, want %q", got, want)
	}
}

// indexAgrees takes the node's channels out of records.
func (w *world) indexAgrees(shard int, node string, records map[string][]string) {
	w.t.Helper()
	want := make(map[string][]string)
	for channel, rooms := range records {
		if short, ok := strings.CutPrefix(channel, node+"!"); ok {
			want[short] = rooms
			delete(records, channel)
		}
	}
	entries, err := w.c.HGetAll(w.ctx, w.Index(shard, node)).Result()
	w.must(err)
	got := make(map[string][]string)
	for short, entry := range entries {
		for entry != "" {
			end := 1 + int(entry[0])
			got[short] = append(got[short], entry[1:end])
			entry = entry[end:]
		}
		slices.Sort(got[short])
	}
	if !maps.EqualFunc(got, want, slices.Equal[[]string]) {
		w.t.Errorf("index of %q: %q, want %q", node, got, want)
	}
	seen, err := w.c.ZRange(w.ctx, w.Presences(shard, node), 0, -1).Result()
	w.must(err)
	slices.Sort(seen)
	if !slices.Equal(seen, slices.Sorted(maps.Keys(want))) {
		w.t.Errorf("presences of %q: %q, want %q", node, seen, slices.Sorted(maps.Keys(want)))
	}
}

func (w *world) allKeys() []string {
	w.t.Helper()
	cluster, ok := w.c.(*redis.ClusterClient)
	if !ok {
		keys, err := w.c.Keys(w.ctx, "*").Result()
		w.must(err)
		return keys
	}
	var mu sync.Mutex
	var all []string
	w.must(cluster.ForEachMaster(w.ctx, func(ctx context.Context, c *redis.Client) error {
		keys, err := c.Keys(ctx, "*").Result()
		mu.Lock()
		defer mu.Unlock()
		all = append(all, keys...)
		return err
	}))
	return all
}
