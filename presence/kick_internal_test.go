package presence

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

// While a kick waits for a channel, another user takes it over: that one's socket is
// not to be closed.
func TestKickOfAChannelThatChangesOver(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newStranger(t, s)
		c, err := n.layer.NewChannel()
		if err != nil {
			t.Fatal(err)
		}
		add := func(user string) {
			if _, _, err := n.Add(t.Context(), "lobby", c.Name(), Member{User: user}); err != nil {
				t.Error(err)
			}
		}
		add("ana")
		s.Freeze()
		go add("ben")
		synctest.Wait()
		kicked := make(chan error)
		go func() {
			_, err := n.kickLocal(t.Context(), Kick{User: "ana", Close: groups.CloseError{Code: 4001}})
			kicked <- err
		}()
		synctest.Wait()
		s.Thaw()
		if err := <-kicked; err != nil || c.Err() != nil {
			t.Errorf("kicked: %v, the channel was told %v", err, c.Err())
		}
	})
}

// Where the removal is left to the background, a kick that is repeated finds nobody:
// the first one closes the socket.
func TestKickThatIsCarriedOn(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		n := newStranger(t, s)
		c, err := n.layer.NewChannel()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := n.Add(t.Context(), "lobby", c.Name(), Member{User: "ana"}); err != nil {
			t.Fatal(err)
		}
		kick := Kick{User: "ana", Close: groups.CloseError{Code: 4001}}
		s.Freeze()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.kickLocal(ctx, kick); !errors.Is(err, ErrUnavailable) {
			t.Errorf("kicked: %v", err)
		}
		s.Thaw()
		redistest.Advance(t, time.Minute)
		if removed, err := n.Kick(t.Context(), kick); removed != 0 || err != nil {
			t.Errorf("kicked again: %d, %v", removed, err)
		}
		if !errors.Is(c.Err(), kick.Close) {
			t.Errorf("the channel was told %v", c.Err())
		}
	})
}
