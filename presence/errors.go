package presence

import (
	"context"
	"errors"
	"fmt"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/luascripts"
)

var (
	// ErrUnavailable is wrapped by every error that comes from Redis being out
	// of reach or unable to serve. The operation is not meant to be in effect:
	// where a lost reply leaves it open, it is found out and undone once Redis
	// answers again. Only removals are carried on. A client that tries again by
	// itself can hide a lost reply behind a refusal, such as out of memory; the
	// write may then be in effect.
	ErrUnavailable = groups.ErrUnavailable
	// ErrUnknownChannel tells that no living node holds an open channel of that
	// name.
	ErrUnknownChannel = groups.ErrUnknownChannel
	// ErrNoAnswer tells that the node that holds the channel did not answer in
	// time: whether it did what it was asked is not known.
	ErrNoAnswer = groups.ErrNoAnswer
	// ErrNotPresent tells that the channel is not in the room.
	ErrNotPresent = errors.New("rollcall: not present")
	// ErrRoomFull tells that a room has as many users and anonymous channels as
	// AddWithin was told.
	ErrRoomFull = errors.New("rollcall: room is full")
	// errYields tells that a channel that was pruned has not come back, as another is
	// there in its place.
	errYields = errors.New("rollcall: replaced")
	// ErrRemade tells that a room was removed, and made again, since the revision
	// that was waited for: what was written then is gone.
	ErrRemade = errors.New("rollcall: room was removed and made again")
	// ErrClosed tells that the Tracker was closed, or the layer: nothing can be added
	// or watched any more. To leave does nothing then, and reads go on.
	ErrClosed = groups.ErrClosed
	// ErrServer tells that rollcall cannot use the server: it is too old, say, or
	// does not fit the client.
	ErrServer = groups.ErrServer
	// ErrMismatch tells that the data in Redis was written by another version
	// or with another number of shards.
	ErrMismatch = groups.ErrMismatch
	// ErrNodeTaken tells that a living process has the node id already.
	ErrNodeTaken = luascripts.ErrNodeTaken
)

// PartialError tells that some shards of a cluster are away: they do not answer, or
// cannot serve. What is returned beside it is what the others have, and Shards are
// those that are missing. It comes inside an error that wraps ErrUnavailable; find it
// with errors.As.
type PartialError = luascripts.PartialError

// OpError tells which operation failed. Unwrap gives the cause.
type OpError struct {
	Op      string // "add", "remove", ...
	Room    string // empty where the operation has none
	Channel string // the same
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

// unavailable marks an error of Redis; rollcall's own stay as they are.
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
