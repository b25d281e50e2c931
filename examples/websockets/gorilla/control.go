package gorilla

import (
	"context"
	"time"

	"github.com/gorilla/websocket"
)

const handshake = time.Second // for the answer to a close

// Ping sends a ping and waits for its pong.
func (c *conn) Ping(ctx context.Context) error {
	select {
	case <-c.pongs: // of an earlier ping
	default:
	}
	deadline, _ := ctx.Deadline()
	if err := c.WriteControl(websocket.PingMessage, nil, deadline); err != nil {
		return err
	}
	select {
	case <-c.pongs:
		return nil
	case <-c.ended.Done():
		return websocket.ErrCloseSent
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close sends the reason, gives the peer a moment to answer, and closes.
func (c *conn) Close(code int, reason string) error {
	deadline := time.Now().Add(handshake)
	err := c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), deadline)
	if err == nil {
		select {
		case <-c.ended.Done():
		case <-time.After(handshake):
		}
	}
	_ = c.CloseNow()
	return err
}

// CloseNow closes without a close frame.
func (c *conn) CloseNow() error {
	c.end()
	return c.Conn.Close()
}
