package presence_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

// Which of 500 friends are online: each user has a room, which every connection
// of that user enters, and one round trip asks for the numbers of all of them.
func ExampleReader_CountsOf() {
	ctx := context.Background()
	layer, tracker, stop := exampleNode(ctx, nil)
	defer stop()
	roomOf := func(user string) string { return "online:" + user }
	enter(ctx, layer, tracker, roomOf("friend7"), "friend7")
	enter(ctx, layer, tracker, roomOf("friend7"), "friend7") // a second device
	enter(ctx, layer, tracker, roomOf("friend42"), "friend42")

	var friends, rooms []string
	for i := range 500 {
		friend := fmt.Sprint("friend", i)
		friends, rooms = append(friends, friend), append(rooms, roomOf(friend))
	}
	counts, err := tracker.CountsOf(ctx, rooms...)
	if err != nil {
		panic(err)
	}
	for i, c := range counts {
		if c.Presences > 0 {
			fmt.Println(friends[i], "is online, connections:", c.Presences)
		}
	}
	// Output:
	// friend7 is online, connections: 2
	// friend42 is online, connections: 1
}

// trips counts what a client sends.
type trips struct{ commands, pipelines atomic.Int64 }

func (h *trips) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.commands.Add(1)
		return next(ctx, cmd)
	}
}

func (h *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.pipelines.Add(1)
		return next(ctx, cmds)
	}
}

func TestCountsOfAFriendsListIsOneRoundTrip(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		n.add(t, "online:user7", n.open(t), "user7")
		client := s.NewClient(t)
		r, err := presence.NewReader(t.Context(), client, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Ping(t.Context()).Err(); err != nil { // the connection is there
			t.Fatal(err)
		}
		var sent trips
		client.AddHook(&sent)
		var rooms []string
		for i := range 500 {
			rooms = append(rooms, fmt.Sprint("online:user", i))
		}
		counts, err := r.CountsOf(t.Context(), rooms...)
		if err != nil {
			t.Fatal(err)
		}
		if c, p := sent.commands.Load(), sent.pipelines.Load(); c != 0 || p != 1 {
			t.Errorf("%d commands and %d pipelines, want one pipeline", c, p)
		}
		online := func(c presence.Counts) bool { return c.Presences > 0 }
		if i := slices.IndexFunc(counts, online); len(counts) != 500 || i != 7 || slices.ContainsFunc(counts[8:], online) {
			t.Errorf("%d counts, the first online is %d", len(counts), i)
		}
	})
}
