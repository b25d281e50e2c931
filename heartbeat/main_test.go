package heartbeat_test

import (
	"testing"

	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

var (
	_ heartbeat.Presence = (*presence.Tracker)(nil)
	_ heartbeat.Mailbox  = (*groups.Channel)(nil)

	_ heartbeat.Conn[websocket.MessageType, websocket.StatusCode] = (*websocket.Conn)(nil)
)

func TestMain(m *testing.M) { redistest.Main(m) }
