// Package gorilla serves rooms over github.com/gorilla/websocket.
package gorilla

import (
	"context"
	"net/http"

	"github.com/gorilla/websocket"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/presence"
)

// Room returns a handler for GET /ws/{room}?user=NAME. A client is in the room while it
// is connected, and what it sends goes to everybody there.
func Room(layer *groups.Layer, tracker *presence.Tracker, opts *heartbeat.Options) http.HandlerFunc {
	var upgrader websocket.Upgrader // it refuses other origins
	return func(w http.ResponseWriter, r *http.Request) {
		channel, err := layer.NewChannel()
		if err != nil {
			http.Error(w, "going away", http.StatusServiceUnavailable)
			return
		}
		defer channel.Close()
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // Upgrade has answered
		}
		defer ws.Close()
		room, who := r.PathValue("room"), presence.Member{User: r.URL.Query().Get("user")}
		_ = heartbeat.Serve(r.Context(), newConn(ws), tracker, channel, heartbeat.Handler[int]{
			Connect: func(ctx context.Context) error {
				_, _, err := tracker.Add(ctx, room, channel.Name(), who)
				return err
			},
			Receive: func(ctx context.Context, _ int, data []byte) error {
				return layer.GroupSend(ctx, room, groups.Message{Type: "chat", Payload: data})
			},
		}, opts)
	}
}
