package groups

import (
	"strings"
	"testing"

	"github.com/rollcall-go/rollcall/luascripts"
)

func TestEventKindIsTheScripts(t *testing.T) {
	kind, body, err := frameKind(luascripts.EventPrefix + "5")
	if kind != kindEvent || body != "5" || err != nil {
		t.Fatalf("%q, %q, %v", kind, body, err)
	}
}

func FuzzFrame(f *testing.F) {
	m := Message{Type: "type", Payload: []byte("payload")}
	for _, seed := range []string{
		"", "\x01", "\x02M", "\x01Z", luascripts.EventPrefix + "5\n",
		encodeMessage(m), encodeDirect("1a", m), encodeMessage(Message{}),
		encodeMessage(Message{Type: strings.Repeat("t", 200)}),
		"\x01M\x05ab", "\x01M\x80\x80\x80", "\x01D\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x01D\x01a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		kind, body, err := frameKind(data)
		if err != nil {
			return
		}
		if data != string([]byte{frameVersion, kind})+body {
			t.Fatalf("%q is not kind %q and body %q", data, kind, body)
		}
		// What was read says the same when it is written and read again.
		if m, err := decodeMessage(body); err == nil {
			_, body, _ := frameKind(encodeMessage(m))
			again, err := decodeMessage(body)
			if err != nil || again.Type != m.Type || string(again.Payload) != string(m.Payload) {
				t.Fatalf("%+v became %+v, %v", m, again, err)
			}
			if len(m.Type)+len(m.Payload) > len(data) {
				t.Fatalf("%+v is longer than %q", m, data)
			}
		}
		if short, m, err := decodeDirect(body); err == nil {
			_, body, _ := frameKind(encodeDirect(short, m))
			to, again, err := decodeDirect(body)
			if err != nil || to != short || again.Type != m.Type || string(again.Payload) != string(m.Payload) {
				t.Fatalf("%q %+v became %q %+v, %v", short, m, to, again, err)
			}
		}
	})
}

// A frame costs the same for a thousand members as for one.
func TestDeliveryDoesNotAllocatePerMember(t *testing.T) {
	frame := encodeMessage(Message{Type: "chat", Payload: make([]byte, 100)})
	allocs := func(members int, overflow Overflow, drain bool) float64 {
		g, channels := crowd(t, members, Options{Capacity: 8, Overflow: overflow})
		return testing.AllocsPerRun(20, func() {
			g.Frame(frame)
			for _, c := range channels {
				if !drain {
					break
				}
				if m, ok := c.TryReceive(); !ok || m.Type != "chat" {
					t.Fatal("not delivered")
				}
			}
		})
	}
	one, many := allocs(1, DropNewest, true), allocs(1000, DropNewest, true)
	if many > one+10 { // some are of other goroutines
		t.Errorf("%v allocations for 1000 members, %v for one", many, one)
	}
}

// What is sent is put together in one piece. What is received is a type and a
// payload of its own, as the frame is the client's.
func TestFramesAllocateLittle(t *testing.T) {
	m := Message{Type: "chat", Payload: make([]byte, 256)}
	direct := encodeDirect("k7", m)[2:]
	for _, c := range []struct {
		what string
		most float64
		f    func()
	}{
		{"encode", 1, func() { encodeMessage(m) }},
		{"encode for one channel", 1, func() { encodeDirect("k7", m) }},
		{"decode", 2, func() {
			if _, _, err := decodeDirect(direct); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		if n := testing.AllocsPerRun(100, c.f); n > c.most {
			t.Errorf("%s: %v allocations, more than %v", c.what, n, c.most)
		}
	}
}
