package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// The snippets of docs/from-django-channels-presence.md are parts of this file;
// internal/published compares them.

// site is what a process has: its part of the channel layer, of the presences,
// and of the pruning.
type site struct {
	layer   *groups.Layer
	tracker *presence.Tracker
	pruner  *prune.Pruner
}

func newSite(ctx context.Context, client redis.UniversalClient) (*site, error) {
	s := &site{}
	var err error
	s.layer, err = groups.New(ctx, client, nil)
	if err != nil {
		return nil, err
	}
	s.tracker, err = presence.New(ctx, s.layer, &presence.Options{
		MaxAge:   60 * time.Second, // CHANNELS_PRESENCE_MAX_AGE; the default
		OnChange: s.broadcast,      // @receiver(presence_changed)
	})
	if err != nil {
		return nil, errors.Join(err, s.layer.Close(ctx))
	}
	s.pruner, err = prune.New(s.tracker, nil)
	if err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

func (s *site) close(ctx context.Context) error {
	return errors.Join(s.tracker.Close(ctx), s.layer.Close(ctx))
}

// broadcast tells everybody in a room who is there.
func (s *site) broadcast(ctx context.Context, tracker *presence.Tracker, c presence.Change) {
	users, err := tracker.Users(ctx, c.Room)
	if err != nil {
		return // Redis is away: the next change tells it
	}
	m, err := groups.NewJSON("forward.message", map[string]any{
		"type":    "presence",
		"room":    c.Room,
		"members": users,
		"lurkers": c.Counts.Anonymous,
	})
	if err == nil {
		_ = s.layer.GroupSend(ctx, c.Room, m) // at most once, as there
	}
}

// consume is the consumer of one connection.
func (s *site) consume(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	channel, err := s.layer.NewChannel()
	if err != nil {
		return // the process is closing
	}
	mux := groups.NewMux()
	mux.Handle("forward.message", func(ctx context.Context, m groups.Message) error {
		return conn.Write(ctx, websocket.MessageText, m.Payload)
	})
	mux.Default(func(context.Context, groups.Message) error { return nil }) // of newer processes

	_ = heartbeat.Serve(r.Context(), conn, s.tracker, channel, heartbeat.Handler[websocket.MessageType]{
		Connect: func(ctx context.Context) error {
			_, _, err := s.tracker.Add(ctx, "some_room", channel.Name(), presence.Member{User: r.FormValue("user")})
			return err
		},
		Receive: func(ctx context.Context, typ websocket.MessageType, data []byte) error {
			return nil // the body of receive; "heartbeat" does not come here
		},
		Deliver: func(ctx context.Context, m groups.Message) (websocket.MessageType, []byte, error) {
			return 0, nil, mux.Dispatch(ctx, m)
		},
		Disconnect: func(ctx context.Context, cause error) {
			// the body of disconnect; the channel has left its rooms
		},
	}, nil)
}

func startRedis() (*miniredis.Miniredis, *redis.Client) {
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	return server, redis.NewClient(&redis.Options{Addr: server.Addr()})
}

// A process with the documented consumer and broadcast, and a browser.
func Example() {
	ctx := context.Background()
	server, client := startRedis()
	defer server.Close()
	defer client.Close()
	s, err := newSite(ctx, client)
	if err != nil {
		panic(err)
	}
	defer s.close(ctx)
	web := httptest.NewServer(http.HandlerFunc(s.consume))
	defer web.Close()

	conn, _, err := websocket.Dial(ctx, strings.Replace(web.URL, "http", "ws", 1)+"?user=ann", nil)
	if err != nil {
		panic(err)
	}
	defer conn.CloseNow()
	_, data, err := conn.Read(ctx)
	fmt.Println(string(data), err)
	// Output:
	// {"lurkers":0,"members":["ann"],"room":"some_room","type":"presence"} <nil>
}

// Each call of the managers and models.
func Example_calls() {
	ctx := context.Background()
	server, client := startRedis()
	defer server.Close()
	defer client.Close()
	s, err := newSite(ctx, client)
	if err != nil {
		panic(err)
	}
	defer s.close(ctx)
	tracker := s.tracker
	channel, err := s.layer.NewChannel()
	if err != nil {
		panic(err)
	}
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}

	// Room.objects.add(room, channel_name, user=None)
	p, revision, err := tracker.Add(ctx, "some_room", channel.Name(), presence.Member{User: "ann"})
	check(err)
	fmt.Println(p.Room, p.User, p.Channel == channel.Name(), revision > 0)

	// room.get_users(), room.get_anonymous_count()
	users, err := tracker.Users(ctx, "some_room")
	check(err)
	anonymous, err := tracker.AnonymousCount(ctx, "some_room")
	check(err)
	fmt.Println(users, anonymous)

	// room.presence_set, presence.last_seen
	presences, err := tracker.Presences(ctx, "some_room")
	check(err)
	for _, p := range presences {
		fmt.Println(p.Room, p.User, p.Channel == channel.Name(), p.LastSeen.IsZero(), p.JoinedAt.IsZero())
	}

	// A login: the same channel, another user. One change, with both.
	_, _, err = tracker.Add(ctx, "some_room", channel.Name(), presence.Member{User: "bob"})
	check(err)

	// Presence.objects.touch(channel_name)
	tracker.Touch(channel.Name())

	// Room.objects.remove(room, channel_name)
	_, err = tracker.Remove(ctx, "some_room", channel.Name())
	check(err)

	// Presence.objects.leave_all(channel_name)
	left, err := tracker.LeaveAll(ctx, channel.Name(), presence.Left)
	check(err)
	fmt.Println(len(left))

	// Output:
	// some_room ann true true
	// [ann] 0
	// some_room ann true false false
	// 0
}

// The parts of heartbeat.Serve, for a websocket library of another shape.
func Example_decorators() {
	ctx := context.Background()
	server, client := startRedis()
	defer server.Close()
	defer client.Close()
	s, err := newSite(ctx, client)
	if err != nil {
		panic(err)
	}
	defer s.close(ctx)
	tracker := s.tracker
	channel, err := s.layer.NewChannel()
	if err != nil {
		panic(err)
	}
	if _, _, err := tracker.Add(ctx, "some_room", channel.Name(), presence.Member{}); err != nil {
		panic(err)
	}

	// @touch_presence
	receive := heartbeat.TouchPresence(tracker, channel.Name(),
		func(ctx context.Context, typ websocket.MessageType, data []byte) error {
			fmt.Println("receive", string(data))
			return nil
		})
	// @remove_presence
	disconnect := heartbeat.RemovePresence(tracker, channel.Name(), func(ctx context.Context, cause error) {
		fmt.Println("disconnect", cause)
	})

	_ = receive(ctx, websocket.MessageText, []byte(`"heartbeat"`))
	_ = receive(ctx, websocket.MessageText, []byte(`hello`))
	if err := disconnect(ctx, nil); err != nil {
		panic(err)
	}
	counts, err := tracker.Counts(ctx, "some_room")
	fmt.Println(counts.Presences, err)
	// Output:
	// receive hello
	// disconnect <nil>
	// 0 <nil>
}

// What the commands and the celery tasks do.
func Example_maintenance() {
	ctx := context.Background()
	server, client := startRedis()
	defer server.Close()
	defer client.Close()
	s, err := newSite(ctx, client)
	if err != nil {
		panic(err)
	}
	defer s.close(ctx)
	pruner := s.pruner
	channel, err := s.layer.NewChannel()
	if err != nil {
		panic(err)
	}
	if _, _, err := s.tracker.Add(ctx, "some_room", channel.Name(), presence.Member{User: "ann"}); err != nil {
		panic(err)
	}
	silent(ctx, s, channel, 61*time.Second)

	// Room.objects.prune_presences(), and with an age
	changes, err := pruner.Presences(ctx)
	if err != nil {
		panic(err)
	}
	for _, c := range changes {
		fmt.Println(c.Room, c.Bulk, len(c.Added), c.Removed[0].User)
	}
	older, err := pruner.PresencesOlderThan(ctx, 5*time.Minute)
	fmt.Println(len(older), err)

	// Room.objects.prune_rooms()
	rooms, err := pruner.Rooms(ctx)
	fmt.Println(rooms, err)

	// The celery tasks: in every process, until the context ends.
	running, stop := context.WithTimeout(ctx, time.Millisecond)
	defer stop()
	err = pruner.Run(running)
	fmt.Println(err)
	// Output:
	// some_room true 0 ann
	// 0 <nil>
	// [some_room] <nil>
	// context deadline exceeded
}

// silent makes a channel look as if it had been silent for some time.
func silent(ctx context.Context, s *site, channel *groups.Channel, d time.Duration) {
	_, short, _ := groups.SplitChannel(channel.Name())
	store := s.tracker.Store()
	key := store.Presences(store.Shard("some_room"), s.layer.NodeID())
	seen := float64(time.Now().Add(-d).UnixMilli())
	if err := store.Client().ZAdd(ctx, key, redis.Z{Score: seen, Member: short}).Err(); err != nil {
		panic(err)
	}
}

// What presence_changed has told a receiver.
func Example_signal() {
	onChange := func(_ context.Context, _ *presence.Tracker, c presence.Change) {
		for _, p := range c.Added { // added
			fmt.Println(c.Room, "added", p.User)
		}
		for _, d := range c.Removed { // removed
			fmt.Println(c.Room, "removed", d.User, d.Reason)
		}
		if c.Bulk { // bulk_change: look the room up, or use what is here
			fmt.Println(c.Room, "has", c.Counts.Presences)
		}
	}
	onChange(context.Background(), nil, presence.Change{Room: "some_room", Added: []presence.Presence{{User: "ann"}}})
	// Output:
	// some_room added ann
}
