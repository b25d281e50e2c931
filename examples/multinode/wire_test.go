//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// client is a websocket of the test. What it gets is read as it comes.
type client struct {
	t      *testing.T
	conn   *websocket.Conn
	frames chan json.RawMessage // closed when the connection has ended
	err    error                // why; set before that
}

func (f *testFleet) wsURL(number int, room, user string) string {
	address := strings.Replace(f.url(number, "/ws/"), "http", "ws", 1) + url.PathEscape(room)
	if user != "" {
		address += "?user=" + url.QueryEscape(user)
	}
	return address
}

// join connects to a room; an empty user is an anonymous one.
func (f *testFleet) join(t *testing.T, number int, room, user string) *client {
	t.Helper()
	return dial(t, f.wsURL(number, room, user))
}

func dial(t *testing.T, address string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), slack)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	c := &client{t: t, conn: conn, frames: make(chan json.RawMessage, 1000)}
	reading, stop := context.WithCancel(context.Background())
	go func() {
		defer close(c.frames)
		for {
			_, data, err := conn.Read(reading)
			if err != nil {
				c.err = err
				return
			}
			c.frames <- data
		}
	}()
	t.Cleanup(func() {
		conn.CloseNow()
		stop()
		for range c.frames {
		}
	})
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.conn.Write(c.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

// next is the next frame of these types; others are passed over.
func (c *client) next(types ...string) json.RawMessage {
	c.t.Helper()
	timeout := time.After(slack)
	for {
		select {
		case data, ok := <-c.frames:
			if !ok {
				c.t.Fatalf("no %q: the connection has ended: %v", types, c.err)
			}
			var head struct{ Type string }
			if err := json.Unmarshal(data, &head); err != nil {
				c.t.Fatalf("not JSON: %q", data)
			}
			if slices.Contains(types, head.Type) {
				return data
			}
		case <-timeout:
			c.t.Fatalf("no %q came", types)
		}
	}
}

// nextList is the payload of the next "presence".
func (c *client) nextList() roomList {
	c.t.Helper()
	var frame struct{ Payload roomList }
	if err := json.Unmarshal(c.next("presence"), &frame); err != nil {
		c.t.Fatal(err)
	}
	return frame.Payload
}

// waitList reads lists until one is what is wanted.
func (c *client) waitList(want string) roomList {
	c.t.Helper()
	for {
		list := c.nextList()
		if summary(list) == want {
			return list
		}
	}
}

// summary is a list in a word: "ada, leo +1" with one lurker.
func summary(l roomList) string {
	var names []string
	for _, m := range l.Members {
		names = append(names, m.ID)
	}
	return fmt.Sprintf("%s +%d", strings.Join(names, ", "), l.Lurkers)
}

// waitEnd waits until the server has ended the connection, and says how.
func (c *client) waitEnd() websocket.StatusCode {
	c.t.Helper()
	timeout := time.After(slack)
	for {
		select {
		case _, ok := <-c.frames:
			if !ok {
				return websocket.CloseStatus(c.err)
			}
		case <-timeout:
			c.t.Fatal("the connection does not end")
		}
	}
}

func sameJSON(t *testing.T, got json.RawMessage, want string) {
	t.Helper()
	var g, w any
	if err := errors.Join(json.Unmarshal(got, &g), json.Unmarshal([]byte(want), &w)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The addresses and messages that clients rely on, word by word.
func TestWire(t *testing.T) {
	f := startFleet(t)

	t.Run("presence", func(t *testing.T) {
		ada := f.join(t, 1, "hall", "ada")
		first := ada.next("presence")
		var revision struct {
			Payload struct{ Revision json.Number }
		}
		if err := json.Unmarshal(first, &revision); err != nil {
			t.Fatal(err)
		}
		sameJSON(t, first, `{"type":"presence","payload":{"channel_name":"hall","members":[{"id":"ada"}],"lurkers":0,"revision":`+
			revision.Payload.Revision.String()+`}}`)

		// Members are distinct and sorted; the anonymous are counted.
		f.join(t, 2, "hall", "Zoë")
		f.join(t, 3, "hall", "ada")
		f.join(t, 2, "hall", "")
		f.join(t, 3, "hall", "")
		f.join(t, 3, "hall", "abe")
		last := ada.waitList("Zoë, abe, ada +2")

		var over json.RawMessage
		f.get(2, "/rooms/hall", &over)
		sameJSON(t, over, fmt.Sprintf(
			`{"channel_name":"hall","members":[{"id":"Zoë"},{"id":"abe"},{"id":"ada"}],"lurkers":2,"revision":%d}`, last.Revision))
	})

	t.Run("the newcomer is told too", func(t *testing.T) {
		f.join(t, 1, "porch", "ada").waitList("ada +0")
		if got := summary(f.join(t, 2, "porch", "leo").nextList()); got != "ada, leo +0" {
			t.Errorf("got %q", got)
		}
	})

	t.Run("lurkers alone", func(t *testing.T) {
		lurker := f.join(t, 1, "attic", "")
		list := lurker.next("presence")
		if !strings.Contains(string(list), `"members":[]`) || !strings.Contains(string(list), `"lurkers":1`) {
			t.Errorf("got %s", list)
		}
	})

	t.Run("message", func(t *testing.T) {
		ada, lurker := f.join(t, 1, "kitchen", "ada"), f.join(t, 2, "kitchen", "")
		ada.waitList("ada +1")
		ada.send(`say "hi" & <wave>`)
		const said = `{"type":"message","payload":{"channel_name":"kitchen","user":"ada","text":"say \"hi\" & <wave>"}}`
		sameJSON(t, ada.next("message"), said)
		sameJSON(t, lurker.next("message"), said)
		lurker.send("")
		sameJSON(t, ada.next("message"), `{"type":"message","payload":{"channel_name":"kitchen","user":null,"text":""}}`)
	})

	t.Run("heartbeat", func(t *testing.T) {
		ada := f.join(t, 1, "yard", "ada")
		ada.send(`"heartbeat"`)
		ada.send(`heartbeat`)
		ada.send(` "heartbeat"`)
		for _, want := range []string{`heartbeat`, ` "heartbeat"`} {
			var line struct{ Payload roomLine }
			if err := json.Unmarshal(ada.next("message"), &line); err != nil || line.Payload.Text != want {
				t.Errorf("got %q, %v; want %q", line.Payload.Text, err, want)
			}
		}
	})

	t.Run("binary", func(t *testing.T) {
		ada := f.join(t, 1, "cellar", "ada")
		if err := ada.conn.Write(t.Context(), websocket.MessageBinary, []byte{0xff, 0}); err != nil {
			t.Fatal(err)
		}
		ada.send("still here")
		if got := string(ada.next("message")); !strings.Contains(got, "still here") {
			t.Errorf("got %s", got)
		}
	})

	t.Run("rooms", func(t *testing.T) {
		odd := "a{b}!/c:*\x00 ü"
		f.join(t, 1, odd, "}{\x00").waitList("}{\x00 +0")
		var names []string
		f.get(3, "/rooms", &names)
		if !slices.Contains(names, odd) || !slices.IsSorted(names) {
			t.Errorf("rooms: %q", names)
		}
		var list roomList
		f.get(3, "/rooms/"+url.PathEscape(odd), &list)
		if list.ChannelName != odd || summary(list) != "}{\x00 +0" {
			t.Errorf("the room: %+v", list)
		}
		var none json.RawMessage
		f.get(1, "/rooms/nowhere", &none)
		sameJSON(t, none, `{"channel_name":"nowhere","members":[],"lurkers":0,"revision":0}`)
	})

	t.Run("bad names", func(t *testing.T) {
		long := strings.Repeat("x", 256)
		for _, path := range []string{"/ws/" + long, "/ws/%ff", "/ws/a?user=" + long, "/ws/a?user=%ff", "/rooms/%ff", "/rooms/" + long} {
			if status := f.get(1, path, nil); status != http.StatusBadRequest {
				t.Errorf("%.20s…: status %d", path, status)
			}
		}
		f.join(t, 1, long[:255], long[:255]).waitList(long[:255] + " +0")
	})

	t.Run("health", func(t *testing.T) {
		if status := f.get(2, "/healthz", nil); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	})

	t.Run("metrics", func(t *testing.T) {
		f.join(t, 2, "measured", "ada").waitList("ada +0")
		response, err := http.Get(f.url(2, "/metrics"))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || !strings.Contains(string(text), "\nrollcall_ready{node=\"2\"} 1\n") ||
			strings.Contains(string(text), "\nrollcall_presences{node=\"2\"} 0\n") {
			t.Errorf("%v\n%s", err, text)
		}
	})
}

// Nobody else's page may do anything here.
func TestOrigins(t *testing.T) {
	f := startFleet(t, "-nodes", "2")
	own := f.urls[1]
	for _, test := range []struct {
		name   string
		header http.Header
		want   int
	}{
		{"another site", http.Header{"Origin": {"http://evil.example"}}, http.StatusForbidden},
		{"a sandboxed page", http.Header{"Origin": {"null"}}, http.StatusForbidden},
		{"another port", http.Header{"Origin": {"http://127.0.0.1:1"}}, http.StatusForbidden},
		{"a name that was made to point here", http.Header{"Origin": {"http://evil.example"}, "Host": {"evil.example"}}, http.StatusForbidden},
		{"another node's page", http.Header{"Origin": {own}}, http.StatusConflict},
		{"no page", nil, http.StatusConflict},
	} {
		t.Run(test.name, func(t *testing.T) {
			// What is asked for is impossible, so what passes ends in a conflict.
			if status := f.do(http.MethodPost, f.url(1, "/fleet/1/start"), test.header, nil); status != test.want {
				t.Errorf("POST: status %d, want %d", status, test.want)
			}
			if test.header == nil || test.header.Get("Host") != "" {
				return
			}
			ctx, cancel := context.WithTimeout(t.Context(), slack)
			defer cancel()
			conn, _, err := websocket.Dial(ctx, f.wsURL(1, "hall", "eve"), &websocket.DialOptions{HTTPHeader: test.header})
			if err == nil {
				conn.CloseNow()
			}
			if refused := err != nil; refused != (test.want == http.StatusForbidden) {
				t.Errorf("websocket: %v", err)
			}
		})
	}
}

// Lists of several nodes may overtake one another; what a client gets never
// goes back, and ends with the truth.
func TestLastListIsTrue(t *testing.T) {
	f := startFleet(t)
	watchers := []*client{f.join(t, 1, "square", "w1"), f.join(t, 2, "square", "w2"), f.join(t, 3, "square", "w3")}
	var visitors []*client
	stay := []string{"w1", "w2", "w3"}
	for i := range 30 {
		name := fmt.Sprintf("v%02d", i)
		visitors = append(visitors, f.join(t, i%3+1, "square", name))
		if i%2 == 1 {
			stay = append(stay, name)
		}
	}
	for i := 0; i < len(visitors); i += 2 {
		visitors[i].nextList() // it has come, so it can go
		visitors[i].conn.CloseNow()
	}
	slices.Sort(stay)
	want := strings.Join(stay, ", ") + " +0"
	var truth roomList
	redistest.Eventually(t, slack, func() error {
		f.get(1, "/rooms/square", &truth)
		if got := summary(truth); got != want {
			return fmt.Errorf("got %s\nwant %s", got, want)
		}
		return nil
	})
	for _, w := range watchers {
		var last roomList
		for last.Revision != truth.Revision {
			list := w.nextList()
			if list.Revision < last.Revision {
				t.Fatalf("revision %d after %d", list.Revision, last.Revision)
			}
			last = list
		}
		if !reflect.DeepEqual(last, truth) {
			t.Errorf("last list %+v\ntruth %+v", last, truth)
		}
	}
}
