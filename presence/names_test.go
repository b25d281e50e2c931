package presence_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// hostile are names that would do harm where names were not kept apart from what
// is around them.
var hostile = []string{
	"", "{}", "{", "}", "{a}", "}{a}", "{0}", "{1}", "!", "a!b", ":", "room:lobby", "*", "?", "[a-z]", "\x00", "a\x00", "\xff", "a\xc3(", " ", "\n", "\r\n",
	"0 0 0 0 0", "3:", "1:a", "\x01C", "\x03ana", "%s", "é", "\u202e", strings.Repeat("💡", 63), strings.Repeat("x", 255), strings.Repeat("x", 256),
	strings.Repeat("{", 64<<10),
}

// valid is what the documents say of names: 1 to 255 bytes of UTF-8.
func valid(name string) bool {
	return name != "" && len(name) <= 255 && utf8.ValidString(name)
}

// apart has two users enter two rooms, and sees that each is where it is and
// nowhere else, or was refused for its name, and that nothing stays when they
// have left.
func apart(t *testing.T, n *node, pruner *prune.Pruner, rooms, users [2]string) {
	t.Helper()
	want := map[string][]string{}
	var channels []string
	for i, room := range rooms {
		c := n.open(t)
		channels = append(channels, c)
		user := users[i]
		p, _, err := n.Add(t.Context(), room, c, presence.Member{User: user, Info: []byte(user)[:min(len(user), 100)]})
		if !valid(room) || user != "" && !valid(user) {
			var invalid *presence.InvalidError
			if !errors.As(err, &invalid) {
				t.Errorf("%q in %q: %v", user, room, err)
			}
			continue
		}
		if err != nil || p.Room != room || p.User != user || p.Channel != c {
			t.Fatalf("%q in %q: %+v, %v", user, room, p, err)
		}
		want[room] = append(want[room], user)
	}
	there := map[string]bool{}
	for room, err := range n.Rooms(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		there[room] = true
	}
	if !slices.Equal(slices.Sorted(maps.Keys(there)), slices.Sorted(maps.Keys(want))) {
		t.Errorf("rooms %q, want %q", slices.Sorted(maps.Keys(there)), slices.Sorted(maps.Keys(want)))
	}
	for room, users := range want {
		s, err := n.Snapshot(t.Context(), room)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range s.Presences {
			got = append(got, p.User)
		}
		slices.Sort(got)
		slices.Sort(users)
		if !slices.Equal(got, users) {
			t.Errorf("%q has %q, want %q", room, got, users)
		}
	}
	for _, c := range channels {
		if _, err := n.LeaveAll(t.Context(), c, presence.Left); err != nil {
			t.Fatal(err)
		}
		ch, _ := n.Layer.Channel(c)
		_ = ch.Close()
	}
	gone, err := pruner.Rooms(t.Context())
	if err != nil || !slices.Equal(slices.Sorted(slices.Values(gone)), slices.Sorted(maps.Keys(want))) {
		t.Errorf("pruned %q of %q, %v", gone, want, err)
	}
}

// Row 26: pairs of rooms and users with hostile names.
func FuzzNames(f *testing.F) {
	s := redistest.Mini(f)
	n := newNode(f, s, presence.Options{})
	pruner, err := prune.New(n.Tracker, nil)
	if err != nil {
		f.Fatal(err)
	}
	for i, name := range hostile {
		f.Add(name, hostile[(i+1)%len(hostile)], hostile[(i+7)%len(hostile)], name)
		f.Add(name, name, "lobby", "ana")
		f.Add("lobby", name, "lobby", hostile[(i+3)%len(hostile)])
	}
	f.Fuzz(func(t *testing.T, room, user, room2, user2 string) {
		apart(t, n, pruner, [2]string{room, room2}, [2]string{user, user2})
	})
}

// The same on servers, where a cluster refuses keys that leave their slot.
func TestHostilePairs(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		pruner, err := prune.New(n.Tracker, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range hostile {
			other := hostile[(i+11)%len(hostile)]
			apart(t, n, pruner, [2]string{name, other}, [2]string{other, name})
		}
	})
}
