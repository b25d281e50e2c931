package prune_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// shelf is data that no process holds: what a test breaks stays broken.
type shelf struct {
	*luascripts.Store
	t       *testing.T
	ctx     context.Context
	c       redis.UniversalClient
	checker *prune.Checker
	events  []luascripts.RoomEvent
	batches map[string]int64
	inc     map[string]string
}

// target is a shelf as a Checker has it.
type target struct{ shelf *shelf }

func (t target) Store() *luascripts.Store { return t.shelf.Store }

func (t target) Report(events []luascripts.RoomEvent) []presence.Change {
	t.shelf.events = append(t.shelf.events, events...)
	return nil
}

func newShelf(t *testing.T, s *redistest.Server, shards int) *shelf {
	t.Helper()
	f := &shelf{t: t, ctx: t.Context(), c: s.NewClient(t), batches: map[string]int64{}, inc: map[string]string{}}
	keys, err := luascripts.NewKeys("p", shards)
	f.must(err)
	f.Store, err = luascripts.Open(f.ctx, f.c, keys)
	f.must(err)
	f.checker, err = prune.NewChecker(target{f}, nil)
	f.must(err)
	prune.SetPatience(f.checker, 50*time.Millisecond) // nothing here becomes right by itself
	return f
}

func (f *shelf) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// node registers one in all shards.
func (f *shelf) node(id string) {
	f.t.Helper()
	for shard := range f.Shards() {
		r := luascripts.Registration{Node: id, Token: "t", Lease: time.Minute, MaxAge: time.Minute}
		inc, err := f.Register(f.ctx, shard, r, "", false)
		f.must(err)
		f.inc[fmt.Sprint(id, shard)] = inc.ID
	}
}

// write does one operation for a channel such as n1!1. Cleo alone is exclusive.
func (f *shelf) write(action luascripts.Action, room, channel, user string) {
	f.t.Helper()
	p, _ := luascripts.PlaceOf(room, channel)
	shard := f.Shard(room)
	who := fmt.Sprint(p.Node, shard)
	f.batches[who]++
	_, err := f.Write(f.ctx, luascripts.Batch{
		Shard: shard, Node: p.Node, Incarnation: f.inc[who], Number: f.batches[who],
		Ops: []luascripts.Op{{
			Action: action, Room: room, Short: p.Short, Reason: 'd', Grace: time.Minute,
			Record: luascripts.Record{User: user, Exclusive: user == "cleo"},
		}},
	})
	f.must(err)
}

// fill has two nodes hold what a healthy fleet does: rooms of several users and
// of one, an empty one, somebody in grace, and somebody exclusive.
func (f *shelf) fill() {
	f.t.Helper()
	f.must(f.Flush(f.ctx))
	clear(f.batches)
	f.events = nil
	f.node("n1")
	f.node("n2")
	f.write(luascripts.Add, "lobby", "n1!1", "ann")
	f.write(luascripts.Add, "lobby", "n1!2", "ann")
	f.write(luascripts.Add, "lobby", "n1!3", "")
	f.write(luascripts.Add, "lobby", "n2!1", "bob")
	f.write(luascripts.Add, "lobby", "n1!5", "gus")
	f.write(luascripts.Grace, "lobby", "n1!5", "")
	f.write(luascripts.Add, "den", "n1!1", "ann")
	f.write(luascripts.Add, "den", "n2!2", "cleo")
	f.write(luascripts.Add, "hall", "n1!1", "ann")
	f.write(luascripts.Remove, "hall", "n1!1", "")
}

func (f *shelf) now() time.Time {
	f.t.Helper()
	now, err := f.Now(f.ctx, 0)
	f.must(err)
	return now
}

func (f *shelf) do(args ...any) {
	f.t.Helper()
	f.must(f.c.Do(f.ctx, args...).Err())
}

func (f *shelf) header(room string) luascripts.Header {
	f.t.Helper()
	text, err := f.c.HGet(f.ctx, f.Room(room), "").Result()
	f.must(err)
	h, err := luascripts.DecodeHeader(text)
	f.must(err)
	return h
}

// recount puts other numbers into the header of a room.
func (f *shelf) recount(room string, presences, users, anonymous int) {
	f.t.Helper()
	h := f.header(room)
	f.do("HSET", f.Room(room), "", fmt.Sprint(h.Revision, " ", h.Birth, " ", presences, " ", users, " ", anonymous))
}

// addByHand puts a record of a channel into the lobby, which is counted right.
func (f *shelf) addByHand(channel string) {
	f.t.Helper()
	h := f.header("lobby")
	f.do("HSET", f.Room("lobby"), channel, luascripts.Record{JoinedAt: 1, User: "eve"}.Encode())
	f.do("HSET", f.RoomUsers("lobby"), "eve", 1)
	f.recount("lobby", h.Presences+1, h.Users+1, h.Anonymous)
}

func (f *shelf) check() []prune.Problem {
	f.t.Helper()
	var all []prune.Problem
	for p, err := range f.checker.Check(f.ctx) {
		f.must(err)
		all = append(all, p)
	}
	return all
}

func (f *shelf) repair() []prune.Problem {
	f.t.Helper()
	var all []prune.Problem
	for p, err := range f.checker.Repair(f.ctx) {
		f.must(err)
		all = append(all, p)
	}
	return all
}

// graceEnded has the grace in the lobby have ended a while ago.
func (f *shelf) graceEnded(ago time.Duration) {
	f.t.Helper()
	f.do("ZADD", f.Grace(f.Shard("lobby")), "XX", f.now().Add(-ago).UnixMilli(), lobby+"n1!5")
}

// damage is what can be broken, what the checker calls it, and where.
type damage struct {
	name                string
	do                  func(f *shelf)
	kind                prune.Kind
	room, node, channel string
	then                []prune.Kind // what its repair brings to light
	stays               bool         // it is not for the checker to mend
	users               string       // who is in the lobby then, if not all
}

const (
	lobby    = "\x05lobby"
	den      = "\x03den"
	everyone = "ann bob gus"
)

var damages = []damage{
	{name: "a key of no known kind", kind: prune.UnknownKey, stays: true,
		do: func(f *shelf) { f.do("SET", f.Rooms(f.Shard("lobby"))+"2", "x") }},
	{name: "a room that is no hash", kind: prune.WrongType,
		do: func(f *shelf) { f.do("SET", f.Room("attic"), "x") }},
	{name: "a registry that is no set", kind: prune.WrongType, then: []prune.Kind{prune.RoomUnregistered},
		do: func(f *shelf) {
			f.do("DEL", f.Rooms(f.Shard("lobby")))
			f.do("HSET", f.Rooms(f.Shard("lobby")), "x", "y")
		}},
	{name: "an index that is no hash", kind: prune.WrongType, users: "ann gus",
		do: func(f *shelf) {
			f.write(luascripts.Remove, "lobby", "n2!1", "")
			f.do("SET", f.Index(f.Shard("lobby"), "n2"), "x")
		}},
	{name: "meta without epoch", kind: prune.MetaIncomplete,
		do: func(f *shelf) { f.do("HDEL", f.Meta(f.Shard("lobby")), "epoch") }},
	{name: "no meta", kind: prune.MetaIncomplete,
		do: func(f *shelf) { f.do("DEL", f.Meta(f.Shard("lobby"))) }},

	{name: "header is junk", kind: prune.HeaderUnreadable, room: "lobby",
		do: func(f *shelf) { f.do("HSET", f.Room("lobby"), "", "junk") }},
	{name: "no header", kind: prune.HeaderUnreadable, room: "lobby",
		do: func(f *shelf) { f.do("HDEL", f.Room("lobby"), "") }},
	{name: "record is junk", kind: prune.RecordUnreadable, room: "lobby", channel: "n2!1", users: "ann gus",
		then: []prune.Kind{prune.IndexStray},
		do:   func(f *shelf) { f.do("HSET", f.Room("lobby"), "n2!1", "junk") }},
	{name: "record of no node", kind: prune.RecordUnreadable, room: "lobby", channel: "eve",
		do: func(f *shelf) { f.addByHand("eve") }},
	{name: "one presence too many", kind: prune.CountsDiffer, room: "lobby",
		do: func(f *shelf) { f.recount("lobby", 6, 3, 1) }},
	{name: "one user too few", kind: prune.CountsDiffer, room: "lobby",
		do: func(f *shelf) { f.recount("lobby", 5, 2, 1) }},
	{name: "no anonymous", kind: prune.CountsDiffer, room: "lobby",
		do: func(f *shelf) { f.recount("lobby", 5, 3, 0) }},
	{name: "a user with too many channels", kind: prune.UsersDiffer, room: "lobby",
		do: func(f *shelf) { f.do("HINCRBY", f.RoomUsers("lobby"), "ann", 1) }},
	{name: "a user who is not counted", kind: prune.UsersDiffer, room: "lobby",
		do: func(f *shelf) { f.do("HDEL", f.RoomUsers("lobby"), "gus") }},
	{name: "no users", kind: prune.UsersDiffer, room: "lobby",
		do: func(f *shelf) { f.do("DEL", f.RoomUsers("lobby")) }},
	{name: "a user who is not there", kind: prune.UsersDiffer, room: "lobby",
		do: func(f *shelf) { f.do("HSET", f.RoomUsers("lobby"), "eve", 1) }},
	{name: "a user without name", kind: prune.UsersDiffer, room: "lobby",
		do: func(f *shelf) { f.do("HSET", f.RoomUsers("lobby"), "", 1) }},
	{name: "room not in the registry", kind: prune.RoomUnregistered, room: "lobby",
		do: func(f *shelf) { f.do("SREM", f.Rooms(f.Shard("lobby")), "lobby") }},
	{name: "registry without room", kind: prune.RoomMissing, room: "attic",
		do: func(f *shelf) { f.do("SADD", f.Rooms(f.Shard("attic")), "attic") }},
	{name: "registry of another shard", kind: prune.RoomMissing, room: "lobby",
		do: func(f *shelf) { f.do("SADD", f.Rooms(f.Shard("lobby")^1), "lobby") }},
	{name: "empty room not listed", kind: prune.EmptyUnlisted, room: "hall",
		do: func(f *shelf) { f.do("ZREM", f.Empty(f.Shard("hall")), "hall") }},
	{name: "full room listed as empty", kind: prune.EmptyWrong, room: "lobby",
		do: func(f *shelf) { f.do("ZADD", f.Empty(f.Shard("lobby")), 1, "lobby") }},
	{name: "no room listed as empty", kind: prune.EmptyWrong, room: "attic",
		do: func(f *shelf) { f.do("ZADD", f.Empty(f.Shard("attic")), 1, "attic") }},
	{name: "users without room", kind: prune.UsersStray, room: "attic",
		do: func(f *shelf) { f.do("HSET", f.RoomUsers("attic"), "ann", 1) }},
	{name: "last seen for ever", kind: prune.SeenForever, room: "lobby",
		do: func(f *shelf) { f.do("ZADD", f.RoomSeen("lobby"), 1, "ann") }},

	{name: "index entry cut off", kind: prune.IndexUnreadable, node: "n2", channel: "n2!1",
		then: []prune.Kind{prune.NotIndexed},
		do:   func(f *shelf) { f.do("HSET", f.Index(f.Shard("lobby"), "n2"), "1", "\x05lob") }},
	{name: "index entry with a room twice", kind: prune.IndexUnreadable, node: "n2", channel: "n2!1",
		do: func(f *shelf) { f.do("HSET", f.Index(f.Shard("lobby"), "n2"), "1", lobby+lobby) }},
	{name: "empty index entry", kind: prune.IndexUnreadable, node: "n2", channel: "n2!1",
		then: []prune.Kind{prune.NotIndexed},
		do:   func(f *shelf) { f.do("HSET", f.Index(f.Shard("lobby"), "n2"), "1", "\x00") }},
	{name: "index of a room that the channel is not in", kind: prune.IndexStray, room: "attic", node: "n2", channel: "n2!1",
		do: func(f *shelf) { f.do("HSET", f.Index(f.Shard("lobby"), "n2"), "1", lobby+"\x05attic") }},
	{name: "index of a channel that is not there", kind: prune.IndexStray, room: "lobby", node: "n2", channel: "n2!9",
		do: func(f *shelf) {
			f.do("HSET", f.Index(f.Shard("lobby"), "n2"), "9", lobby)
			f.do("ZADD", f.Presences(f.Shard("lobby"), "n2"), f.now().UnixMilli(), "9")
		}},
	{name: "record without index", kind: prune.NotIndexed, room: "lobby", node: "n2", channel: "n2!1",
		do: func(f *shelf) {
			f.do("DEL", f.Index(f.Shard("lobby"), "n2"), f.Presences(f.Shard("lobby"), "n2"))
		}},
	{name: "index without last seen", kind: prune.NotSeen, node: "n1", channel: "n1!1",
		do: func(f *shelf) { f.do("ZREM", f.Presences(f.Shard("lobby"), "n1"), "1") }},
	{name: "last seen without index", kind: prune.SeenStray, node: "n1", channel: "n1!9",
		do: func(f *shelf) { f.do("ZADD", f.Presences(f.Shard("lobby"), "n1"), f.now().UnixMilli(), "9") }},
	{name: "grace of no channel", kind: prune.GraceUnreadable,
		do: func(f *shelf) { f.do("ZADD", f.Grace(f.Shard("lobby")), 1, lobby+"eve") }},
	{name: "grace without end", kind: prune.GraceUnlisted, room: "lobby", node: "n1", channel: "n1!5",
		do: func(f *shelf) { f.do("DEL", f.Grace(f.Shard("lobby"))) }},
	{name: "grace of somebody who is there", kind: prune.GraceStray, room: "lobby", node: "n1", channel: "n1!1",
		do: func(f *shelf) { f.do("ZADD", f.Grace(f.Shard("lobby")), 1, lobby+"n1!1") }},
	{name: "grace of nobody", kind: prune.GraceStray, room: "lobby", node: "n1", channel: "n1!9",
		do: func(f *shelf) { f.do("ZADD", f.Grace(f.Shard("lobby")), 1, lobby+"n1!9") }},
	{name: "grace that ended long ago", kind: prune.GraceOverdue, room: "lobby", node: "n1", channel: "n1!5", users: "ann bob",
		do: func(f *shelf) { f.graceEnded(16 * time.Second) }},
	{name: "grace with index", kind: prune.GraceIndexed, room: "lobby", node: "n1", channel: "n1!5",
		do: func(f *shelf) {
			f.do("HSET", f.Index(f.Shard("lobby"), "n1"), "5", lobby)
			f.do("ZADD", f.Presences(f.Shard("lobby"), "n1"), f.now().UnixMilli(), "5")
		}},

	{name: "claim of no room", kind: prune.ClaimUnreadable,
		do: func(f *shelf) { f.do("HSET", f.Exclusive(f.Shard("den")), "\x09den", "n1!1") }},
	{name: "claim of nobody", kind: prune.ClaimStray, room: "den", channel: "n1!9",
		do: func(f *shelf) { f.do("HSET", f.Exclusive(f.Shard("den")), den+"eve", "n1!9") }},
	{name: "claim of who is not exclusive", kind: prune.ClaimStray, room: "den", channel: "n1!1",
		do: func(f *shelf) { f.do("HSET", f.Exclusive(f.Shard("den")), den+"ann", "n1!1") }},
	{name: "claim of another user", kind: prune.ClaimStray, room: "den", channel: "n2!2",
		do: func(f *shelf) { f.do("HSET", f.Exclusive(f.Shard("den")), den+"ann", "n2!2") }},
	{name: "claim in another shard", kind: prune.ClaimStray, room: "den", channel: "n2!2",
		do: func(f *shelf) { f.do("HSET", f.Exclusive((f.Shard("den")+1)%f.Shards()), den+"cleo", "n2!2") }},
	{name: "exclusive without claim", kind: prune.Unclaimed, room: "den", channel: "n2!2",
		do: func(f *shelf) { f.do("DEL", f.Exclusive(f.Shard("den"))) }},
	{name: "two exclusive channels of a user", kind: prune.Unclaimed, room: "den", channel: "n2!2",
		then: []prune.Kind{prune.IndexStray},
		do: func(f *shelf) {
			f.do("DEL", f.Exclusive(f.Shard("den")))
			f.write(luascripts.Add, "den", "n1!7", "cleo")
		}},

	{name: "node not listed", kind: prune.NodeUnlisted, node: "n2",
		do: func(f *shelf) { f.do("ZREM", f.Nodes(f.Shard("lobby")), "n2") }},
	{name: "row of a node that is not listed", kind: prune.NodeUnlisted, node: "n9",
		do: func(f *shelf) { f.do("HSET", f.Node(0, "n9"), "lease", 1000) }},
	{name: "lease of long ago", kind: prune.NodeOverdue, node: "n2", users: "ann gus",
		do: func(f *shelf) {
			f.do("ZADD", f.Nodes(f.Shard("lobby")), f.now().Add(-76*time.Second).UnixMilli(), "n2")
		}},
	{name: "lease of long ago without row", kind: prune.NodeOverdue, node: "n2", users: "ann gus",
		do: func(f *shelf) {
			f.do("DEL", f.Node(f.Shard("lobby"), "n2"))
			f.do("ZADD", f.Nodes(f.Shard("lobby")), f.now().Add(-76*time.Second).UnixMilli(), "n2")
		}},
	{name: "record of an unknown node", kind: prune.NodeUnknown, room: "lobby", node: "n9", channel: "n9!1", users: everyone + " eve",
		do: func(f *shelf) { f.addByHand("n9!1") }},
}

func kinds(problems []prune.Problem) []prune.Kind {
	var all []prune.Kind
	for _, p := range problems {
		all = append(all, p.Kind)
	}
	return all
}

func TestEachDamageIsFoundOnceAndMended(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		f := newShelf(t, s, 4)
		for _, d := range damages {
			t.Run(d.name, func(t *testing.T) {
				f.t = t
				f.fill()
				if got := f.check(); len(got) > 0 {
					t.Fatalf("before: %v", got)
				}
				d.do(f)
				d.try(f)
			})
		}
	})
}

// What sweeps cannot have removed yet is no problem.
func TestNothingIsOverdueThatAHoldKeeps(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		f := newShelf(t, s, 4)
		for _, tt := range []struct {
			name    string
			ended   time.Duration // ago
			fields  map[string]time.Duration
			overdue bool
		}{
			{"within what a sweep has", 8 * time.Second, nil, false},
			{"longer ago", 16 * time.Second, nil, true},
			{"a hold ended since", time.Hour, map[string]time.Duration{"hold": 8 * time.Second}, false},
			{"a hold ended longer ago", time.Hour, map[string]time.Duration{"hold": 16 * time.Second}, true},
			{"a hold lasts", time.Hour, map[string]time.Duration{"hold": -time.Second}, false},
			{"no node signs", time.Hour, map[string]time.Duration{"leased": 50 * time.Second}, false},
			{"a hold was for that", time.Hour, map[string]time.Duration{"leased": 50 * time.Second, "held": 50 * time.Second}, true},
		} {
			t.Run(tt.name, func(t *testing.T) {
				f.t = t
				f.fill()
				f.graceEnded(tt.ended)
				now := f.now()
				for field, ago := range tt.fields {
					f.do("HSET", f.Meta(f.Shard("lobby")), field, now.Add(-ago).UnixMilli())
				}
				if got := f.check(); len(got) > 1 || (len(got) == 1 && got[0].Kind == prune.GraceOverdue) != tt.overdue {
					t.Errorf("found %v", got)
				}
			})
		}
	})
}

func (d damage) try(f *shelf) {
	t := f.t
	got := f.check()
	if len(got) != 1 {
		t.Fatalf("found %v, want %s", got, d.kind)
	}
	p := got[0]
	if p.Kind != d.kind || p.Room != d.room || p.Node != d.node || p.Channel != d.channel || p.Mended {
		t.Fatalf("found %+v, want %+v", p, d)
	}
	before := f.revision()
	mended := f.repair()
	if d.stays {
		if len(mended) != 1 || mended[0].Mended || mended[0].Why == nil || len(f.check()) != 1 {
			t.Fatalf("repair: %+v", mended)
		}
		return
	}
	if want := append([]prune.Kind{d.kind}, d.then...); !slices.Equal(slices.Compact(kinds(mended)), want) {
		t.Fatalf("repair: %v, want %v", mended, want)
	}
	for _, p := range mended {
		if !p.Mended {
			t.Errorf("left: %v: %v", p, p.Why)
		}
	}
	if left := f.check(); len(left) > 0 {
		t.Fatalf("left: %v", left)
	}
	if again := f.repair(); len(again) > 0 {
		t.Fatalf("again: %v", again)
	}
	users := d.users
	if users == "" {
		users = everyone
	}
	names, err := f.c.HKeys(f.ctx, f.RoomUsers("lobby")).Result()
	f.must(err)
	slices.Sort(names)
	if got := strings.Join(names, " "); got != strings.Join(sorted(users), " ") {
		t.Errorf("users are %q, want %q", got, users)
	}
	f.told(before)
}

func sorted(words string) []string {
	list := strings.Fields(words)
	slices.Sort(list)
	return list
}

func (f *shelf) revision() int64 {
	f.t.Helper()
	text, _, _ := strings.Cut(f.c.HGet(f.ctx, f.Room("lobby"), "").Val(), " ")
	n, _ := strconv.ParseInt(text, 10, 64) // 0 where the header is what is damaged
	return n
}

// told checks that a room which has another revision after a repair was reported,
// and only then.
func (f *shelf) told(before int64) {
	f.t.Helper()
	var last int64
	for _, e := range f.events {
		if e.Room == "lobby" {
			last = e.Revision
		}
	}
	if after := f.revision(); after != before && last != after || after == before && last != 0 {
		f.t.Errorf("revision was %d, is %d, and %d was reported", before, after, last)
	}
}
