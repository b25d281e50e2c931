package groups

import (
	"context"
	"errors"
	"fmt"
)

// ErrNoHandler tells that a Mux has neither a handler for the type of a message
// nor a default.
var ErrNoHandler = errors.New("rollcall: no handler for message type")

// Mux calls a handler by the type of a message. The zero value is ready to use.
//
// Register all handlers first: from then on, Dispatch and Serve may be called
// concurrently, so that one Mux does for all connections of a process. As with
// http.ServeMux, a registration that makes no sense is a mistake in the program
// and panics.
type Mux struct {
	handlers map[string]func(context.Context, Message) error
	fallback func(context.Context, Message) error
}

// NewMux returns an empty Mux.
func NewMux() *Mux { return new(Mux) }

// Handle has h called with the messages of a type, compared byte for byte. It
// panics if typ is empty, h is nil, or the type has a handler already.
func (x *Mux) Handle(typ string, h func(ctx context.Context, m Message) error) {
	switch {
	case typ == "":
		panic("rollcall: handler for an empty message type")
	case h == nil:
		panic(fmt.Sprintf("rollcall: nil handler for message type %q", typ))
	case x.handlers[typ] != nil:
		panic(fmt.Sprintf("rollcall: two handlers for message type %q", typ))
	}
	if x.handlers == nil {
		x.handlers = make(map[string]func(context.Context, Message) error)
	}
	x.handlers[typ] = h
}

// Default has h called with the messages that no other handler is for, those
// with an empty type among them. It panics if h is nil or there is a default.
func (x *Mux) Default(h func(ctx context.Context, m Message) error) {
	switch {
	case h == nil:
		panic("rollcall: nil default handler")
	case x.fallback != nil:
		panic("rollcall: two default handlers")
	}
	x.fallback = h
}

// Dispatch calls the handler for a message and returns its error as it is. It
// returns an error that wraps ErrNoHandler, and names the type, if there is none.
func (x *Mux) Dispatch(ctx context.Context, m Message) error {
	h := x.handlers[m.Type]
	if h == nil {
		h = x.fallback
	}
	if h == nil {
		return fmt.Errorf("%w %q", ErrNoHandler, m.Type)
	}
	return h(ctx, m)
}

// Serve receives the messages of a channel and dispatches them, one at a time
// and in order, until the first error, which it returns: the handler's or
// ErrNoHandler, the context's, or, once the channel is closed and what was left
// in it is handled, the cause of that. It never returns nil, and it does not
// close the channel.
//
// A connection that is to outlive types that it does not know yet, as they come
// from newer nodes during a deployment, needs a default that returns nil.
func (x *Mux) Serve(ctx context.Context, ch *Channel) error {
	for {
		// Receive prefers a message to the context's end, and a busy channel
		// would hold a dead connection for as long as there are any.
		if err := ctx.Err(); err != nil {
			return err
		}
		m, err := ch.Receive(ctx)
		if err != nil {
			return err
		}
		if err := x.Dispatch(ctx, m); err != nil {
			return err
		}
	}
}
