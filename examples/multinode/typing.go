package main

import (
	"context"
	"encoding/json"
	"time"
)

// typingTime is how long a visitor counts as typing after the last sign of it.
const typingTime = 4 * time.Second

// typist tells a room whether one visitor is typing.
type typist struct {
	heard chan bool // of capacity 1: what was heard last
	tell  func(ctx context.Context, typing bool) error
}

func newTypist(tell func(context.Context, bool) error) *typist {
	return &typist{heard: make(chan bool, 1), tell: tell}
}

// hear never blocks. One goroutine at a time may call it.
func (t *typist) hear(typing bool) {
	select {
	case <-t.heard:
	default:
	}
	t.heard <- typing
}

// run ends with ctx.
func (t *typist) run(ctx context.Context) {
	silence := time.NewTimer(typingTime)
	defer silence.Stop()
	told := false
	for {
		typing := false
		select {
		case <-ctx.Done():
			return
		case typing = <-t.heard:
		case <-silence.C:
		}
		silence.Reset(typingTime)
		if typing != told {
			// A failed update may be in effect all the same: it is taken back until
			// that succeeds.
			told = t.tell(ctx, typing) != nil || typing
		}
	}
}

// typingMessage recognises what a client sends while its visitor types.
func typingMessage(text []byte) (typing, ok bool) {
	var m struct {
		Type    string
		Payload *bool
	}
	if json.Unmarshal(text, &m) != nil || m.Type != "typing" || m.Payload == nil {
		return false, false
	}
	return *m.Payload, true
}
