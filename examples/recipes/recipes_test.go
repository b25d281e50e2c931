package recipes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/presencetest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func member(user string) presence.Member { return presence.Member{User: user} }

// payloads are those of a type among messages.
func payloads(messages []groups.Message, typ string) (all []string) {
	for _, m := range messages {
		if m.Type == typ {
			all = append(all, string(m.Payload))
		}
	}
	return all
}

func TestTyping(t *testing.T) {
	presencetest.Run(t, 2, nil, func(t *testing.T, fleet *presencetest.Fleet) {
		fleet.Node(0).Connect(member("ann"), "lobby")
		bob := fleet.Node(1).Connect(member("bob"), "lobby")
		ann := Typist{Layer: fleet.Node(0).Layer, Room: "lobby", User: "ann"}
		for range 100 { // ten seconds of typing
			if err := ann.Typed(t.Context()); err != nil {
				t.Fatal(err)
			}
			fleet.Advance(100 * time.Millisecond)
		}
		if told := payloads(bob.Messages(), "typing"); !slices.Equal(told, []string{"ann", "ann", "ann", "ann"}) {
			t.Errorf("bob was told %q", told)
		}
	})
}

func TestSeen(t *testing.T) {
	start := func(n *presencetest.Node) error { return n.Track(nil, &remembering) }
	presencetest.Run(t, 1, start, func(t *testing.T, fleet *presencetest.Fleet) {
		ann, bob := fleet.Node(0).Connect(member("ann"), "lobby"), fleet.Node(0).Connect(member("bob"), "lobby")
		bob.Disconnect(0)
		fleet.Advance(5*time.Minute + 30*time.Second)
		seen := func(want ...string) {
			t.Helper()
			got, err := Seen(t.Context(), fleet.Reader(), "lobby", "ann", "bob", "nobody")
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%q, %v", got, err)
			}
		}
		seen("online", "last seen 5 minutes ago", "")
		ann.Disconnect(0)
		seen("last seen 0 minutes ago", "last seen 5 minutes ago", "")
		fleet.Node(0).Connect(member("bob"), "lobby")
		seen("last seen 0 minutes ago", "online", "")
	})
}

// A fleet is replaced node by node, and who follows the room sees nobody leave.
func TestARollingDeployIsNotSeen(t *testing.T) {
	presencetest.Run(t, 4, nil, func(t *testing.T, fleet *presencetest.Fleet) {
		watcher := fleet.Node(3)
		var conns [3]*presencetest.Conn
		for i := range conns {
			conns[i] = fleet.Node(i).Connect(member(fmt.Sprint("user", i)), "lobby")
		}
		w, err := watcher.Tracker.Watch(t.Context(), "lobby", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		for i := range conns {
			n := fleet.Node(i)
			d := &Deployment{Layer: n.Layer, Tracker: n.Tracker, Notice: 5 * time.Second, Grace: 30 * time.Second}
			ended := make(chan error, 1)
			go func() { ended <- d.End(context.Background()) }()
			fleet.Advance(time.Second)
			if got := ready(d); got != http.StatusServiceUnavailable || conns[i].Err() != nil {
				t.Errorf("node %d is ready: %d, its socket: %v", i, got, conns[i].Err())
			}
			if err := <-ended; err != nil || conns[i].Err() == nil {
				t.Errorf("deployed: %v, the socket is open: %t", err, conns[i].Err() == nil)
			}
			next := n.Restart()
			if got := ready(&Deployment{Layer: next.Layer, Tracker: next.Tracker}); got != http.StatusOK {
				t.Errorf("the new node is not ready: %d", got)
			}
			fleet.Throughout(10*time.Second, func() error { // the client is slow
				if users := w.Snapshot().Users(); len(users) != 3 {
					return fmt.Errorf("of three there are %q", users)
				}
				return nil
			})
			for j, c := range conns {
				if c.Err() != nil {
					conns[j] = fleet.Node((i+1)%3).Connect(member(fmt.Sprint("user", j)), "lobby")
				}
			}
			fleet.Advance(40 * time.Second)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		d, err := w.Next(ctx)
		if err != nil || len(d.UsersWent) > 0 || len(d.UsersCame) > 0 {
			t.Errorf("seen: %+v, %v", d, err)
		}
		if users := w.Snapshot().Users(); len(users) != 3 {
			t.Errorf("in the end there are %q", users)
		}
	})
}

func ready(d *Deployment) int {
	w := httptest.NewRecorder()
	d.Ready(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	return w.Code
}

func TestTenantsAreApart(t *testing.T) {
	for _, tenant := range []string{"", "a/b"} {
		if room, err := TenantRoom(tenant, "lobby"); err == nil {
			t.Errorf("tenant %q has room %q", tenant, room)
		}
	}
	a, _ := TenantRoom("a", "b/c")
	if b, _ := TenantRoom("a", "b"); a == b || a != "a/b/c" {
		t.Errorf("%q and %q", a, b)
	}
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		client := s.NewClient(t)
		var trackers []*presence.Tracker
		for _, tenant := range []string{"acme", "acme2"} {
			layer, tracker, err := TenantNode(t.Context(), client, tenant)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _, _ = tracker.Close(context.Background()), layer.Close(context.Background()) }()
			channel, err := layer.NewChannel()
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := tracker.Add(t.Context(), "lobby", channel.Name(), member("of "+tenant)); err != nil {
				t.Fatal(err)
			}
			trackers = append(trackers, tracker)
		}
		for i, want := range []string{"of acme", "of acme2"} {
			users, err := trackers[i].Users(t.Context(), "lobby")
			if err != nil || !slices.Equal(users, []string{want}) {
				t.Errorf("users %q, %v", users, err)
			}
			if nodes, err := trackers[i].Nodes(t.Context()); err != nil || len(nodes) != 1 {
				t.Errorf("nodes %+v, %v", nodes, err)
			}
		}
	})
}

// Six hundred come in ten seconds, and each is told of it a few times.
func TestACrowdIsShown(t *testing.T) {
	start := func(n *presencetest.Node) error {
		if err := n.Track(nil, nil); err != nil {
			return err
		}
		n.Go(func(ctx context.Context) { _ = ShowCrowd(ctx, n.Layer, n.Tracker, "stadium") }) // ends with ctx
		return nil
	}
	presencetest.Run(t, 2, start, func(t *testing.T, fleet *presencetest.Fleet) {
		const people = 600
		fleet.Advance(time.Second)
		first := fleet.Node(0).Connect(member("first"), "stadium")
		for i := range people - 1 {
			fleet.Node(i%2).Connect(member(fmt.Sprint(i)), "stadium")
			if i%60 == 0 {
				fleet.Advance(time.Second)
			}
		}
		fleet.Advance(2 * time.Second)
		told := payloads(first.Messages(), "crowd")
		if len(told) < 5 || len(told) > 15 || told[len(told)-1] != fmt.Sprint(people) {
			t.Errorf("%d times told: %q", len(told), told)
		}
	})
}

func TestTheListIsBroadcast(t *testing.T) {
	start := func(n *presencetest.Node) error {
		return n.Track(nil, &presence.Options{OnChange: func(ctx context.Context, tracker *presence.Tracker, c presence.Change) {
			if err := BroadcastList(ctx, n.Layer, tracker, c); err != nil {
				t.Error(err)
			}
		}})
	}
	presencetest.Run(t, 2, start, func(t *testing.T, fleet *presencetest.Fleet) {
		last := func(c *presencetest.Conn) (newest list) { // as a page does
			t.Helper()
			for _, told := range payloads(c.Messages(), "presence") {
				var l list
				if err := json.Unmarshal([]byte(told), &l); err != nil {
					t.Fatal(err)
				}
				if l.Revision > newest.Revision {
					newest = l
				}
			}
			return newest
		}
		ann := fleet.Node(0).Connect(member("ann"), "lobby")
		bob := fleet.Node(1).Connect(member("bob"), "lobby")
		if l := last(ann); !slices.Equal(l.Users, []string{"ann", "bob"}) || l.Count != 2 {
			t.Errorf("ann was told %+v", l)
		}
		if _, err := fleet.Node(1).Tracker.Update(t.Context(), "lobby", bob.Name(), []byte("busy")); err != nil {
			t.Fatal(err)
		}
		if told := ann.Messages(); len(told) != 0 {
			t.Errorf("ann was told of an update: %q", told)
		}
		for i := range wholeList {
			fleet.Node(0).Connect(member(fmt.Sprint(i)), "lobby")
			ann.Messages() // she reads
		}
		bob.Disconnect(0)
		if l := last(ann); l.Users != nil || l.Count != wholeList+1 {
			t.Errorf("of a large room ann was told %+v", l)
		}
	})
}

func TestATableHasItsSeats(t *testing.T) {
	presencetest.Run(t, 2, nil, func(t *testing.T, fleet *presencetest.Fleet) {
		sit := func(i int, user string) (*presencetest.Conn, error) {
			n := fleet.Node(i % 2)
			c := n.Connect(member(user))
			return c, SitDown(t.Context(), n.Tracker, "table", c.Name(), member(user))
		}
		first, err := sit(0, "user 0")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if _, err := sit(i, fmt.Sprint("user ", i+1)); err != nil {
				t.Fatal(err)
			}
		}
		var closed heartbeat.CloseError
		if _, err := sit(0, "late"); !errors.As(err, &closed) || closed.Code != 4003 {
			t.Errorf("a fifth: %v", err)
		}
		first.Disconnect(time.Minute) // a page that is loaded again
		if _, err := sit(1, "late"); !errors.As(err, &closed) {
			t.Errorf("on a seat that is kept: %v", err)
		}
		if _, err := sit(1, "user 0"); err != nil {
			t.Errorf("who comes back: %v", err)
		}
	})
}

// The newest connection of a user stays, whatever is lost meanwhile.
func TestOneSessionAUser(t *testing.T) {
	start := func(n *presencetest.Node) error {
		return n.Track(nil, &presence.Options{OnEvict: func(ctx context.Context, tracker *presence.Tracker, e presence.Eviction) {
			EndReplaced(n.Layer)(ctx, tracker, e)
		}})
	}
	presencetest.Run(t, 2, start, func(t *testing.T, fleet *presencetest.Fleet) {
		w, err := fleet.Node(0).Tracker.Watch(t.Context(), roomName("lobby"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		var seen []string // by who looks at each change
		fleet.Node(0).Go(func(ctx context.Context) {
			for {
				d, err := w.Next(ctx)
				if err != nil {
					return
				}
				seen = append(append(seen, d.UsersCame...), d.UsersWent...)
			}
		})
		var conns []*presencetest.Conn
		for i := range 4 {
			n := fleet.Node(i % 2)
			c := n.Connect(member("ann"))
			if err := EnterAlone(t.Context(), n.Tracker, "lobby", c.Name(), "ann"); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
			fleet.Advance(time.Second)
		}
		// Who does not get into a room takes no session: the room comes first.
		late := fleet.Node(0).Connect(member("ann"))
		if err := EnterAlone(t.Context(), fleet.Node(0).Tracker, strings.Repeat("x", 300), late.Name(), "ann"); err == nil {
			t.Error("a name of 300 bytes")
		}
		fleet.Flush()
		fleet.Advance(time.Minute)
		for i, c := range conns {
			var closed groups.CloseError
			replaced := errors.As(c.Err(), &closed) && closed.Code == 4001
			if replaced != (i < 3) {
				t.Errorf("connection %d: %v", i, c.Err())
			}
		}
		list, err := fleet.Reader().Presences(t.Context(), sessionName("ann"))
		if err != nil || len(list) != 1 || list[0].Channel != conns[3].Name() {
			t.Errorf("%+v, %v", list, err)
		}
		if !slices.Equal(seen, []string{"ann"}) { // she came, once
			t.Errorf("seen: %q", seen)
		}
	})
}

// Rooms of two are counted in one round trip, and none is left.
func TestManySmallRooms(t *testing.T) {
	presencetest.Run(t, 1, nil, func(t *testing.T, fleet *presencetest.Fleet) {
		n, rooms := fleet.Node(0), make([]string, 300)
		ann, bob := n.Connect(member("ann")), n.Connect(member("bob"))
		for i := range rooms {
			rooms[i] = fmt.Sprint("document:", i)
			ann.Join(rooms[i], member("ann"))
			bob.Join(rooms[i], member("bob"))
		}
		counts, err := fleet.Reader().CountsOf(t.Context(), rooms...)
		if err != nil || len(counts) != len(rooms) || slices.ContainsFunc(counts, func(c presence.Counts) bool { return c.Users != 2 }) {
			t.Errorf("counts of %d rooms, %v", len(counts), err)
		}
		ann.Disconnect(0)
		bob.Disconnect(0)
		fleet.Advance(10 * time.Second) // a sweep
		for room, err := range fleet.Reader().Rooms(t.Context()) {
			t.Fatal("left: ", room, err)
		}
	})
}
