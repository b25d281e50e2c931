package recipes

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

func TestTheGate(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		layer, err := groups.New(t.Context(), s.NewClient(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		tracker, err := presence.New(t.Context(), layer, nil)
		if err != nil {
			t.Fatal(err)
		}
		gate := &Gate{
			Layer: layer, Tracker: tracker, Origins: []string{"app.example.com"},
			User:     func(r *http.Request) string { return r.Header.Get("Session") },
			MayEnter: func(_ context.Context, user, room string) bool { return room != "vault" },
		}
		mux := http.NewServeMux()
		mux.Handle("GET /ws/{room}", gate)
		web := httptest.NewServer(mux)
		defer web.Close()
		defer func() { _, _ = tracker.Close(context.Background()), layer.Close(context.Background()) }()

		dial := func(session, room, origin string) (*websocket.Conn, int) {
			t.Helper()
			header := http.Header{"Session": {session}}
			if origin != "" {
				header.Set("Origin", origin)
			}
			conn, response, err := websocket.Dial(t.Context(), web.URL+"/ws/"+room, &websocket.DialOptions{HTTPHeader: header})
			if response == nil {
				t.Fatal(err)
			}
			if conn != nil {
				t.Cleanup(func() { conn.CloseNow() })
			}
			return conn, response.StatusCode
		}
		for _, refused := range []struct {
			session, room, origin string
			status                int
		}{
			{"", "lobby", "", http.StatusUnauthorized},
			{"ann", "vault", "", http.StatusForbidden},
			{"ann", "lobby", "https://evil.example.com", http.StatusForbidden},
		} {
			if _, status := dial(refused.session, refused.room, refused.origin); status != refused.status {
				t.Errorf("%+v: status %d", refused, status)
			}
		}
		conn, status := dial("ann", "lobby", "https://app.example.com")
		if status != http.StatusSwitchingProtocols {
			t.Fatalf("status %d", status)
		}
		redistest.Eventually(t, 30*time.Second, func() error {
			users, err := tracker.Users(t.Context(), "lobby")
			if err == nil && len(users) != 1 {
				err = errors.New("ann is not there")
			}
			return err
		})
		if err := gate.LogOut(t.Context(), "ann"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		_, _, err = conn.Read(ctx)
		if websocket.CloseStatus(err) != 4001 {
			t.Errorf("closed with %v", err)
		}
		if err := layer.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, status := dial("ann", "lobby", ""); status != http.StatusServiceUnavailable {
			t.Errorf("of a node that is gone: status %d", status)
		}
	})
}
