package groups_test

import (
	"context"
	"fmt"
	"log"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
)

func ExampleLayer() {
	server, err := miniredis.Run() // in earnest, a Redis 7 or newer
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()

	ctx := context.Background()
	layer, err := groups.New(ctx, client, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer layer.Close(ctx)

	channel, err := layer.NewChannel() // one for each connection
	if err != nil {
		log.Fatal(err)
	}
	if err := layer.GroupAdd(ctx, "lobby", channel.Name()); err != nil {
		log.Fatal(err)
	}
	// Any node of the fleet may send.
	if err := layer.GroupSend(ctx, "lobby", groups.Message{Type: "chat", Payload: []byte("hello")}); err != nil {
		log.Fatal(err)
	}
	m, err := channel.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s\n", m.Type, m.Payload)

	channel.Close()
	_, err = channel.Receive(ctx)
	fmt.Println(err)
	// Output:
	// chat: hello
	// rollcall: channel is closed
}
