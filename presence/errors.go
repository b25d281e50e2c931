package presence

import (
	"context"
	"errors"
	"fmt"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/luascripts"
)

var (
	// ErrUnavailable is wrapped by every error that results from Redis being
	// unreachable or unable to serve. The operation should not be in effect: if a lost
	// reply leaves that open, it is found out and undone once Redis answers again. Only
	// removals are completed instead. A client that retries by itself can hide a lost
	// reply behind a refusal, such as out of memory; the write may then be in effect.
	ErrUnavailable = groups.ErrUnavailable
	// ErrUnknownChannel means that no living node holds an open channel of that name.
	ErrUnknownChannel = groups.ErrUnknownChannel
	// ErrNoAnswer means that the node that holds the channel did not answer in time. It
	// may or may not have done what it was asked.
	ErrNoAnswer = groups.ErrNoAnswer
	// ErrNotPresent means that the channel is not in the room.
	ErrNotPresent = errors.New("rollcall: not present")
	// ErrRoomFull means that the room has as many users and anonymous channels as
	// AddWithin allows.
	ErrRoomFull = errors.New("rollcall: room is full")
	// errYields means that a pruned channel has not come back, because another is there
	// in its place.
	errYields = errors.New("rollcall: replaced")
	// ErrRemade means that the room was removed and made again since the awaited
	// revision, whose changes are gone.
	ErrRemade = errors.New("rollcall: room was removed and made again")
	// ErrClosed means that the Tracker or the layer is closed. Nothing can be added or
	// watched any more. Leaving does nothing then, and reads still work.
	ErrClosed = groups.ErrClosed
	// ErrServer means that rollcall cannot use the server, for example because it is
	// too old or does not fit the client.
	ErrServer = groups.ErrServer
	// ErrMismatch means that the data in Redis was written by another version or with
	// another number of shards.
	ErrMismatch = groups.ErrMismatch
	// ErrNodeTaken means that a living process already has the node id.
	ErrNodeTaken = luascripts.ErrNodeTaken
)

// PartialError means that some shards of a cluster are away: they do not answer, or
// cannot serve. Shards lists them; the result beside the error has what the other
// shards hold. It comes inside an error that wraps ErrUnavailable: find it with
// errors.As.
type PartialError = luascripts.PartialError

// OpError tells which operation failed. Unwrap returns the cause.
type OpError struct {
	Op      string // "add", "remove", ...
	Room    string // empty if the operation has none
	Channel string // likewise
	Err     error
}

func (e *OpError) Error() string {
	s := "rollcall: " + e.Op
	if e.Channel != "" {
		s += fmt.Sprintf(" channel %q", e.Channel)
	}
	if e.Room != "" {
		s += fmt.Sprintf(" room %q", e.Room)
	}
	return s + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

func opError(op, room, channel string, err error) error {
	if err == nil {
		return nil
	}
	var invalid *InvalidError
	if errors.As(err, &invalid) {
		return err
	}
	var inner *OpError // of an operation that this one is made of
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return &OpError{Op: op, Room: room, Channel: channel, Err: err}
}

// unavailable marks an error of Redis. Rollcall's own stay as they are.
func unavailable(err error) error {
	for _, own := range []error{ErrUnavailable, ErrUnknownChannel, ErrNoAnswer, ErrRoomFull, ErrClosed, ErrMismatch, ErrNodeTaken, ErrServer} {
		if err == nil || errors.Is(err, own) {
			return err
		}
	}
	var invalid *InvalidError
	if errors.As(err, &invalid) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, luascripts.Explain(err))
}
