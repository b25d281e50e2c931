package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/presence"
)

const (
	joinTime  = 5 * time.Second  // how long a visitor waits for Redis to join
	writeTime = 10 * time.Second // how long a client may take for one message
)

// visitor is one websocket in one room.
type visitor struct {
	node      *node
	room      string
	user      string
	conn      *websocket.Conn
	channel   *groups.Channel
	typist    *typist
	joined    presence.Revision
	lists     bool              // it wants the message "presence"
	forwarded presence.Revision // of the last list that it got
}

// serveVisitor serves a websocket from its beginning to its end.
func (n *node) serveVisitor(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	v := &visitor{
		node:  n,
		room:  r.PathValue("room"),
		user:  query.Get("user"),
		lists: query.Get("presence") != "off",
	}
	if err := checkNames(v.room, v.user); err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	channel, err := n.layer.NewChannel()
	if err != nil {
		writeError(w, http.StatusServiceUnavailable, err)
		return
	}
	defer channel.Close()
	// The pages of other nodes come here when their own node is gone.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: n.hosts})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	n.connected(1)
	defer n.connected(-1)
	v.channel, v.conn = channel, conn
	if err := v.serve(r.Context()); err != nil {
		n.log.Debug("connection ended", zap.String("room", v.room), zap.Error(err))
	}
}

func (v *visitor) serve(ctx context.Context) error {
	n := v.node
	v.typist = newTypist(v.tellTyping)
	every := intervalsFor(n.config.MaxAge)
	return heartbeat.Serve(ctx, v.conn, n.tracker, v.channel, heartbeat.Handler[websocket.MessageType]{
		Connect: v.join,
		Run:     v.follow,
		Receive: v.receive,
		Deliver: v.deliver,
	}, &heartbeat.Options{PingInterval: every.ping, PingTimeout: every.ping, WriteTimeout: writeTime, Logger: n.log})
}

func (v *visitor) join(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	member := presence.Member{User: v.user, Info: v.info(false)}
	_, v.joined, err = v.node.tracker.Add(ctx, v.room, v.channel.Name(), member)
	return err
}

// follow shows the visitor the room, and the room whether the visitor types.
func (v *visitor) follow(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var typing sync.WaitGroup
	defer typing.Wait()
	defer stop()
	typing.Go(func() { v.typist.run(ctx) })

	w, err := v.watch(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	return feed(ctx, w, v.channel.Name(), func(typ string, payload any) error {
		return v.write(ctx, typ, payload)
	})
}

func (v *visitor) watch(ctx context.Context) (*presence.Watcher, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	return v.node.tracker.Watch(ctx, v.room, &presence.WatchOptions{MinInterval: viewInterval, After: v.joined})
}

func (v *visitor) info(typing bool) []byte {
	info, _ := json.Marshal(visitorInfo{Node: v.node.config.Number, Typing: typing})
	return info
}

// tellTyping fails while Redis is away. That is no reason to end a connection.
func (v *visitor) tellTyping(ctx context.Context, typing bool) error {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	_, err := v.node.tracker.Update(ctx, v.room, v.channel.Name(), v.info(typing))
	return err
}

// write sends the client a frame. The connection does not outlive a write that takes
// too long.
func (v *visitor) write(ctx context.Context, typ string, payload any) error {
	data, err := json.Marshal(frame{Type: typ, Payload: payload})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	return v.conn.Write(ctx, websocket.MessageText, data)
}

// receive sends a text to the room, unless it is about typing. The sender hears it with
// the others.
func (v *visitor) receive(ctx context.Context, typ websocket.MessageType, data []byte) error {
	if typ != websocket.MessageText {
		return nil
	}
	if typing, ok := typingMessage(data); ok {
		v.typist.hear(typing)
		return nil
	}
	v.typist.hear(false)
	line := roomLine{ChannelName: v.room, Text: string(data)}
	if v.user != "" {
		line.User = &v.user
	}
	return v.node.broadcast(ctx, v.room, "message", line)
}

// deliver turns what was sent to the room into a frame for this client.
//
// The lists that two nodes send at the same moment may arrive in the wrong order. The
// revision tells: a list older than the last one stays here, so the last list that a
// client gets is the true one.
func (v *visitor) deliver(_ context.Context, m groups.Message) (websocket.MessageType, []byte, error) {
	if m.Type == "presence" {
		if !v.lists {
			return 0, nil, nil
		}
		var list struct{ Revision presence.Revision }
		if err := m.Decode(&list); err != nil {
			return 0, nil, err
		}
		if list.Revision < v.forwarded {
			return 0, nil, nil
		}
		v.forwarded = list.Revision
	}
	data, err := json.Marshal(frame{Type: m.Type, Payload: json.RawMessage(m.Payload)})
	return websocket.MessageText, data, err
}

// evicted closes the socket of a visitor that another node has swept: it is connected
// after all, and joins anew.
func (n *node) evicted(_ context.Context, _ *presence.Tracker, e presence.Eviction) {
	if channel, ok := n.layer.Channel(e.Channel); ok {
		channel.CloseWith(heartbeat.CloseError{Code: int(websocket.StatusTryAgainLater), Reason: e.Reason.String()})
	}
}

// checkNames refuses before the upgrade what the library would refuse after it, so that
// a client gets a status instead of a closed socket.
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
