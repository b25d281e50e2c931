package groups

import (
	"context"
	"errors"
	"fmt"
)

// ErrNoHandler means that a Mux has neither a handler for a message's type nor a
// default.
var ErrNoHandler = errors.New("rollcall: no handler for message type")

// Mux calls a handler chosen by the type of a message. The zero value is ready to use.
//
// Register all handlers first. From then on, Dispatch and Serve may be called
// concurrently, so that one Mux serves all connections of a process. As with
// http.ServeMux, an invalid registration is a mistake in the program and panics.
type Mux struct {
	handlers map[string]func(context.Context, Message) error
	fallback func(context.Context, Message) error
}

// NewMux returns an empty Mux.
func NewMux() *Mux { return new(Mux) }

// Handle registers h for the messages of a type, compared byte for byte. It panics if
// typ is empty, h is nil, or the type has a handler already.
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

// Default registers h for the messages without a handler, including those with an empty
// type. It panics if h is nil or there is a default already.
func (x *Mux) Default(h func(ctx context.Context, m Message) error) {
	switch {
	case h == nil:
		panic("rollcall: nil default handler")
	case x.fallback != nil:
		panic("rollcall: two default handlers")
	}
	x.fallback = h
}

// Dispatch calls the handler for a message and returns its error unchanged. Without a
// handler, it returns an error that wraps ErrNoHandler and names the type.
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

// Serve receives a channel's messages and dispatches them, in order and one at a time,
// until the first error, which it returns. That is the handler's error, ErrNoHandler,
// the context's error, or, once the channel is closed and its remaining messages are
// handled, the cause. Serve never returns nil and does not close the channel.
//
// During a deployment, newer nodes may send types that a connection does not know. To
// outlive those, it needs a default that returns nil.
func (x *Mux) Serve(ctx context.Context, ch *Channel) error {
	for {
		// Receive prefers a message to the end of the context, so a busy channel would
		// keep a dead connection alive.
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
