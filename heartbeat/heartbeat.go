package heartbeat

import (
	"context"
	"errors"
	"time"

	"github.com/rollcall-go/rollcall/presence"
)

// Presence is what this package needs of a *presence.Tracker. All connections share it,
// so it is used concurrently. Touch must not block, as it is called for each message.
type Presence interface {
	Touch(channel string)
	LeaveAllAfter(
		ctx context.Context, channel string, why presence.Reason, grace time.Duration,
	) (map[string]presence.Revision, error)
}

const (
	heartbeat = `"heartbeat"`

	// messageText is the opcode of a text frame in RFC 6455, which Go's websocket
	// libraries use as the message type.
	messageText = 1
)

// IsHeartbeat reports whether a text message is a heartbeat: the JSON string
// "heartbeat", with its quotes, byte for byte. With blanks or a newline around it, it
// is another message.
func IsHeartbeat(text []byte) bool { return string(text) == heartbeat }

// TouchPresence decorates a message handler. Every message, text or binary, touches the
// channel and is then passed to next, except for heartbeats. A nil next only touches.
//
// The returned function may be called concurrently if next may, and allocates nothing.
func TouchPresence[M ~int](
	p Presence, channel string, next func(ctx context.Context, typ M, data []byte) error,
) func(ctx context.Context, typ M, data []byte) error {
	return func(ctx context.Context, typ M, data []byte) error {
		p.Touch(channel)
		if next == nil || typ == messageText && IsHeartbeat(data) {
			return nil
		}
		return next(ctx, typ, data)
	}
}

// RemovePresence decorates a disconnect handler. The channel leaves all its rooms, then
// next is called, even if the leave failed or panicked. Both outlive ctx, which has
// usually ended by then, and have [DefaultLeaveTimeout] each. The returned function
// reports an error of the leave. next may be nil.
func RemovePresence(
	p Presence, channel string, next func(ctx context.Context, cause error),
) func(ctx context.Context, cause error) error {
	return func(ctx context.Context, cause error) error {
		if next != nil {
			defer func() {
				ctx, cancel := outlive(ctx, DefaultLeaveTimeout)
				defer cancel()
				next(ctx, cause)
			}()
		}
		return leaveAll(ctx, p, channel, cause, 0, DefaultLeaveTimeout)
	}
}

func leaveAll(ctx context.Context, p Presence, channel string, cause error, grace, timeout time.Duration) error {
	ctx, cancel := outlive(ctx, timeout)
	defer cancel()
	why := presence.Disconnected
	if errors.Is(cause, ErrDeadPeer) {
		why = presence.TimedOut
	}
	_, err := p.LeaveAllAfter(ctx, channel, why, grace)
	return err
}

// outlive returns a context with the values of ctx but its own lifetime.
func outlive(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), timeout)
}
