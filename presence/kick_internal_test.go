package presence

import (
	"testing"
	"testing/synctest"

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
