package groups

import (
	"errors"

	"github.com/rollcall-go/rollcall/internal/bus"
	"github.com/rollcall-go/rollcall/luascripts"
)

var (
	// ErrClosed is returned by a closed Layer and by its channels.
	ErrClosed = bus.ErrClosed
	// ErrChannelClosed is returned by a channel that its owner has closed.
	ErrChannelClosed = errors.New("rollcall: channel is closed")
	// ErrChannelFull means that a mailbox was full.
	ErrChannelFull = errors.New("rollcall: channel is full")
	// ErrUnknownChannel means that no living node holds a channel of this name.
	ErrUnknownChannel = errors.New("rollcall: unknown channel")
	// ErrNoAnswer means that the node that holds a channel did not answer in time. It
	// may or may not have done what it was asked.
	ErrNoAnswer = errors.New("rollcall: no answer")
	// ErrUnavailable is wrapped by every error that results from Redis being
	// unreachable or unable to serve.
	ErrUnavailable = errors.New("rollcall: Redis is unavailable")
	// ErrServer means that rollcall cannot use the server, for example because it is
	// too old or does not fit the client.
	ErrServer = luascripts.ErrServer
	// ErrMismatch means that the data in Redis was written by another version or with
	// another number of shards.
	ErrMismatch = luascripts.ErrMismatch
)
