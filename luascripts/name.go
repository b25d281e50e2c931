package luascripts

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxName is the maximum length of the name of a room, group, channel or user in bytes.
const MaxName = 255

// InvalidError tells which argument was refused, before any call to Redis.
type InvalidError struct {
	Field  string // what the argument is: "room", "user", "info", ...
	Value  string // its beginning; empty if it is the application's own data
	Reason string
}

func (e *InvalidError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("rollcall: invalid %s: %s", e.Field, e.Reason)
	}
	return fmt.Sprintf("rollcall: invalid %s %q: %s", e.Field, e.Value, e.Reason)
}

// CheckName returns an *InvalidError unless name is 1 to MaxName bytes of UTF-8.
func CheckName(field, name string) error {
	reason := ""
	switch {
	case name == "":
		reason = "empty"
	case len(name) > MaxName:
		reason = fmt.Sprintf("%d bytes, more than %d", len(name), MaxName)
	case !utf8.ValidString(name):
		reason = "not valid UTF-8"
	default:
		return nil
	}
	return &InvalidError{Field: field, Value: name[:min(len(name), 40)], Reason: reason}
}

// JoinChannel returns the name of a node's channel.
func JoinChannel(node, short string) string { return node + "!" + short }

// SplitChannel returns what JoinChannel was given. It returns false if no node can have a
// channel of this name.
func SplitChannel(name string) (node, short string, ok bool) {
	node, short, ok = strings.Cut(name, "!")
	return node, short, ok && node != "" && short != ""
}
