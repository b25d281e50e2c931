package groups_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
)

// One handler for each type of message, and one for the rest.
func ExampleMux() {
	var mux groups.Mux
	mux.Handle("forward.message", func(_ context.Context, m groups.Message) error {
		fmt.Printf("to the browser: %s\n", m.Payload)
		return nil
	})
	mux.Default(func(_ context.Context, m groups.Message) error {
		fmt.Printf("ignored: %s\n", m.Type)
		return nil
	})

	ctx := context.Background()
	_ = mux.Dispatch(ctx, groups.Message{Type: "forward.message", Payload: []byte(`{"text":"hello"}`)})
	_ = mux.Dispatch(ctx, groups.Message{Type: "of.a.newer.node"})
	// Output:
	// to the browser: {"text":"hello"}
	// ignored: of.a.newer.node
}

// A connection handles what is sent to its channel and to its groups until one
// of the handlers ends it.
func ExampleMux_Serve() {
	server, err := miniredis.Run() // yours is a Redis
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()

	ctx := context.Background()
	layer, err := groups.New(ctx, client, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer layer.Close(ctx)

	errKicked := errors.New("kicked")
	mux := groups.NewMux()
	mux.Handle("forward.message", func(_ context.Context, m groups.Message) error {
		var text string
		if err := m.Decode(&text); err != nil {
			return err
		}
		fmt.Println("to the browser:", text)
		return nil
	})
	mux.Handle("kick", func(context.Context, groups.Message) error { return errKicked })

	ch, err := layer.NewChannel()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ch.Close()
	if err := layer.GroupAdd(ctx, "lobby", ch.Name()); err != nil {
		fmt.Println(err)
		return
	}

	// Any node may send these.
	hello, _ := groups.NewJSON("forward.message", "hello, lobby")
	_ = layer.GroupSend(ctx, "lobby", hello)
	_ = layer.GroupSend(ctx, "lobby", groups.Message{Type: "kick"})

	fmt.Println(mux.Serve(ctx, ch))
	// Output:
	// to the browser: hello, lobby
	// kicked
}
