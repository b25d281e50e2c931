package presence

import (
	"errors"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// In a deploy a handler may be told ErrClosed before its channel has left. Its
// connection ends for that, and its user stays as long as the others'.
func TestLeavesDuringADrain(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		const grace = 30 * time.Second
		goes, stays := newStranger(t, s), newStranger(t, s)
		channels := make(map[Reason]string)
		for _, why := range []Reason{Disconnected, TimedOut, Left, Kicked} {
			c, err := goes.layer.NewChannel()
			if err != nil {
				t.Fatal(err)
			}
			channels[why] = c.Name()
			if _, _, err := goes.Add(t.Context(), "lobby", c.Name(), Member{User: why.String()}); err != nil {
				t.Fatal(err)
			}
		}
		gate := make(chan struct{})
		goes.spawn(func() { <-gate }) // the drain waits for what is under way
		drained := make(chan error)
		go func() { drained <- goes.Drain(t.Context(), grace) }()
		redistest.Advance(t, time.Millisecond)
		if _, _, err := goes.Add(t.Context(), "garden", channels[Left], Member{}); !errors.Is(err, ErrClosed) {
			t.Errorf("added: %v", err)
		}
		for why, c := range channels {
			if _, err := goes.LeaveAll(t.Context(), c, why); err != nil {
				t.Error(err)
			}
		}
		close(gate)
		if err := <-drained; err != nil {
			t.Error(err)
		}
		list, err := stays.Presences(t.Context(), "lobby")
		if err != nil || len(list) != 2 {
			t.Errorf("%+v, %v", list, err)
		}
		for _, p := range list {
			if left := time.Until(p.LeavesAt); left <= 0 || left > grace || p.User != Disconnected.String() && p.User != TimedOut.String() {
				t.Errorf("%s stays for %v", p.User, left)
			}
		}
	})
}
