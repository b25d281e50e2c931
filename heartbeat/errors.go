package heartbeat

import (
	"errors"
	"fmt"

	"github.com/rollcall-go/rollcall/groups"
)

var (
	// ErrDeadPeer means that the peer did not answer a ping, or did not take a message,
	// in time.
	ErrDeadPeer = errors.New("heartbeat: peer is dead")
	// ErrConn means that the connection broke, or that the peer closed it with a code
	// that is not a normal closure. It wraps the library's error.
	ErrConn = errors.New("heartbeat: connection failed")
	// ErrHandler means that a handler of the application failed. It wraps the handler's
	// error.
	ErrHandler = errors.New("heartbeat: handler failed")
	// ErrChannel means that the channel was closed before the connection. It wraps the
	// cause.
	ErrChannel = errors.New("heartbeat: channel ended")
)

// CloseError asks for the socket to be closed with a code and a reason. Return it from
// a handler, pass it to the channel's CloseWith, or make it the cause of the context. A
// reason of more than groups.MaxCloseReason bytes is cut.
type CloseError = groups.CloseError

// PanicError is the error for a panic of a handler, inside an error that wraps
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
