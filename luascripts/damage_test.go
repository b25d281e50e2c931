package luascripts_test

import (
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// A header that nobody can read must not stop a batch half way: what it has done to
// other rooms would stay, and it would be sent again for ever.
func TestADamagedHeaderStopsNoBatch(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		w := newWorld(t, s)
		w.write(add("lobby", "1", "ann", ""), add("lobby", "2", "", ""), add("den", "1", "ann", ""))
		w.must(w.c.HSet(w.ctx, w.Room("lobby"), "", "rubbish").Err())

		w.must(w.try(add("attic", "3", "bob", ""), remove("lobby", "2"), add("lobby", "4", "cyd", ""), remove("den", "1")))
		if _, err := w.RepairRooms(w.ctx, "attic", "lobby", "den"); err != nil {
			t.Fatal(err)
		}
		for room, want := range map[string][3]int{"attic": {1, 1, 0}, "lobby": {2, 2, 0}, "den": {0, 0, 0}} {
			if h := w.header(room); [3]int{h.Presences, h.Users, h.Anonymous} != want {
				t.Errorf("%s: %+v, want %v", room, h, want)
			}
		}
	})
}
