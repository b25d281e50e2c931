package heartbeat

import (
	"errors"
	"fmt"

	"github.com/rollcall-go/rollcall/groups"
)

var (
	// ErrDeadPeer tells that the peer did not answer a ping, or did not take a
	// message, in time.
	ErrDeadPeer = errors.New("heartbeat: peer is dead")
	// ErrConn tells that the connection broke, or that the peer closed it with
	// a code that is not a normal closure; it wraps the library's error.
	ErrConn = errors.New("heartbeat: connection failed")
	// ErrHandler tells that a handler of the application failed; it wraps the
	// handler's error.
	ErrHandler = errors.New("heartbeat: handler failed")
	// ErrChannel tells that the channel was closed before the connection; it
	// wraps the cause.
	ErrChannel = errors.New("heartbeat: channel ended")
)

// CloseError asks for the socket to be closed with a code and a reason. Return
// it from a handler, close the channel with it (CloseWith), or make it the
// cause of the context.
type CloseError = groups.CloseError

// PanicError is what a panic of a handler becomes, within an error that is
// ErrHandler. It is not modified once it is returned.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value of the panic if it was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
