package heartbeat

import (
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/groups"
)

// DefaultLeaveTimeout is how long a leave may take, unless Options say otherwise.
const DefaultLeaveTimeout = 5 * time.Second

const (
	defaultPingInterval   = 20 * time.Second
	defaultPingTimeout    = 10 * time.Second
	defaultWriteTimeout   = 10 * time.Second
	defaultHandlerTimeout = 30 * time.Second
	defaultReadLimit      = 32 << 10
)

// Options of Serve, which copies them: connections may share one. The zero value
// of each field is its default. Serve refuses a negative one, unless it says here what
// that means.
type Options struct {
	// PingInterval is the time between a pong and the next ping. Together with
	// PingTimeout it must be well below the tracker's max age, or who only
	// listens is pruned alive. Defaults to 20 s, or to a third of a Tracker's
	// max age where that is less; negative means no pings, and then a dead peer
	// is not noticed either.
	PingInterval time.Duration

	// PingTimeout is how long the peer has for its pong before it counts as
	// dead. Defaults to 10 s.
	PingTimeout time.Duration

	// WriteTimeout is how long one message may take to be written before the
	// peer counts as dead. Defaults to 10 s.
	WriteTimeout time.Duration

	// HandlerTimeout is how long each call of Connect, Receive and Deliver may
	// take: their context ends then. It bounds what they write to a stalled
	// peer with that context, too. Defaults to 30 s; negative means no limit.
	HandlerTimeout time.Duration

	// LeaveTimeout is how long the leave may take, and also how long it waits
	// for a handler that still runs. Disconnect has as long again. Defaults to
	// DefaultLeaveTimeout, 5 s.
	LeaveTimeout time.Duration

	// Grace is how long the presences stay after the connection has ended without
	// being closed by the application, see presence.Tracker.LeaveAllAfter: a page
	// that is loaded again within it shows nobody leaving. While the Tracker drains,
	// all presences stay for the grace of that at least. Defaults to none.
	Grace time.Duration

	// ReadLimit is the longest message that is read, in bytes; a longer one
	// closes the socket with 1009. Defaults to 32 KiB; negative means no limit.
	ReadLimit int64

	// Logger gets lines about connections that end badly. That of the layer,
	// Layer.Logger, keeps a storm of them short. Defaults to none.
	Logger *zap.Logger
}

// withDefaults returns usable Options beside the error, too: the connection is still
// to be closed, and its channel to leave.
func (o *Options) withDefaults(p Presence) (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	err := c.validate()
	if c.PingInterval == 0 {
		c.PingInterval = defaultPingInterval
		if t, ok := p.(interface{ MaxAge() time.Duration }); ok {
			c.PingInterval = min(c.PingInterval, t.MaxAge()/3)
		}
	}
	if c.PingTimeout <= 0 {
		c.PingTimeout = defaultPingTimeout
	}
	if c.WriteTimeout <= 0 {
		c.WriteTimeout = defaultWriteTimeout
	}
	if c.HandlerTimeout == 0 {
		c.HandlerTimeout = defaultHandlerTimeout
	}
	if c.LeaveTimeout <= 0 {
		c.LeaveTimeout = DefaultLeaveTimeout
	}
	if c.ReadLimit == 0 {
		c.ReadLimit = defaultReadLimit
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	return c, err
}

func (o *Options) validate() error {
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"PingTimeout", o.PingTimeout}, {"WriteTimeout", o.WriteTimeout},
		{"LeaveTimeout", o.LeaveTimeout}, {"Grace", o.Grace},
	} {
		if d.value < 0 {
			return &groups.InvalidError{Field: d.field, Value: d.value.String(), Reason: "negative"}
		}
	}
	return nil
}
