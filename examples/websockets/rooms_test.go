package websockets_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/coder/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/examples/websockets/coder"
	"github.com/rollcall-go/rollcall/examples/websockets/gorilla"
	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/presence"
)

const patience = 60 * time.Second

type handler = func(*groups.Layer, *presence.Tracker, *heartbeat.Options) http.HandlerFunc

// node is a server of rooms.
type node struct {
	t       *testing.T
	tracker *presence.Tracker
	url     string
}

// each runs a test with each library.
func each(t *testing.T, opts *heartbeat.Options, f func(n *node)) {
	for name, room := range map[string]handler{"coder": coder.Room, "gorilla": gorilla.Room} {
		t.Run(name, func(t *testing.T) {
			server := miniredis.RunT(t)
			client := redis.NewClient(&redis.Options{Addr: server.Addr()})
			defer client.Close()
			layer, err := groups.New(t.Context(), client, nil)
			if err != nil {
				t.Fatal(err)
			}
			tracker, err := presence.New(t.Context(), layer, nil)
			if err != nil {
				t.Fatal(err)
			}
			mux := http.NewServeMux()
			mux.HandleFunc("GET /ws/{room}", room(layer, tracker, opts))
			web := httptest.NewServer(mux)
			f(&node{t, tracker, "ws" + strings.TrimPrefix(web.URL, "http")})
			if err := errors.Join(tracker.Close(context.Background()), layer.Close(context.Background())); err != nil {
				t.Error(err)
			}
			web.Close()
		})
	}
}

func (n *node) enter(user string) *websocket.Conn {
	n.t.Helper()
	conn, _, err := websocket.Dial(n.t.Context(), n.url+"/ws/lobby?user="+user, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { conn.CloseNow() })
	return conn
}

// await waits until these users are in the lobby.
func (n *node) await(users ...string) {
	n.t.Helper()
	var got []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var err error
		if got, err = n.tracker.Users(n.t.Context(), "lobby"); err != nil {
			n.t.Fatal(err)
		}
		if slices.Equal(got, users) {
			return
		}
	}
	n.t.Fatalf("in the lobby are %q, want %q", got, users)
}

func (n *node) read(conn *websocket.Conn) (string, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	_, data, err := conn.Read(ctx)
	return string(data), err
}

func TestPeopleMeet(t *testing.T) {
	each(t, nil, func(n *node) {
		ann, bob := n.enter("ann"), n.enter("bob")
		n.await("ann", "bob")
		for _, text := range []string{`"heartbeat"`, "hello"} {
			if err := ann.Write(n.t.Context(), websocket.MessageText, []byte(text)); err != nil {
				n.t.Fatal(err)
			}
		}
		for _, conn := range []*websocket.Conn{ann, bob} {
			if got, err := n.read(conn); err != nil || got != "hello" {
				n.t.Errorf("read %q, %v", got, err)
			}
		}
		if err := bob.Close(websocket.StatusNormalClosure, ""); err != nil {
			n.t.Error(err)
		}
		n.await("ann")
	})
}

func TestAKickClosesTheSocket(t *testing.T) {
	each(t, nil, func(n *node) {
		ann := n.enter("ann")
		n.await("ann")
		kick := presence.Kick{User: "ann", Close: groups.CloseError{Code: 4001, Reason: "logged out"}}
		if _, err := n.tracker.Kick(n.t.Context(), kick); err != nil {
			n.t.Fatal(err)
		}
		_, err := n.read(ann)
		var closed websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != 4001 || closed.Reason != "logged out" {
			n.t.Errorf("closed with %v", err)
		}
		n.await()
	})
}

func TestADeadPeerIsNoticed(t *testing.T) {
	fast := &heartbeat.Options{PingInterval: 200 * time.Millisecond, PingTimeout: time.Second}
	each(t, fast, func(n *node) {
		ann := n.enter("ann")
		n.enter("dead") // who does not read, and so does not answer a ping
		go func() {
			for {
				if _, err := n.read(ann); err != nil {
					return
				}
			}
		}()
		n.await("ann", "dead")
		n.await("ann")
	})
}

// The examples are short.
func TestTheExamplesAreShort(t *testing.T) {
	files, err := filepath.Glob("*/*.go")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(string(text), "\n"); lines >= 60 {
			t.Errorf("%s has %d lines", file, lines)
		}
	}
}
