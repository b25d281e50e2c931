package heartbeat

import (
	"context"

	"github.com/rollcall-go/rollcall/groups"
)

// Conn is a websocket connection with message type M and status code S. *Conn of
// nhooyr.io/websocket and of github.com/coder/websocket implement it. Its methods must
// be safe for concurrent use, except for Read. Close and CloseNow must make a blocked
// Read, Write or Ping return. The code of a peer that closes the connection is taken
// from the error of Read: from a struct in its chain with the fields Code S and Reason
// string.
type Conn[M, S ~int] interface {
	Pinger
	Read(ctx context.Context) (M, []byte, error)
	Write(ctx context.Context, typ M, data []byte) error
	Close(code S, reason string) error
	CloseNow() error
	SetReadLimit(bytes int64)
}

// Mailbox is what Serve needs of a *groups.Channel. Only Serve receives from it, and
// Serve closes it.
type Mailbox interface {
	Name() string
	Receive(ctx context.Context) (groups.Message, error)
	Done() <-chan struct{}
	Err() error
	Close() error
}

// Handler is the application's side of a connection, or of many if its functions may be
// called concurrently. Any field may be nil.
//
// The context of Connect, Receive and Deliver ends with the connection or after
// Options.HandlerTimeout, that of Run with the connection alone. They must heed it, and
// may write to the connection themselves, with that context. An error from any of them
// ends the connection. A panic is caught, logged and turned into an error that has a
// [PanicError] in it.
type Handler[M ~int] struct {
	// Connect is called first, before anything is read or delivered. Join rooms here.
	Connect func(ctx context.Context) error

	// Receive is called for each message except heartbeats, one at a time. Nothing else
	// is read while it runs, so slow work belongs in a goroutine. If a message cannot
	// be sent on because Redis is away, tell the peer and return nil: the error of a
	// send ends the connection like any other.
	Receive func(ctx context.Context, typ M, data []byte) error

	// Deliver turns a message of the channel into one for the peer, concurrently with
	// Receive. If it returns nil data, nothing is sent. By default, payloads are sent
	// as text messages.
	Deliver func(ctx context.Context, m groups.Message) (typ M, data []byte, err error)

	// Run is called once Connect has returned, and runs beside the connection,
	// concurrently with Receive and Deliver, for example to follow a room for the peer.
	// If it returns nil, the connection goes on. It sets its own time limits for what
	// it writes.
	Run func(ctx context.Context) error

	// Disconnect is called last and once, even if Connect failed: the channel has left
	// its rooms, the socket is closed, and no other handler runs. Its context lasts for
	// Options.LeaveTimeout. The cause is what Serve will return, nil if the peer closed
	// the connection normally.
	Disconnect func(ctx context.Context, cause error)
}

// Serve runs a connection from accept to leave. It blocks, and leaves nothing running
// when it returns.
//
// While the connection lasts, each message and each pong touches the presence,
// heartbeats are swallowed, and what is sent to the channel goes to the peer. It ends
// when the peer closes it or is dead, when a handler fails, when ctx ends, or when the
// channel is closed; the channel's last messages are still delivered. Then, whatever
// the cause, the channel is closed and leaves all its rooms, and Disconnect is called.
//
// The socket is closed with the code of a [CloseError], if the cause has one in it.
// Otherwise the code is 1001 if ctx, the Tracker or the channel layer ended, 1008 if
// the channel was closed, and 1011 if a handler failed or an option is refused. A dead
// peer gets no close frame. If a handler fails after the channel was closed, the cause
// is the channel's and not the handler's error.
//
// Serve returns the cause: nil if the peer closed the connection with 1000, 1001 or
// without a code, an error that wraps one of this package's, a *groups.InvalidError for
// a refused option, or the cause of ctx. The error of a failed leave is joined to it.
func Serve[M, S ~int](
	ctx context.Context, conn Conn[M, S], p Presence, ch Mailbox, h Handler[M], opts *Options,
) error {
	o, err := opts.withDefaults(p)
	s := &session[M, S]{conn: conn, presence: p, ch: ch, handler: h, opts: o}
	s.ctx, s.end = context.WithCancelCause(ctx)
	if err != nil {
		s.end(err)
		return s.finish(err)
	}

	conn.SetReadLimit(s.opts.ReadLimit)
	s.start(s.read)
	select {
	case <-s.ctx.Done():
	case <-ch.Done():
		s.drain()
	}
	return s.finish(context.Cause(s.ctx))
}
