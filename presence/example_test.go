package presence_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

// exampleNode is a node on a Redis of its own, and what stops both.
func exampleNode(ctx context.Context, opts *presence.Options) (*groups.Layer, *presence.Tracker, func()) {
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	layer, err := groups.New(ctx, client, nil)
	if err != nil {
		panic(err)
	}
	tracker, err := presence.New(ctx, layer, opts)
	if err != nil {
		panic(err)
	}
	return layer, tracker, func() {
		err := errors.Join(tracker.Close(ctx), layer.Close(ctx), client.Close())
		server.Close()
		if err != nil {
			panic(err)
		}
	}
}

// enter opens a channel and adds it to a room.
func enter(ctx context.Context, layer *groups.Layer, tracker *presence.Tracker, room, user string) *groups.Channel {
	channel, err := layer.NewChannel()
	if err != nil {
		panic(err)
	}
	if _, _, err := tracker.Add(ctx, room, channel.Name(), presence.Member{User: user}); err != nil {
		panic(err)
	}
	return channel
}

func ExampleTracker_Add() {
	ctx := context.Background()
	layer, tracker, stop := exampleNode(ctx, nil)
	defer stop()
	channel, err := layer.NewChannel()
	if err != nil {
		panic(err)
	}

	p, _, err := tracker.Add(ctx, "lobby", channel.Name(), presence.Member{User: "ann", Info: []byte("busy")})
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s is in %s: %s\n", p.User, p.Room, p.Info)

	// The channel is in the group of that name now.
	if err := layer.GroupSend(ctx, "lobby", groups.Message{Type: "hello"}); err != nil {
		panic(err)
	}
	m, err := channel.Receive(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(m.Type)
	// Output:
	// ann is in lobby: busy
	// hello
}

func ExampleTracker_LeaveAll() {
	ctx := context.Background()
	layer, tracker, stop := exampleNode(ctx, nil)
	defer stop()
	channel := enter(ctx, layer, tracker, "garden", "ann")
	if _, _, err := tracker.Add(ctx, "harbour", channel.Name(), presence.Member{User: "ann"}); err != nil {
		panic(err)
	}

	left, err := tracker.LeaveAll(ctx, channel.Name(), presence.Disconnected)
	if err != nil {
		panic(err)
	}
	fmt.Println("rooms left:", len(left))
	// Output:
	// rooms left: 2
}

func ExampleReader_Snapshot() {
	ctx := context.Background()
	layer, tracker, stop := exampleNode(ctx, nil)
	defer stop()
	for _, user := range []string{"bob", "ann", "ann", ""} { // ann has two connections
		enter(ctx, layer, tracker, "lobby", user)
	}

	s, err := tracker.Snapshot(ctx, "lobby") // a Tracker is a Reader too
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Users(), "and", s.Counts.Anonymous, "anonymous,", len(s.Presences), "in all")
	// Output:
	// [ann bob] and 1 anonymous, 4 in all
}

func ExampleReader_Counts() {
	ctx := context.Background()
	layer, tracker, stop := exampleNode(ctx, nil)
	defer stop()
	enter(ctx, layer, tracker, "lobby", "ann")
	enter(ctx, layer, tracker, "lobby", "")

	c, err := tracker.Counts(ctx, "lobby")
	if err != nil {
		panic(err)
	}
	fmt.Println(c.Presences, c.Users, c.Anonymous)
	// Output:
	// 2 1 1
}

func ExampleReader_Rooms() {
	ctx := context.Background()
	layer, tracker, stop := exampleNode(ctx, nil)
	defer stop()
	enter(ctx, layer, tracker, "garden", "ann")
	enter(ctx, layer, tracker, "harbour", "bob")

	for room, err := range tracker.Rooms(ctx) {
		if err != nil {
			panic(err)
		}
		fmt.Println(room)
	}
	// Unordered output:
	// garden
	// harbour
}

func ExampleOptions() {
	ctx := context.Background()
	layer, tracker, stop := exampleNode(ctx, &presence.Options{
		OnChange: func(_ context.Context, _ *presence.Tracker, c presence.Change) {
			for _, p := range c.Added {
				fmt.Println(p.User, "came to", c.Room)
			}
			for _, p := range c.Removed {
				fmt.Println(p.User, "went from", c.Room+":", p.Reason)
			}
		},
	})
	defer stop() // waits for the handler
	channel := enter(ctx, layer, tracker, "lobby", "ann")
	if _, err := tracker.Remove(ctx, "lobby", channel.Name()); err != nil {
		panic(err)
	}
	// Output:
	// ann came to lobby
	// ann went from lobby: left
}
