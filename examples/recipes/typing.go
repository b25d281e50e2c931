package recipes

import (
	"context"
	"time"

	"github.com/rollcall-go/rollcall/groups"
)

// typingEvery is how often a room is told that somebody is still typing. Pages show it
// for a second longer than that after they were last told.
const typingEvery = 3 * time.Second

// Typist tells a room that a user is typing. Each connection has its own, for use by
// one goroutine at a time.
type Typist struct {
	Layer *groups.Layer
	Room  string
	User  string

	told time.Time
}

// Typed is called for each signal from the client that a key was pressed.
func (t *Typist) Typed(ctx context.Context) error {
	if time.Since(t.told) < typingEvery {
		return nil
	}
	t.told = time.Now()
	return t.Layer.GroupSend(ctx, t.Room, groups.Message{Type: "typing", Payload: []byte(t.User)})
}
