package gorilla

import (
	"context"
	"errors"
	"sync"

	"github.com/gorilla/websocket"
)

// conn adapts a connection to heartbeat.Serve.
type conn struct {
	*websocket.Conn
	writing sync.Mutex // gorilla allows one writer at a time
	pongs   chan struct{}
	ended   context.Context // once nothing more can be read
	end     context.CancelFunc
}

// closeError is gorilla's, with the fields that Serve recognises.
type closeError struct {
	Code   int
	Reason string
}

func (e closeError) Error() string { return e.Reason }

func newConn(ws *websocket.Conn) *conn {
	c := &conn{Conn: ws, pongs: make(chan struct{}, 1)}
	c.ended, c.end = context.WithCancel(context.Background())
	ws.SetPongHandler(func(string) error {
		select {
		case c.pongs <- struct{}{}:
		default:
		}
		return nil
	})
	return c
}

func (c *conn) Read(context.Context) (int, []byte, error) {
	typ, data, err := c.ReadMessage()
	if err != nil {
		c.end()
	}
	var closed *websocket.CloseError
	if errors.As(err, &closed) {
		err = closeError{closed.Code, closed.Text}
	}
	return typ, data, err
}

func (c *conn) Write(_ context.Context, typ int, data []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.WriteMessage(typ, data)
}
