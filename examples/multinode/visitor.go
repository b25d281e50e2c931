package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"unicode/utf8"

	"go.uber.org/zap"
	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/presence"
)

// visitor is one websocket in one room.
type visitor struct {
	node      *node
	room      string
	member    presence.Member
	view      bool              // it is the page, and wants what that draws
	forwarded presence.Revision // of the last list that it got
}

// serveVisitor is a websocket from its beginning to its end.
func (n *node) serveVisitor(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	v := &visitor{
		node:   n,
		room:   r.PathValue("room"),
		member: presence.Member{User: query.Get("user")},
		view:   query.Get("view") == "1",
	}
	if err := checkNames(v.room, v.member.User); err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	// The pages of other nodes come here when theirs have gone.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: n.hosts})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	n.connected(1)
	defer n.connected(-1)
	if err := v.serve(r.Context(), conn); err != nil {
		n.log.Debug("connection ended", zap.String("room", v.room), zap.Error(err))
	}
}

func (v *visitor) serve(ctx context.Context, conn *websocket.Conn) error {
	n := v.node
	channel, err := n.layer.NewChannel()
	if err != nil {
		return conn.Close(websocket.StatusGoingAway, "going away")
	}
	every := intervalsFor(n.config.MaxAge)
	return heartbeat.Serve(ctx, conn, n.tracker, channel, heartbeat.Handler[websocket.MessageType]{
		Connect: func(ctx context.Context) error {
			_, _, err := n.tracker.Add(ctx, v.room, channel.Name(), v.member)
			return err
		},
		Receive: v.receive,
		Deliver: v.deliver,
	}, &heartbeat.Options{PingInterval: every.ping, PingTimeout: every.ping, Logger: n.log})
}

// receive sends a text to the room. Who sent it hears it with the others.
func (v *visitor) receive(ctx context.Context, typ websocket.MessageType, data []byte) error {
	if typ != websocket.MessageText {
		return nil
	}
	line := roomLine{ChannelName: v.room, Text: string(data)}
	if v.member.User != "" {
		line.User = &v.member.User
	}
	return v.node.broadcast(ctx, v.room, "message", line)
}

// deliver makes what was sent to the room a frame for this client.
//
// Two nodes that send their lists at the same moment may see them arrive in
// the wrong order. The revision tells: an older list than the last one stays
// here, so the last list that a client gets is the true one.
func (v *visitor) deliver(_ context.Context, m groups.Message) (websocket.MessageType, []byte, error) {
	switch m.Type {
	case "presence":
		var list struct{ Revision presence.Revision }
		if err := m.Decode(&list); err != nil {
			return 0, nil, err
		}
		if list.Revision < v.forwarded {
			return 0, nil, nil
		}
		v.forwarded = list.Revision
	case "view":
		if !v.view {
			return 0, nil, nil
		}
	}
	data, err := json.Marshal(frame{Type: m.Type, Payload: m.Payload})
	return websocket.MessageText, data, err
}

// evicted closes the socket of a visitor whom another node has swept: he is
// connected after all, and joins anew.
func (n *node) evicted(_ context.Context, e presence.Eviction) {
	if channel, ok := n.layer.Channel(e.Channel); ok {
		channel.CloseWith(heartbeat.CloseError{Code: int(websocket.StatusTryAgainLater), Reason: e.Reason.String()})
	}
}

// checkNames refuses before the upgrade what the library would refuse after:
// then a client gets a status instead of a closed socket.
func checkNames(room, user string) error {
	if room == "" || !fits(room) {
		return fmt.Errorf("a room's name is 1 to 255 bytes of UTF-8, not %.40q", room)
	}
	if !fits(user) {
		return fmt.Errorf("a user's name is up to 255 bytes of UTF-8, not %.40q", user)
	}
	return nil
}

func fits(name string) bool { return len(name) <= 255 && utf8.ValidString(name) }
