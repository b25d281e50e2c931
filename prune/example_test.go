package prune_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// Two seconds pass in which ann's connection is silent.
func ExamplePruner() {
	ctx := context.Background()
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	layer, err := groups.New(ctx, client, nil)
	if err != nil {
		panic(err)
	}
	tracker, err := presence.New(ctx, layer, nil)
	if err != nil {
		panic(err)
	}
	defer func() {
		if err := errors.Join(tracker.Close(ctx), layer.Close(ctx), client.Close()); err != nil {
			panic(err)
		}
	}()
	channel, err := layer.NewChannel()
	if err != nil {
		panic(err)
	}
	if _, _, err := tracker.Add(ctx, "lobby", channel.Name(), presence.Member{User: "ann"}); err != nil {
		panic(err)
	}
	server.SetTime(time.Now().Add(2 * time.Second)) // the only clock that counts

	pruner, err := prune.New(tracker, nil)
	if err != nil {
		panic(err)
	}
	changes, err := pruner.PresencesOlderThan(ctx, time.Second)
	if err != nil {
		panic(err)
	}
	for _, c := range changes {
		fmt.Println(c.Room, "lost", c.UsersWent, c.Removed[0].Reason)
	}
	rooms, err := pruner.Rooms(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println("rooms deleted:", rooms)
	// Output:
	// lobby lost [ann] pruned
	// rooms deleted: [lobby]
}
