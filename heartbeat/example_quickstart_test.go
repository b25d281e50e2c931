package heartbeat_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// The README repeats serveRooms word for word; internal/published compares them.

// serveRooms is one node: ws://.../ws/{room}?user=NAME enters a room, and all in
// the room, on every node, get its new list of users after each change.
func serveRooms(ctx context.Context, client redis.UniversalClient, l net.Listener) error {
	layer, err := groups.New(ctx, client, nil)
	if err != nil {
		return err
	}
	tracker, err := presence.New(ctx, layer, &presence.Options{
		OnChange: func(ctx context.Context, tracker *presence.Tracker, c presence.Change) {
			if users, err := tracker.Users(ctx, c.Room); err == nil && len(c.Updated) == 0 && !c.Restored {
				list, _ := groups.NewJSON("presence", users)
				_ = layer.GroupSend(ctx, c.Room, list) // delivered at most once
			}
		},
	})
	if err != nil {
		return err
	}
	var work sync.WaitGroup
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = tracker.Close(closing) // all leave
		_ = layer.Close(closing)   // the sockets are told to go elsewhere
		work.Wait()
	}()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	pruner, err := prune.New(tracker, nil)
	if err != nil {
		return err
	}
	work.Go(func() { _ = pruner.Run(ctx) }) // every node may prune

	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws/{room}", func(w http.ResponseWriter, r *http.Request) {
		work.Add(1)
		defer work.Done()
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
		_ = heartbeat.Serve(r.Context(), conn, tracker, channel, heartbeat.Handler[websocket.MessageType]{
			Connect: func(ctx context.Context) error {
				who := presence.Member{User: r.URL.Query().Get("user")} // "" is anonymous
				_, _, err := tracker.Add(ctx, r.PathValue("room"), channel.Name(), who)
				return err
			},
		}, nil)
	})
	defer context.AfterFunc(ctx, func() { l.Close() })()
	return http.Serve(l, mux)
}

// A node on an embedded Redis, and two who enter its lobby.
func Example() {
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serveRooms(ctx, client, l) }()

	for _, user := range []string{"ann", "bob"} {
		conn, _, err := websocket.Dial(ctx, "ws://"+l.Addr().String()+"/ws/lobby?user="+user, nil)
		if err != nil {
			panic(err)
		}
		defer conn.CloseNow()
		_, list, err := conn.Read(ctx)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s gets %s\n", user, list)
	}
	stop()
	<-served
	// Output:
	// ann gets ["ann"]
	// bob gets ["ann","bob"]
}
