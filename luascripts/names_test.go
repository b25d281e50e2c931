package luascripts_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
)

// 255 bytes: 63 of 4, and 3 more.
var longest = strings.Repeat("🙂", 63) + "abc"

var hostile = []string{
	"{}", "{", "}", "{a}", "}{a}", "{0}", "!", "a!b", "n1!1", ":", "room:lobby", "*", "?", "[a-z]", "\x00", "a\x00b",
	" ", "  two  ", "0 0 0 0 0", "\n", "a\nb", "1:a", "3:", "\r\n", "\x01C", "%s%d", "\\", "'", "\"", "nil", "0", "-1",
	"ÿ", "\u202e", longest,
}

// Names and infos are bytes like any others: what is written is what is read,
// and everything is found again to be removed. On a cluster a name with braces
// must not leave its shard.
func TestHostileNames(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorldOf(t, s, 4, "n1")
		w.rarely = true // on a cluster it takes long
		for _, name := range hostile {
			heard := w.listen(name)
			e := w.write(add(name, name, name, name)).Events
			heard(e)
			it := e[0].Items[0]
			if e[0].Room != name || it.Channel != "n1!"+name || it.Record.User != name ||
				string(it.Record.Info) != name || !slices.Equal(e[0].Came, []string{name}) {
				t.Fatalf("%q: %+v", name, e)
			}
			if got := statuses(w.write(update(name, name, name+name))); got != "~" {
				t.Fatalf("%q: update %q", name, got)
			}
			if got := w.record(name, name); got.User != name || string(got.Info) != name+name {
				t.Fatalf("%q: %+v", name, got)
			}
			missing, err := w.Touch(w.ctx, w.Shard(name), "n1", []string{name})
			if err != nil || len(missing) != 0 {
				t.Fatalf("%q: touch %q, %v", name, missing, err)
			}
		}
		w.agree("n1")
		for i, name := range hostile {
			if i%2 == 0 {
				e := w.write(remove(name, name)).Events
				if !slices.Equal(e[0].Went, []string{name}) {
					t.Fatalf("%q: %+v", name, e)
				}
				continue
			}
			w.seen(name, 2*time24)
			if e := w.pruneAll(w.Shard(name), "n1"); len(e) != 1 || e[0].Room != name || e[0].Presences != 0 {
				t.Fatalf("%q: %+v", name, e)
			}
		}
		w.agree("n1")
		for shard := range w.Shards() {
			rooms, err := w.EmptyRooms(w.ctx, shard)
			w.must(err)
			if len(rooms) == 0 {
				continue
			}
			gone, err := w.PruneRooms(w.ctx, shard, rooms)
			if err != nil || len(gone) != len(rooms) {
				t.Fatalf("%q of %q, %v", gone, rooms, err)
			}
		}
		w.agree("n1")
	})
}

func TestHostileNodes(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		for _, name := range []string{"{}", "}{a}", "a b", "\x00", "*", ":", "🙂"} {
			w := newWorldOf(t, s, 2, name)
			w.write(add("lobby", "1", "ann", ""))
			w.must(w.renew(w.inc[0]))
			w.write(remove("lobby", "1"))
			for shard := range 2 {
				if ok, err := w.Retire(w.ctx, shard, name, w.inc[shard]); !ok || err != nil {
					t.Fatalf("%q: retire %v, %v", name, ok, err)
				}
			}
			s.Flush()
		}
	})
}

// All hostile names together in one room, as channels and as users.
func TestHostileNamesInOneRoom(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		var come, leave []luascripts.Op
		for _, name := range hostile {
			come = append(come, add(longest, name, name, name))
			leave = append(leave, remove(longest, name))
		}
		e := w.write(come...).Events[0]
		if !slices.Equal(e.Came, hostile) || e.Users != len(hostile) {
			t.Fatalf("%+v", e)
		}
		e = w.write(leave...).Events[0]
		if !slices.Equal(e.Went, hostile) || e.Presences != 0 {
			t.Fatalf("%+v", e)
		}
	})
}

func TestLargeInfo(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		info := strings.Repeat("\x00\xff:+1\n", 20_000)
		heard := w.listen("lobby")
		e := w.write(add("lobby", "1", "ann", info)).Events
		heard(e)
		if string(e[0].Items[0].Record.Info) != info || string(w.record("lobby", "1").Info) != info {
			t.Fatal("info differs")
		}
	})
}
