package presencetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

const (
	messageText   = 1    // the opcode, which Go's websocket libraries use as their type
	statusNoClose = 1006 // RFC 6455: the connection ended without a close frame
)

// errSocketClosed is what a Socket fails with once it is closed.
var errSocketClosed = errors.New("presencetest: socket is closed")

// Socket is a websocket in memory, with its peer: a heartbeat.Conn for whatever
// types the application's websocket library has, such as
// NewSocket[websocket.MessageType, websocket.StatusCode](). The peer answers pings
// and takes all that is written. Its methods may be called concurrently.
type Socket[M, S ~int] struct {
	in     chan []byte
	closed chan struct{}

	mu       sync.Mutex
	received [][]byte
	silent   bool
	over     bool
	code     S
	cause    error // what Read fails with
}

// NewSocket returns an open Socket.
func NewSocket[M, S ~int]() *Socket[M, S] {
	return &Socket[M, S]{in: make(chan []byte), closed: make(chan struct{})}
}

// Say has the peer send a text, and waits until it is read or the socket closed.
func (s *Socket[M, S]) Say(text string) {
	select {
	case s.in <- []byte(text):
	case <-s.closed:
	}
}

// Received returns what the peer was sent, and was not returned before.
func (s *Socket[M, S]) Received() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	received := s.received
	s.received = nil
	return received
}

// Silence has the peer answer no ping any more, though the socket stays open.
func (s *Socket[M, S]) Silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = true
}

// Leave has the peer close the socket with a code: 1001 as a browser does when a
// page is closed or loaded again, 1006 for a connection that breaks.
func (s *Socket[M, S]) Leave(code S) {
	cause := error(closeError[S]{Code: code})
	if code == statusNoClose {
		cause = errSocketClosed
	}
	s.end(code, cause)
}

// CloseCode is the code that the socket was closed with, by either side; 0 while it
// is open, and 1006 where there was no close frame.
func (s *Socket[M, S]) CloseCode() S {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.code
}

// Read is the server's side, as are the methods below: they implement heartbeat.Conn.
func (s *Socket[M, S]) Read(ctx context.Context) (M, []byte, error) {
	select {
	case text := <-s.in:
		return messageText, text, nil
	case <-s.closed:
		return 0, nil, s.cause
	case <-ctx.Done():
		return 0, nil, ctx.Err()
	}
}

// Write hands a message to the peer.
func (s *Socket[M, S]) Write(ctx context.Context, _ M, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
		return errSocketClosed
	case ctx.Err() != nil:
		return ctx.Err()
	}
	s.received = append(s.received, slices.Clone(data))
	return nil
}

// Ping returns once the peer has answered.
func (s *Socket[M, S]) Ping(ctx context.Context) error {
	s.mu.Lock()
	silent, over := s.silent, s.over
	s.mu.Unlock()
	if over {
		return errSocketClosed
	}
	if !silent {
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closed:
		return errSocketClosed
	}
}

// Close closes the socket with a code.
func (s *Socket[M, S]) Close(code S, _ string) error {
	s.end(code, errSocketClosed)
	return nil
}

// CloseNow closes the socket without a close frame.
func (s *Socket[M, S]) CloseNow() error {
	s.end(statusNoClose, errSocketClosed)
	return nil
}

// SetReadLimit does nothing.
func (s *Socket[M, S]) SetReadLimit(int64) {}

func (s *Socket[M, S]) end(code S, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.over, s.code, s.cause = true, code, cause
	close(s.closed)
}

// closeError has the fields by which heartbeat knows the peer's code.
type closeError[S ~int] struct {
	Code   S
	Reason string
}

func (e closeError[S]) Error() string { return fmt.Sprintf("presencetest: closed with %d", e.Code) }
