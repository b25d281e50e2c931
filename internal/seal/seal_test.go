package seal_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/rollcall-go/rollcall/internal/seal"
	"github.com/rollcall-go/rollcall/luascripts"
)

func key(b byte, length int) []byte { return bytes.Repeat([]byte{b}, length) }

func sealer(t testing.TB, keys ...[]byte) *seal.Sealer {
	t.Helper()
	s, err := seal.New(keys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFirstSealsAllOpen(t *testing.T) {
	a, b := key('a', 16), key('b', 32)
	both := sealer(t, a, b)
	for name, c := range map[string]struct {
		from, to *seal.Sealer
		opens    bool
	}{
		"itself":                   {both, both, true},
		"with the first":           {both, sealer(t, a), true},
		"the second does not seal": {both, sealer(t, b), false},
		"the second opens":         {sealer(t, b), both, true},
		"other order":              {both, sealer(t, b, a), true},
		"24 bytes":                 {sealer(t, key('c', 24)), sealer(t, a, key('c', 24)), true},
		"wrong key":                {sealer(t, key('c', 32)), both, false},
		"no keys":                  {both, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			sealed := c.from.Seal([]byte("plain"), []byte("here"))
			if bytes.Contains(sealed, []byte("plain")) || len(sealed) != len("plain")+seal.Overhead {
				t.Errorf("sealed as %q", sealed)
			}
			opened, err := c.to.Open(sealed, []byte("here"))
			if c.opens && (err != nil || string(opened) != "plain") {
				t.Errorf("opened as %q, %v", opened, err)
			}
			if !c.opens && (!errors.Is(err, seal.ErrOpen) || opened != nil) {
				t.Errorf("opened as %q, %v", opened, err)
			}
		})
	}
}

func TestNoncesDiffer(t *testing.T) {
	s := sealer(t, key('a', 16))
	if bytes.Equal(s.Seal([]byte("x"), nil), s.Seal([]byte("x"), nil)) {
		t.Error("sealed twice as the same bytes")
	}
}

func TestTampering(t *testing.T) {
	s := sealer(t, key('a', 16), key('b', 16))
	sealed := s.Seal([]byte("plain"), []byte("here"))
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := s.Open(changed, []byte("here")); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("opens with byte %d changed: %v", i, err)
		}
		if _, err := s.Open(sealed[:i], []byte("here")); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("opens when cut after %d bytes: %v", i, err)
		}
	}
	if _, err := s.Open(sealed, []byte("there")); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("opens in another place: %v", err)
	}
}

func TestKeyLengths(t *testing.T) {
	for length := range 40 {
		_, err := seal.New([][]byte{key('a', 16), key('k', length)})
		var invalid *luascripts.InvalidError
		switch good := length == 16 || length == 24 || length == 32; {
		case good && err != nil:
			t.Errorf("%d bytes: %v", length, err)
		case !good && !errors.As(err, &invalid):
			t.Errorf("%d bytes: %v, want an *InvalidError", length, err)
		case !good && (invalid.Field != "Keys" || strings.Contains(err.Error(), "kk")):
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}

func TestNoKeys(t *testing.T) {
	s, err := seal.New(nil)
	if s != nil || err != nil {
		t.Fatalf("%v, %v", s, err)
	}
	plain := []byte("plain")
	if allocs := testing.AllocsPerRun(100, func() { s.Seal(plain, nil) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	if got := s.Seal(plain, nil); string(got) != "plain" {
		t.Errorf("sealed as %q", got)
	}
	if _, err := s.Open(plain, nil); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("opened: %v", err)
	}
}

// FuzzOpen shows that nothing opens but what was sealed, and that only where it
// belongs.
func FuzzOpen(f *testing.F) {
	s := sealer(f, key('a', 16), key('b', 32))
	f.Add([]byte(""), []byte(""))
	f.Add(s.Seal([]byte("x"), []byte("elsewhere")), []byte("here"))
	f.Add(bytes.Repeat([]byte{0}, seal.Overhead), []byte("here"))
	f.Fuzz(func(t *testing.T, data, aad []byte) {
		if got, err := s.Open(data, append(aad, '!')); err == nil {
			t.Errorf("%q opened as %q", data, got)
		}
		got, err := s.Open(s.Seal(data, aad), aad)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%q came back as %q, %v", data, got, err)
		}
	})
}
