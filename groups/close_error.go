package groups

import "fmt"

// MaxCloseReason is how many bytes of a reason a close frame can hold (RFC 6455, 5.5).
const MaxCloseReason = 123

// CloseError asks for a channel's socket to be closed with a code and a reason: pass it
// to Channel.CloseWith. Codes 3000 to 4999 are free for applications. CloseWith takes
// any reason; one that is too long is cut when the socket is closed.
type CloseError struct {
	Code   int
	Reason string // up to MaxCloseReason bytes
}

func (e CloseError) Error() string {
	return fmt.Sprintf("rollcall: close with %d: %s", e.Code, e.Reason)
}

// Check returns an *InvalidError if a close frame cannot have the code, or not all of
// the reason.
func (e CloseError) Check() error {
	switch {
	case !sendable(e.Code):
		return &InvalidError{Field: "close code", Value: fmt.Sprint(e.Code), Reason: "not one that can be sent"}
	case len(e.Reason) > MaxCloseReason:
		return &InvalidError{Field: "close reason", Reason: fmt.Sprintf("%d bytes, more than %d", len(e.Reason), MaxCloseReason)}
	}
	return nil
}

// sendable reports whether a websocket may be closed with a code (RFC 6455, 7.4).
func sendable(code int) bool {
	switch {
	case code == 1004, code == 1005, code == 1006, code == 1015:
		return false
	case code >= 1000 && code <= 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}
