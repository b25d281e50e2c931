package luascripts_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// A world is one store, and one node that writes to it.
type world struct {
	*luascripts.Store
	server *redistest.Server
	t      *testing.T
	ctx    context.Context
	c      redis.UniversalClient
	node   string
	inc    []string // the node's incarnation in each shard
	epoch  string
	number []int64 // of its last batch there
	rarely bool    // the test itself calls agree

	remember time.Duration
}

func newWorld(t *testing.T, server *redistest.Server) *world {
	t.Helper()
	return newWorldOf(t, server, 1, "n1")
}

func newWorldOf(t *testing.T, server *redistest.Server, shards int, node string) *world {
	t.Helper()
	keys, err := luascripts.NewKeys("test", shards)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{server: server, t: t, ctx: t.Context(), c: server.NewClient(t), node: node}
	if w.Store, err = luascripts.Open(w.ctx, w.c, keys); err != nil {
		t.Fatal(err)
	}
	w.register()
	return w
}

// another is a second node of the same store.
func (w *world) another(node string) *world {
	w.t.Helper()
	o := &world{Store: w.Store, server: w.server, t: w.t, ctx: w.ctx, c: w.c, node: node}
	o.register()
	return o
}

func (w *world) registration() luascripts.Registration {
	return luascripts.Registration{Node: w.node, Token: "t", Lease: time.Minute, MaxAge: time.Minute, Remember: w.remember}
}

// register begins an incarnation in each shard.
func (w *world) register() {
	w.t.Helper()
	w.inc, w.number = nil, make([]int64, w.Shards())
	for shard := range w.Shards() {
		inc, err := w.Register(w.ctx, shard, w.registration(), w.epoch, false)
		w.must(err)
		w.inc = append(w.inc, inc.ID)
		w.epoch = inc.Epoch
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// batch has the next number; all its rooms must be in the shard of the first.
func (w *world) batch(ops ...luascripts.Op) luascripts.Batch {
	shard := w.Shard(ops[0].Room)
	w.number[shard]++
	return luascripts.Batch{Shard: shard, Node: w.node, Incarnation: w.inc[shard], Number: w.number[shard], Ops: ops}
}

// reach has the node's last batch be of that number.
func (w *world) reach(number int64) {
	w.t.Helper()
	for shard := range w.Shards() {
		w.must(w.c.HSet(w.ctx, w.Node(shard, w.node), "number", number).Err())
	}
	for shard := range w.number {
		w.number[shard] = number
	}
}

func (w *world) renew(incarnation string) error {
	_, _, err := w.Renew(w.ctx, 0, w.registration(), incarnation, w.number[0])
	return err
}

// write runs a batch, and unless w.rarely checks the whole store after it.
func (w *world) write(ops ...luascripts.Op) luascripts.Reply {
	w.t.Helper()
	reply, err := w.Write(w.ctx, w.batch(ops...))
	w.must(err)
	if !w.rarely {
		w.agree(w.node)
	}
	return reply
}

func add(room, short, user, info string) luascripts.Op {
	r := luascripts.Record{User: user, Info: []byte(info)}
	return luascripts.Op{Action: luascripts.Add, Room: room, Short: short, Record: r}
}

func update(room, short, info string) luascripts.Op {
	r := luascripts.Record{Info: []byte(info)}
	return luascripts.Op{Action: luascripts.Update, Room: room, Short: short, Record: r}
}

func remove(room, short string) luascripts.Op {
	return luascripts.Op{Action: luascripts.Remove, Room: room, Short: short, Reason: 'l'}
}

// drop is of a channel that its node does not know.
func drop(room, short string) luascripts.Op {
	return luascripts.Op{Action: luascripts.Drop, Room: room, Short: short, Reason: 'd'}
}

// grace is a departure after a time, because of a lost connection.
func grace(room, short string, d time.Duration) luascripts.Op {
	return luascripts.Op{Action: luascripts.Grace, Room: room, Short: short, Reason: 'd', Grace: d}
}

// keep is of a record with the given time of joining.
func keep(room, short string, joined int64, user, info string) luascripts.Op {
	r := luascripts.Record{JoinedAt: joined, User: user, Info: []byte(info)}
	return luascripts.Op{Action: luascripts.Keep, Room: room, Short: short, Stored: r.Encode()}
}

// keyed gives the record of an add or a keep a key.
func keyed(op luascripts.Op, key string) luascripts.Op {
	op.Record.Key = key
	if op.Action == luascripts.Keep {
		r, err := luascripts.DecodeRecord(op.Stored)
		if err != nil {
			panic(err)
		}
		r.Key = key
		op.Stored = r.Encode()
	}
	return op
}

func statuses(r luascripts.Reply) string {
	var b strings.Builder
	for _, result := range r.Results {
		b.WriteByte(byte(result.Status))
	}
	return b.String()
}

// tell writes events in a short form: "lobby +1=ann#key:hi >key 1/1/0", with the
// numbers of presences, users and anonymous at the end.
func (w *world) tell(events []luascripts.RoomEvent) []string {
	var lines []string
	for _, e := range events {
		words := []string{e.Room}
		for _, it := range e.Items {
			reason := ""
			if it.Kind == luascripts.Removed {
				reason = string(it.Reason) + ","
			}
			short := strings.TrimPrefix(it.Channel, w.node+"!")
			word := fmt.Sprintf("%c%s%s=%s", it.Kind, reason, short, it.Record.User)
			if it.Record.Key != "" {
				word += "#" + it.Record.Key
			}
			if it.Record.Info != nil {
				word += ":" + string(it.Record.Info)
			}
			words = append(words, word)
		}
		for _, user := range e.Went {
			words = append(words, "<"+user)
		}
		for _, user := range e.Came {
			words = append(words, ">"+user)
		}
		lines = append(lines, strings.Join(append(words, counts(e.Header)), " "))
	}
	return lines
}

func counts(h luascripts.Header) string {
	return fmt.Sprintf("%d/%d/%d", h.Presences, h.Users, h.Anonymous)
}

func (w *world) expect(events []luascripts.RoomEvent, want ...string) {
	w.t.Helper()
	if got := w.tell(events); !slices.Equal(got, want) {
		w.t.Fatalf("events\n %q\nwant\n %q", got, want)
	}
}

// header reads what Redis holds of a room.
func (w *world) header(room string) luascripts.Header {
	w.t.Helper()
	text, err := w.c.HGet(w.ctx, w.Room(room), "").Result()
	w.must(err)
	h, err := luascripts.DecodeHeader(text)
	w.must(err)
	return h
}

func (w *world) record(room, short string) luascripts.Record {
	w.t.Helper()
	text, err := w.c.HGet(w.ctx, w.Room(room), w.node+"!"+short).Result()
	w.must(err)
	r, err := luascripts.DecodeRecord(text)
	w.must(err)
	return r
}

// now is the server's time.
func (w *world) now() time.Time {
	w.t.Helper()
	now, err := w.c.Time(w.ctx).Result()
	w.must(err)
	return now
}

// seen makes a channel of the node look as if it had been seen some time ago.
func (w *world) seen(short string, ago time.Duration) {
	w.t.Helper()
	score := float64(w.now().Add(-ago).UnixMilli())
	for shard := range w.Shards() {
		w.must(w.c.ZAddXX(w.ctx, w.Presences(shard, w.node), redis.Z{Score: score, Member: short}).Err())
	}
}

// silence makes it look as if the last node had signed its lease some time ago.
func (w *world) silence(ago time.Duration) {
	w.t.Helper()
	at := fmt.Sprintf("%013d", w.now().Add(-ago).UnixMilli())
	for shard := range w.Shards() {
		w.must(w.c.HSet(w.ctx, w.Meta(shard), "leased", at).Err())
	}
}

// meta reads a field of meta, "" where there is none.
func (w *world) meta(field string) string {
	w.t.Helper()
	text, err := w.c.HGet(w.ctx, w.Meta(0), field).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		w.t.Fatal(err)
	}
	return text
}

// leased makes the lease of the node look as old as that.
func (w *world) leased(ago time.Duration) {
	w.t.Helper()
	score := float64(w.now().Add(-ago).UnixMilli())
	for shard := range w.Shards() {
		w.must(w.c.ZAdd(w.ctx, w.Nodes(shard), redis.Z{Score: score, Member: w.node}).Err())
	}
}

func survey(s *luascripts.Store) error {
	_, err := s.Survey(context.Background(), nil)
	return err
}
