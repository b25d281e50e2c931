package recipes

import (
	"context"
	"net/http"

	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/presence"
)

// Gate lets in users with a session, from pages of this site and of allowed ones.
type Gate struct {
	Layer   *groups.Layer
	Tracker *presence.Tracker
	// Origins are the hosts of other sites whose pages may connect, such as
	// "app.example.com". A browser sends its cookies for any page, so without this
	// check any page could speak as the user.
	Origins []string
	// User returns the user of a request's session, or "" if there is none.
	User func(r *http.Request) string
	// MayEnter reports whether a user may be in a room.
	MayEnter func(ctx context.Context, user, room string) bool
}

// LoggedOut closes the sockets of a user who has logged out or been blocked.
var LoggedOut = groups.CloseError{Code: 4001, Reason: "logged out"}

// ServeHTTP serves GET /ws/{room}. It refuses what it can before the upgrade, as a
// browser tells a page only that the upgrade failed.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, room := g.User(r), r.PathValue("room")
	switch {
	case user == "":
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	case !g.MayEnter(r.Context(), user, room):
		http.Error(w, "not yours", http.StatusForbidden)
		return
	}
	channel, err := g.Layer.NewChannel()
	if err != nil {
		http.Error(w, "going away", http.StatusServiceUnavailable)
		return
	}
	defer channel.Close()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: g.Origins})
	if err != nil {
		return // Accept has answered, with 403 for a foreign page
	}
	defer conn.CloseNow()
	_ = heartbeat.Serve(r.Context(), conn, g.Tracker, channel, heartbeat.Handler[websocket.MessageType]{
		Connect: func(ctx context.Context) error {
			_, _, err := g.Tracker.Add(ctx, room, channel.Name(), presence.Member{User: user})
			return err
		},
	}, nil)
}

// LogOut removes a user from all rooms, on all nodes, and closes the sockets.
func (g *Gate) LogOut(ctx context.Context, user string) error {
	_, err := g.Tracker.Kick(ctx, presence.Kick{User: user, Close: LoggedOut})
	return err
}
