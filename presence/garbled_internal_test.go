package presence

import (
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// A record that nobody can read, which only others than rollcall write, spoils the reply
// to the batch that removes it. That batch has run, and those after it are not held up.
func TestARecordThatSpoilsAReply(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newStranger(t, s)
		spoilt, other := n.enter(t, "lobby", Member{User: "ana"}), n.open(t)
		if err := n.store.Client().HSet(t.Context(), n.store.Room("lobby"), spoilt.Name(), "1700000000000\x00\xff").Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Remove(t.Context(), "lobby", spoilt.Name()); err == nil {
			t.Error("the reply can be read")
		}
		if _, _, err := n.Add(t.Context(), "garden", other.Name(), Member{User: "ben"}); err != nil {
			t.Error(err)
		}
		redistest.Advance(t, time.Minute)
		if _, _, err := n.Add(t.Context(), "lobby", other.Name(), Member{User: "ben"}); err != nil {
			t.Error(err)
		}
		if list, err := n.Presences(t.Context(), "lobby"); err != nil || len(list) != 1 || list[0].User != "ben" {
			t.Errorf("%+v, %v", list, err)
		}
	})
}
