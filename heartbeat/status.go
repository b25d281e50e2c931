package heartbeat

import (
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/rollcall-go/rollcall/groups"
)

// The codes of RFC 6455 that Serve sends or understands.
const (
	statusNormal    = 1000
	statusGoingAway = 1001
	statusProtocol  = 1002
	statusNone      = 1005 // the peer's close frame had no code: a browser's close()
	statusPolicy    = 1008
	statusInternal  = 1011
)

// statusFor returns what to tell the peer about the end of the connection. Details of a
// handler's failure are not for the peer.
func statusFor(cause error) (code int, reason string) {
	var asked CloseError
	var invalid *groups.InvalidError
	switch {
	case errors.Is(cause, ErrConn):
		// Mostly in vain: the library has already closed the connection, with a better
		// code.
		return statusProtocol, ""
	case errors.As(cause, &asked):
		return asked.Code, cut(asked.Reason)
	case errors.Is(cause, groups.ErrClosed): // also from a handler: another node will do
		return statusGoingAway, "going away"
	case errors.Is(cause, ErrHandler), errors.As(cause, &invalid):
		return statusInternal, "internal error"
	case errors.Is(cause, ErrChannel):
		return statusPolicy, "channel closed"
	default:
		return statusGoingAway, "going away"
	}
}

func cut(reason string) string {
	if len(reason) <= groups.MaxCloseReason {
		return reason
	}
	// A cut in the middle of a character would not be UTF-8.
	return strings.ToValidUTF8(reason[:groups.MaxCloseReason], "")
}

// closedNormally reports whether err says that the peer closed the connection normally.
// The CloseError of a websocket library is a struct of a code and a reason. Its type
// cannot be named here without importing the library, but having the same fields, it
// converts to one that can.
func closedNormally[S ~int](err error) bool {
	type closeError = struct {
		Code   S
		Reason string
	}
	want := reflect.TypeFor[closeError]()
	if v := reflect.ValueOf(err); err != nil && v.CanConvert(want) {
		code := v.Convert(want).Interface().(closeError).Code
		return code == statusNormal || code == statusGoingAway || code == statusNone
	}
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		return closedNormally[S](wrapper.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(wrapper.Unwrap(), closedNormally[S])
	}
	return false
}
