package heartbeat_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/internal/nodetest"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// Row 16: a client that does not read is sent away, and leaves its room. It holds
// up nobody: who reads gets everything, in order, while the other is stuck.
func TestAClientThatDoesNotRead(t *testing.T) {
	const messages, size = 400, 60_000
	s := redistest.Mini(t)
	n := nodetest.Start(t, s.NewClient(t), nodetest.Options{Groups: &groups.Options{Capacity: messages}})
	ends := make(chan error, 2)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		channel, err := n.Layer.NewChannel()
		if err != nil {
			t.Error(err)
			return
		}
		limit := time.Minute
		if r.URL.Query().Get("user") == "stuck" {
			limit = 2 * time.Second
		}
		ends <- heartbeat.Serve(r.Context(), conn, n.Tracker, channel, handler{Connect: func(ctx context.Context) error {
			_, _, err := n.Add(ctx, "lobby", channel.Name(), presence.Member{User: r.URL.Query().Get("user")})
			return err
		}}, &heartbeat.Options{WriteTimeout: limit})
	}))
	var closing sync.Once
	end := func() {
		closing.Do(func() {
			n.End(t)
			srv.Close()
		})
	}
	defer end()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	dial := func(user string) *websocket.Conn {
		conn, _, err := websocket.Dial(t.Context(), srv.URL+"?user="+user, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
		if err != nil {
			t.Fatal(err)
		}
		conn.SetReadLimit(-1)
		t.Cleanup(func() { conn.CloseNow() })
		return conn
	}
	dial("stuck")
	reads := dial("reads")
	users := func(want int) {
		t.Helper()
		redistest.Eventually(t, 30*time.Second, func() error {
			c, err := n.Counts(t.Context(), "lobby")
			if err == nil && c.Users != want {
				err = fmt.Errorf("%d users", c.Users)
			}
			return err
		})
	}
	users(2)
	var sending sync.WaitGroup
	defer sending.Wait()
	sending.Go(func() {
		for i := range messages {
			payload := fmt.Sprint(i, " ", strings.Repeat("x", size))
			if err := n.Layer.GroupSend(t.Context(), "lobby", groups.Message{Payload: []byte(payload)}); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range messages {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, data, err := reads.Read(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if got, _, _ := strings.Cut(string(data), " "); got != fmt.Sprint(i) {
			t.Fatalf("message %s, want %d", got, i)
		}
	}
	if err := <-ends; !errors.Is(err, heartbeat.ErrDeadPeer) {
		t.Errorf("the stuck one ended with %v", err)
	}
	users(1)
	reads.CloseNow()
	end()
	<-ends
}
