package presencetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

const (
	messageText   = 1    // the opcode, which Go's websocket libraries use as the message type
	statusNoClose = 1006 // RFC 6455: the connection ended without a close frame
)

// errSocketClosed is the error of a closed Socket.
var errSocketClosed = errors.New("presencetest: socket is closed")

// Socket is a websocket in memory, together with its peer. It implements heartbeat.Conn
// for the types of the application's websocket library, such as
// NewSocket[websocket.MessageType, websocket.StatusCode](). The peer answers pings and
// accepts everything written. Methods may be called concurrently.
type Socket[M, S ~int] struct {
	in     chan []byte
	closed chan struct{}

	mu       sync.Mutex
	received [][]byte
	silent   bool
	over     bool
	code     S
	cause    error // the error of Read
}

// NewSocket returns an open Socket.
func NewSocket[M, S ~int]() *Socket[M, S] {
	return &Socket[M, S]{in: make(chan []byte), closed: make(chan struct{})}
}

// Say makes the peer send a text, and waits until it is read or the socket is closed.
func (s *Socket[M, S]) Say(text string) {
	select {
	case s.in <- []byte(text):
	case <-s.closed:
	}
}

// Received returns what was sent to the peer and not returned before.
func (s *Socket[M, S]) Received() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	received := s.received
	s.received = nil
	return received
}

// Silence stops the peer from answering pings, though the socket stays open.
func (s *Socket[M, S]) Silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = true
}

// Leave makes the peer close the socket with a code: 1001 as a browser does when a page
// is closed or reloaded, 1006 for a broken connection.
func (s *Socket[M, S]) Leave(code S) {
	cause := error(closeError[S]{Code: code})
	if code == statusNoClose {
		cause = errSocketClosed
	}
	s.end(code, cause)
}

// CloseCode returns the code that either side closed the socket with: 0 while it is
// open, and 1006 if there was no close frame.
func (s *Socket[M, S]) CloseCode() S {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.code
}

// Read and the methods below are the server's side. They implement heartbeat.Conn.
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

// closeError has the fields that heartbeat finds the peer's code by.
type closeError[S ~int] struct {
	Code   S
	Reason string
}

func (e closeError[S]) Error() string { return fmt.Sprintf("presencetest: closed with %d", e.Code) }
