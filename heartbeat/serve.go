package heartbeat

import (
	"context"

	"github.com/rollcall-go/rollcall/groups"
)

// Conn is a websocket connection with message type M and status code S. The
// *Conn of nhooyr.io/websocket and that of github.com/coder/websocket are such.
// Its methods must be safe for concurrent use, but for Read; Close and CloseNow
// must make a Read, Write or Ping under way return. The code of a peer that
// closes the connection is taken from the error of Read: from what in its chain
// is a struct with the fields Code S and Reason string.
type Conn[M, S ~int] interface {
	Pinger
	Read(ctx context.Context) (M, []byte, error)
	Write(ctx context.Context, typ M, data []byte) error
	Close(code S, reason string) error
	CloseNow() error
	SetReadLimit(bytes int64)
}

// Mailbox is what Serve needs of a *groups.Channel. Serve is the only one that
// receives from it, and closes it.
type Mailbox interface {
	Name() string
	Receive(ctx context.Context) (groups.Message, error)
	Done() <-chan struct{}
	Err() error
	Close() error
}

// Handler is the application's side of a connection, or of many, if its
// functions may be called concurrently. Any field may be nil.
//
// Connect, Receive and Deliver get a context that ends with the connection or
// after Options.HandlerTimeout, that of Run ends with the connection alone. They
// must heed it, and may write to the connection themselves, with that context. An
// error of theirs ends the connection.
// A panic is caught, logged and turned into an error with a [PanicError] in it.
type Handler[M ~int] struct {
	// Connect is called first, before anything is read or delivered. Here the
	// channel joins its rooms.
	Connect func(ctx context.Context) error

	// Receive is called for each message but heartbeats, one at a time. While
	// it runs, nothing else is read: what takes long belongs in a goroutine. Where
	// a message cannot be sent on, as Redis is away, tell the peer and return nil:
	// the error of a send ends the connection like any other.
	Receive func(ctx context.Context, typ M, data []byte) error

	// Deliver turns a message of the channel into one for the peer, concurrently
	// with Receive. Nil data sends nothing. By default, payloads are sent as
	// text messages.
	Deliver func(ctx context.Context, m groups.Message) (typ M, data []byte, err error)

	// Run is called once Connect has returned, and runs beside the connection,
	// concurrently with Receive and Deliver: it follows the room for the peer, say.
	// A nil error leaves the connection as it is. For what it writes it sets its own
	// limits of time.
	Run func(ctx context.Context) error

	// Disconnect is called last and once, also if Connect failed: the channel
	// has left its rooms, the socket is closed, and no other handler runs. Its
	// context is alive for Options.LeaveTimeout. The cause is what Serve will
	// return, nil if the peer closed the connection normally.
	Disconnect func(ctx context.Context, cause error)
}

// Serve runs a connection from accept to leave. It blocks, and when it returns,
// nothing of it is left running.
//
// While the connection lasts, each message and each pong touches the presence,
// heartbeats are swallowed, and what is sent to the channel goes to the peer.
// It ends when the peer closes it or is dead, when a handler fails, when ctx
// ends, or when the channel is closed, whose last messages are still delivered.
// Then, whatever the cause, the channel leaves all its rooms, Disconnect is
// called, and the channel is closed.
//
// The socket is closed with the code of a [CloseError] if the cause has one in
// it. Else with 1001 if ctx, the Tracker or the channel layer ended, 1008 if the channel was
// closed, 1011 if a handler failed or an option is refused. A dead peer gets no close frame. Where a
// handler fails once the channel was closed, that is the cause, and not the
// handler's error.
//
// Serve returns the cause: nil if the peer closed the connection with 1000,
// 1001 or without a code; an error that wraps one of this package's; a
// *groups.InvalidError for a refused option; or the cause of ctx. A leave that failed is joined to it.
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
