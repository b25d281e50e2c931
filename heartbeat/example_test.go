package heartbeat_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/presence"
)

// A handler for websockets: who connects is in the lobby until the connection
// ends, however it ends, and says to all who are there what it says.
func ExampleServe() {
	ctx := context.Background()
	server, err := miniredis.Run() // yours is a Redis
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	layer, err := groups.New(ctx, client, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer layer.Close(ctx)
	tracker, err := presence.New(ctx, layer, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tracker.Close(ctx)

	left := make(chan struct{})
	lobby := func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		ch, err := layer.NewChannel()
		if err != nil {
			conn.Close(websocket.StatusTryAgainLater, "try again later")
			return
		}
		err = heartbeat.Serve(r.Context(), conn, tracker, ch, heartbeat.Handler[websocket.MessageType]{
			Connect: func(ctx context.Context) error {
				user := r.URL.Query().Get("user") // yours is authenticated
				_, _, err := tracker.Add(ctx, "lobby", ch.Name(), presence.Member{User: user})
				return err
			},
			Receive: func(ctx context.Context, _ websocket.MessageType, data []byte) error {
				return layer.GroupSend(ctx, "lobby", groups.Message{Type: "chat", Payload: data})
			},
			Disconnect: func(ctx context.Context, cause error) {
				users, err := tracker.Users(ctx, "lobby")
				fmt.Println("after the disconnect:", users, err)
			},
		}, nil)
		fmt.Println("served:", err)
		close(left)
	}

	srv := httptest.NewServer(http.HandlerFunc(lobby))
	defer srv.Close()
	browser, _, err := websocket.Dial(ctx, srv.URL+"?user=alice", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer browser.CloseNow()
	_ = browser.Write(ctx, websocket.MessageText, []byte(`"heartbeat"`))
	_ = browser.Write(ctx, websocket.MessageText, []byte(`"hello"`))
	_, data, err := browser.Read(ctx)
	fmt.Println("browser got:", string(data), err)
	users, err := tracker.Users(ctx, "lobby")
	fmt.Println("in the lobby:", users, err)
	browser.Close(websocket.StatusNormalClosure, "")
	<-left
	// Output:
	// browser got: "hello" <nil>
	// in the lobby: [alice] <nil>
	// after the disconnect: [] <nil>
	// served: <nil>
}
