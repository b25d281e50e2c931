package heartbeat_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/heartbeat"
	"github.com/rollcall-go/rollcall/presence"
)

// Of a frame's first byte.
const (
	fin          = 0x80
	continuation = 0x0
	text         = 0x1
	opClose      = 0x8
	opPing       = 0x9
)

// head is that of a client's frame: its first byte, a length and a mask of zeros.
func head(first byte, length int) []byte {
	b := []byte{first}
	switch {
	case length < 126:
		b = append(b, 0x80|byte(length))
	case length < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(length))
	}
	return append(b, 0, 0, 0, 0)
}

func frame(first byte, payload string) string { return string(head(first, len(payload))) + payload }

// closeCode reads what the server says until it closes, and returns its code.
func closeCode(conn net.Conn) (websocket.StatusCode, error) {
	r := bufio.NewReader(conn)
	for {
		var h [2]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return 0, err
		}
		if h[1] >= 126 {
			return 0, errors.New("a long frame")
		}
		payload := make([]byte, h[1])
		if _, err := io.ReadFull(r, payload); err != nil {
			return 0, err
		}
		if h[0]&0xf == opClose {
			return websocket.StatusCode(binary.BigEndian.Uint16(payload)), nil
		}
	}
}

// allocated is what this process has allocated so far.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// Row 27: what no client may send closes the socket with a code, takes little
// memory, and is no message to the application.
func TestHostileClients(t *testing.T) {
	many := func(n int, frames ...string) string { return strings.Repeat(strings.Join(frames, ""), n) }
	for name, c := range map[string]struct {
		send string
		code websocket.StatusCode
	}{
		"a frame of 10 MB":              {string(head(fin|text, 10<<20)) + strings.Repeat("x", 10<<20), websocket.StatusMessageTooBig},
		"a frame that says it is 8 EB":  {string(head(fin|text, 1<<62)) + strings.Repeat("x", 1<<20), websocket.StatusMessageTooBig},
		"10 MB in fragments of a byte":  {frame(text, "x") + many(10<<20/100, frame(continuation, "x")), websocket.StatusMessageTooBig},
		"10 MB in fragments, and pings": {frame(text, "x") + many(1000, frame(continuation, strings.Repeat("x", 10<<10)), frame(fin|opPing, "?")), websocket.StatusMessageTooBig},
		"an end without a beginning":    {frame(fin|continuation, "x"), websocket.StatusProtocolError},
		"two beginnings":                {frame(text, "x") + frame(text, "y"), websocket.StatusProtocolError},
		"a frame without a mask":        {"\x81\x01x", websocket.StatusProtocolError},
		"a reserved opcode":             {frame(fin|0x3, "x"), websocket.StatusProtocolError},
		"reserved bits":                 {frame(fin|0x70|text, "x"), websocket.StatusProtocolError},
		"a long ping":                   {frame(fin|opPing, strings.Repeat("x", 126)), websocket.StatusProtocolError},
		"a ping in fragments":           {frame(opPing, "x"), websocket.StatusProtocolError},
		"a code of one byte":            {frame(fin|opClose, "x"), websocket.StatusProtocolError},
		"a code that must not be sent":  {frame(fin|opClose, "\x03\xed"), websocket.StatusProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, handler{Receive: func(_ context.Context, _ websocket.MessageType, data []byte) error {
				t.Errorf("received %d bytes", len(data))
				return nil
			}}, nil)
			conn := s.connectRaw(t)
			data := []byte(c.send)
			before := allocated()
			go conn.Write(data)
			// A reset that answers what is still coming may overtake the code.
			code, err := closeCode(conn)
			if code != c.code && (err == nil || len(data) < 1<<10) {
				t.Errorf("closed with %v, %v, want %v", code, err, c.code)
			}
			conn.Close()
			if err := <-s.result; !errors.Is(err, heartbeat.ErrConn) {
				t.Errorf("Serve returned %v", err)
			}
			if grew := allocated() - before; grew > 1<<20 {
				t.Errorf("%d KiB allocated", grew>>10)
			}
			if got := s.reasons(); !slices.Equal(got, []presence.Reason{presence.Disconnected}) {
				t.Errorf("left because of %v", got)
			}
		})
	}
}

// Who sends a byte now and then, or fragments without an end, and does not answer
// pings, is dead like any other.
func TestClientsThatNeverEndAMessage(t *testing.T) {
	for name, c := range map[string]struct {
		first, then string
		every       time.Duration
	}{
		"a byte a second":               {string(head(fin|text, 30_000)), "x", time.Second},
		"a header a byte at a time":     {string(head(fin|text, 1<<40)[:1]), "", time.Second},
		"a fragment a second":           {frame(text, "x"), frame(continuation, "x"), time.Second},
		"empty fragments without pause": {frame(text, ""), frame(continuation, ""), time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newPipeServer(t, handler{}, nil)
				conn := s.connectRaw(t)
				go io.Copy(io.Discard, conn)
				start := time.Now()
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, err := io.WriteString(conn, c.first)
					for err == nil {
						time.Sleep(c.every)
						_, err = io.WriteString(conn, c.then)
						if time.Since(start) > time.Hour {
							return
						}
					}
				}()
				if err := <-s.result; !errors.Is(err, heartbeat.ErrDeadPeer) {
					t.Errorf("Serve returned %v", err)
				}
				if took := time.Since(start); took > 30*time.Second {
					t.Errorf("took %v", took)
				}
				conn.Close()
				<-done
			})
		})
	}
}
