package luascripts_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/rollcall-go/rollcall/luascripts"
)

const (
	aRecord = "1700000000000\x00\x03annhi"
	anEvent = "\x01C1700000000000009 1700000000000001 1700000000000000 2 1 1\n" +
		"-s4:n1!117:1700000000000\x01\x02bo+4:n1!120:" + aRecord + "~4:n1!220:" + aRecord + "<2:bo>3:ann"
)

func TestDecodeEvent(t *testing.T) {
	got, err := luascripts.DecodeEvent(anEvent)
	if err != nil {
		t.Fatal(err)
	}
	ann := luascripts.Record{JoinedAt: 1700000000000, User: "ann", Info: []byte("hi")}
	want := luascripts.Event{
		Header: luascripts.Header{
			Revision: 1700000000000009, Birth: 1700000000000000, Presences: 2, Users: 1, Anonymous: 1,
		},
		Previous: 1700000000000001,
		Items: []luascripts.Item{
			{
				Kind: luascripts.Removed, Reason: 's', Channel: "n1!1",
				Record: luascripts.Record{JoinedAt: 1700000000000, Sealed: true, User: "bo"},
			},
			{Kind: luascripts.Added, Channel: "n1!1", Record: ann},
			{Kind: luascripts.Updated, Channel: "n1!2", Record: ann},
		},
		Came: []string{"ann"},
		Went: []string{"bo"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v\nwant %+v", got, want)
	}
}

// Every proper beginning of an event that cuts an item is refused.
func TestDecodeEventCutShort(t *testing.T) {
	whole, err := luascripts.DecodeEvent(anEvent)
	if err != nil {
		t.Fatal(err)
	}
	complete := 0
	for n := range len(anEvent) {
		if e, err := luascripts.DecodeEvent(anEvent[:n]); err == nil {
			complete++
			if len(e.Items)+len(e.Came)+len(e.Went) >= len(whole.Items)+2 {
				t.Errorf("%d bytes: %+v", n, e)
			}
		}
	}
	if complete != 5 { // before each item
		t.Errorf("%d beginnings decode", complete)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, s := range []string{
		"", "\x01C", "\x01C\n", "\x01D1 0 1 0 0 0\n", "\x01C1 0 1 0 0\n", "\x01C1 0 1 0 0 0 0\n", "\x01C1 0 1 0 0 -1\n",
		"\x01C1 0 1 0 0 x\n", "\x01C1 0 1 0 0 9223372036854775808\n", "\x01C1 0 1 0 0 0", "\x01C1 0 1 0 0 0\n?1:a",
		"\x01C1 0 1 0 0 0\n>-1:a", "\x01C1 0 1 0 0 0\n>2:a", "\x01C1 0 1 0 0 0\n>000000001:a", "\x01C1 0 1 0 0 0\n>:",
		"\x01C1 0 1 0 0 0\n-", "\x01C1 0 1 0 0 0\n+1:a0:", "\x01C1 0 1 0 0 0\n>4294967296:",
	} {
		if e, err := luascripts.DecodeEvent(s); err == nil {
			t.Errorf("event %q: %+v", s, e)
		}
		if e, err := luascripts.DecodeDepartures(s); err == nil && !strings.HasSuffix(s, "+1:a0:") { // whose record it does not read
			t.Errorf("departures of %q: %+v", s, e)
		}
	}
	for _, s := range []string{"", "1700000000000", "1700000000000\x00", "170000000000x\x00\x00", "-700000000000\x00\x00", "1700000000000\x00\x04ann"} {
		if r, err := luascripts.DecodeRecord(s); err == nil {
			t.Errorf("record %q: %+v", s, r)
		}
	}
	for _, s := range []string{"", "1 2 3 4", "1 2 3 4 5 6", "1 2 3 4 -5", "1 2 3 4 ", "1  2 3 4", "1 2 3 4 1.5"} {
		if h, err := luascripts.DecodeHeader(s); err == nil {
			t.Errorf("header %q: %+v", s, h)
		}
	}
}

// What decodes is no larger than what it was decoded from.
func sizeOf(r luascripts.Record) int { return len(r.User) + len(r.Info) }

func FuzzDecodeEvent(f *testing.F) {
	f.Add(anEvent)
	f.Add("\x01C1 0 1 0 0 0\n")
	f.Add("\x01C1 0 1 0 0 0\n>99999999:a")
	f.Fuzz(func(t *testing.T, s string) {
		e, err := luascripts.DecodeEvent(s)
		if err != nil {
			if !reflect.DeepEqual(e, luascripts.Event{}) {
				t.Fatalf("an error and %+v", e)
			}
			return
		}
		checkHeader(t, e.Header)
		if h, err := luascripts.DecodeEventHeader(s); err != nil || h != e.Header {
			t.Fatalf("%+v alone, %v, of %+v", h, err, e)
		}
		checkDepartures(t, s, e)
		size := len(e.Items) + len(e.Came) + len(e.Went)
		for _, it := range e.Items {
			size += len(it.Channel) + sizeOf(it.Record)
		}
		for _, user := range append(e.Came, e.Went...) {
			size += len(user)
		}
		if size > len(s) || e.Previous < 0 || !strings.HasPrefix(s, luascripts.EventPrefix) {
			t.Fatalf("%d bytes of %d: %+v", size, len(s), e)
		}
	})
}

// checkDepartures sees that those alone are the same as with all the rest.
func checkDepartures(t *testing.T, s string, e luascripts.Event) {
	t.Helper()
	want := luascripts.Event{Header: e.Header, Previous: e.Previous}
	for _, it := range e.Items {
		if it.Kind == luascripts.Removed {
			it.Record = luascripts.Record{}
			want.Items = append(want.Items, it)
		}
	}
	if got, err := luascripts.DecodeDepartures(s); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("departures %+v, %v, want %+v", got, err, want)
	}
}

// Each node decodes as much of each event of a room in which it has channels.
func TestWhatIsNotReadOfAnEventDoesNotAllocate(t *testing.T) {
	_, arrivals, _ := strings.Cut(anEvent, "+")
	header, _, _ := strings.Cut(anEvent, "-")
	noDepartures := header + "+" + arrivals
	for name, decode := range map[string]func() error{
		"header":        func() error { _, err := luascripts.DecodeEventHeader(anEvent); return err },
		"no departures": func() error { _, err := luascripts.DecodeDepartures(noDepartures); return err },
	} {
		if n := testing.AllocsPerRun(100, func() {
			if err := decode(); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzDecodeEventHeader(f *testing.F) {
	f.Add(anEvent)
	f.Add("\x01C1 0 1 0 0 0\n?")
	f.Fuzz(func(t *testing.T, s string) {
		h, err := luascripts.DecodeEventHeader(s)
		if err != nil {
			if h != (luascripts.Header{}) {
				t.Fatalf("an error and %+v", h)
			}
			return
		}
		checkHeader(t, h)
		again := fmt.Sprintf("%s%d 0 %d %d %d %d\n", luascripts.EventPrefix, h.Revision, h.Birth, h.Presences, h.Users, h.Anonymous)
		if g, err := luascripts.DecodeEventHeader(again); err != nil || g != h {
			t.Fatalf("%+v, then %+v, %v", h, g, err)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(aRecord)
	f.Add("1700000000000\x00\xff")
	f.Add("1700000000000\x02\x03key\x04userinfo")
	f.Add("1700000000000\x04\x04userinfox")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := luascripts.DecodeRecord(s)
		if err != nil {
			return
		}
		size, flags := 15+sizeOf(r), s[13]
		if flags&2 != 0 { // a key, with its length
			size += 1 + len(r.Key)
		}
		if flags&4 != 0 { // in grace, with the reason
			size++
		}
		if len(r.User) > luascripts.MaxName || size != len(s) || r.JoinedAt < 0 || r.JoinedAt > 9_999_999_999_999 {
			t.Fatalf("%d bytes: %+v", len(s), r)
		}
	})
}

func FuzzDecodeHeader(f *testing.F) {
	f.Add("1700000000000009 1700000000000000 2 1 1")
	f.Add("0 0 0 0 9223372036854775807")
	f.Fuzz(func(t *testing.T, s string) {
		if h, err := luascripts.DecodeHeader(s); err == nil {
			checkHeader(t, h)
		}
	})
}

func checkHeader(t *testing.T, h luascripts.Header) {
	t.Helper()
	if h.Revision < 0 || h.Birth < 0 || h.Presences < 0 || h.Users < 0 || h.Anonymous < 0 {
		t.Fatalf("%+v", h)
	}
}
