// Package coder serves rooms over github.com/coder/websocket, the successor of
// nhooyr.io/websocket.
package coder

import (
	"context"
	"net/http"

	"github.com/coder/websocket"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/presence"
)

// Room returns a handler for GET /ws/{room}?user=NAME. A client is in the room while it
// is connected, and what it sends goes to everybody there.
func Room(layer *groups.Layer, tracker *presence.Tracker, opts *heartbeat.Options) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		channel, err := layer.NewChannel()
		if err != nil {
			http.Error(w, "going away", http.StatusServiceUnavailable)
			return
		}
		defer channel.Close()
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // Accept has answered
		}
		defer conn.CloseNow()
		room, who := r.PathValue("room"), presence.Member{User: r.URL.Query().Get("user")}
		_ = heartbeat.Serve(r.Context(), conn, tracker, channel, heartbeat.Handler[websocket.MessageType]{
			Connect: func(ctx context.Context) error {
				_, _, err := tracker.Add(ctx, room, channel.Name(), who)
				return err
			},
			Receive: func(ctx context.Context, _ websocket.MessageType, data []byte) error {
				return layer.GroupSend(ctx, room, groups.Message{Type: "chat", Payload: data})
			},
		}, opts)
	}
}
