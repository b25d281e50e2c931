package heartbeat

import (
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/groups"
)

// DefaultLeaveTimeout is the default of Options.LeaveTimeout.
const DefaultLeaveTimeout = 5 * time.Second

const (
	defaultPingInterval   = 20 * time.Second
	defaultPingTimeout    = 10 * time.Second
	defaultWriteTimeout   = 10 * time.Second
	defaultHandlerTimeout = 30 * time.Second
	defaultReadLimit      = 32 << 10
)

// Options of Serve, which copies them, so connections may share one. The zero value of
// each field is its default. Serve refuses negative values except where documented.
type Options struct {
	// PingInterval is the time between a pong and the next ping. Together with
	// PingTimeout it must be well below the tracker's max age, or peers that only
	// listen are pruned. Defaults to 20 s, or to a third of a Tracker's max age if that
	// is less. Negative means no pings, and then a dead peer is not noticed either.
	PingInterval time.Duration

	// PingTimeout is how long the peer has to answer a ping before it counts as dead.
	// Defaults to 10 s.
	PingTimeout time.Duration

	// WriteTimeout is how long writing one message may take before the peer counts as
	// dead. Defaults to 10 s.
	WriteTimeout time.Duration

	// HandlerTimeout is how long each call of Connect, Receive and Deliver may take.
	// Their context ends then, which also bounds what they write with it to a stalled
	// peer. Defaults to 30 s; negative means no limit.
	HandlerTimeout time.Duration

	// LeaveTimeout is how long the leave may take, and also how long it waits for a
	// handler that is still running. Disconnect has as long again. Defaults to
	// DefaultLeaveTimeout, 5 s.
	LeaveTimeout time.Duration

	// Grace is how long the presences stay after a connection ended that the
	// application did not close, see presence.Tracker.LeaveAllAfter: a page that is
	// reloaded within it shows nobody leaving. A handler that fails because a connection
	// was closed or reset has not closed it. While the Tracker drains, all presences
	// stay for at least the grace of Drain. Defaults to none.
	Grace time.Duration

	// ReadLimit is the maximum size of a received message in bytes. A longer one closes
	// the socket with 1009. Defaults to 32 KiB; negative means no limit.
	ReadLimit int64

	// Logger receives lines about connections that end badly. The layer's logger,
	// Layer.Logger, keeps a storm of them short. Defaults to none.
	Logger *zap.Logger
}

// withDefaults returns usable Options even with an error: the connection must still be
// closed, and its channel leave.
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
