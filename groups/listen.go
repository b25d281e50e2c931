package groups

import (
	"context"
	"slices"
	"sync"
)

// Listener receives the changes of a room on this node. Its methods are called one at a
// time, and block the whole node while they run.
type Listener interface {
	// Event is called with each change that a script published. If it returns an error,
	// the frame counts as malformed.
	Event(frame string) error
	// Gap is called when events may have been lost.
	Gap()
}

// Listening is a Listener's hold on a group. It is safe for concurrent use.
type Listening struct {
	group    *group
	listener Listener
	once     sync.Once
}

// Listen is for rollcall's own packages. It calls ls for each change of the named room
// until the Listening is closed. No change is missed once Wait has returned.
func (l *Layer) Listen(room string, ls Listener) (*Listening, error) {
	if err := checkGroup(room); err != nil {
		return nil, err
	}
	g, err := l.acquire(room)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listeners = append(slices.Clip(g.listeners), ls)
	return &Listening{group: g, listener: ls}, nil
}

// Wait returns when the current connection to Redis is subscribed to the group.
func (s *Listening) Wait(ctx context.Context) error { return s.group.sub.Wait(ctx) }

// Close ends the calls to the Listener. One may still be running.
func (s *Listening) Close() {
	s.once.Do(func() {
		g := s.group
		g.mu.Lock()
		if i := slices.Index(g.listeners, s.listener); i >= 0 {
			g.listeners = slices.Concat(g.listeners[:i], g.listeners[i+1:])
		}
		g.mu.Unlock()
		g.layer.release(g)
	})
}
