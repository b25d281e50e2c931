package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"nhooyr.io/websocket"
)

var (
	botRooms = []string{"garden", "harbour"}
	botNames = []string{"Iris", "Milo", "Juno", "Theo", "Nora", "Otis", "Wilma", "Hugo", "Ida", "Levi", "Ruth", "Emil"}
	botLines = []string{
		"Good to see you all.",
		"Just looking in for a moment.",
		"Has anyone seen the heron today?",
		"Which node are you on?",
		"I came over from the other side.",
		"It is quiet here. I like it.",
		"Tea, anyone?",
		"Did you see that one go?",
		"Back in a minute.",
	}
)

// bot is a simulated visitor: an ordinary websocket client that wanders between the
// rooms, and between the nodes as a load balancer would send it.
type bot struct {
	name  string // empty: anonymous
	room  int
	fleet *fleet
}

func newBot(i int, f *fleet) *bot {
	b := &bot{name: botNames[i%len(botNames)], room: i, fleet: f}
	if round := i / len(botNames); round > 0 {
		b.name = fmt.Sprintf("%s %d", b.name, round+1)
	}
	if i%6 == 5 {
		b.name = ""
	}
	return b
}

func (b *bot) run(ctx context.Context) {
	for ctx.Err() == nil {
		until := time.Now().Add(between(8*time.Second, 30*time.Second))
		for ctx.Err() == nil && time.Now().Before(until) {
			b.visit(ctx, until)
			pause(ctx, between(500*time.Millisecond, 2*time.Second))
		}
		b.room++
	}
}

// visit stays in the room until the time is up or its node is gone.
func (b *bot) visit(ctx context.Context, until time.Time) {
	base := b.fleet.someNode()
	if base == "" {
		return
	}
	address := strings.Replace(base, "http", "ws", 1) + "/ws/" + url.PathEscape(botRooms[b.room%len(botRooms)])
	if b.name != "" {
		address += "?user=" + url.QueryEscape(b.name)
	}
	dial, cancel := context.WithTimeout(ctx, 3*time.Second)
	conn, _, err := websocket.Dial(dial, address, nil)
	cancel()
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(1 << 20) // a large room has a long list
	ctx, cancel = context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		for {
			if _, _, err := conn.Read(ctx); err != nil {
				return
			}
		}
	}()
	for pause(ctx, min(time.Until(until), between(6*time.Second, 40*time.Second))) {
		if !time.Now().Before(until) {
			conn.Close(websocket.StatusNormalClosure, "")
			return
		}
		if conn.Write(ctx, websocket.MessageText, []byte(`{"type":"typing","payload":true}`)) != nil || !pause(ctx, between(time.Second, typingTime)) {
			return
		}
		line := botLines[rand.IntN(len(botLines))]
		if conn.Write(ctx, websocket.MessageText, []byte(line)) != nil {
			return
		}
	}
}

// someNode returns the address of a running node, or "" if there is none.
func (f *fleet) someNode() string {
	var up []string
	for _, n := range f.status() {
		if n.State == running {
			up = append(up, n.URL)
		}
	}
	if len(up) == 0 {
		return ""
	}
	return up[rand.IntN(len(up))]
}

func between(least, most time.Duration) time.Duration {
	return least + rand.N(most-least)
}

// pause reports whether it slept to the end.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
