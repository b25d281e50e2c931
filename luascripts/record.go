package luascripts

import (
	"fmt"
	"strconv"
)

// Record is what a room's hash holds of one channel.
type Record struct {
	JoinedAt int64 // ms of Redis's time
	Sealed   bool  // the info is encrypted
	User     string
	Key      string // what counts in place of the user; empty if the user does
	Info     []byte
	// Exclusive means that the newest such channel of an identity replaces the one
	// before.
	Exclusive bool
}

// The flags of a record.
const (
	sealed    = 1
	keyed     = 2
	inGrace   = 4
	exclusive = 8
)

const joinedDigits = 13

// Identity returns what the record counts as: its key, or else its user.
func (r Record) Identity() string {
	if r.Key != "" {
		return r.Key
	}
	return r.User
}

func (r Record) flags() byte {
	var f byte
	if r.Sealed {
		f |= sealed
	}
	if r.Key != "" && r.Key != r.User {
		f |= keyed
	}
	if r.Exclusive {
		f |= exclusive
	}
	return f
}

// tail returns the record without the time of joining.
func (r Record) tail() string {
	return string(r.appendTail(make([]byte, 0, 3+len(r.Key)+len(r.User)+len(r.Info))))
}

// Encode returns the record as it is stored.
func (r Record) Encode() string {
	b := fmt.Appendf(make([]byte, 0, joinedDigits+3+len(r.Key)+len(r.User)+len(r.Info)), "%0*d", joinedDigits, r.JoinedAt)
	return string(r.appendTail(b))
}

func (r Record) appendTail(b []byte) []byte {
	f := r.flags()
	b = append(b, f)
	if f&keyed != 0 {
		b = append(b, byte(len(r.Key)))
		b = append(b, r.Key...)
	}
	b = append(b, byte(len(r.User)))
	b = append(b, r.User...)
	return append(b, r.Info...)
}

// DecodeRecord decodes a record that a script wrote.
func DecodeRecord(s string) (Record, error) {
	if len(s) < joinedDigits+2 {
		return Record{}, fmt.Errorf("rollcall: record of %d bytes", len(s))
	}
	joined, err := strconv.ParseInt(s[:joinedDigits], 10, 64)
	if err != nil || joined < 0 {
		return Record{}, fmt.Errorf("rollcall: record joined at %q", s[:joinedDigits])
	}
	flags, rest := s[joinedDigits], s[joinedDigits+1:]
	r := Record{JoinedAt: joined, Sealed: flags&sealed != 0, Exclusive: flags&exclusive != 0}
	ok := true
	if flags&keyed != 0 {
		r.Key, rest, ok = cutName(rest)
	}
	if ok {
		r.User, rest, ok = cutName(rest)
	}
	if ok && flags&inGrace != 0 {
		if ok = rest != ""; ok {
			rest = rest[:len(rest)-1] // the reason, which only the scripts use
		}
	}
	if !ok {
		return Record{}, fmt.Errorf("rollcall: record ends within its names")
	}
	if rest != "" {
		r.Info = []byte(rest)
	}
	return r, nil
}

// InGrace reports whether a record is of a channel that left with a grace.
func InGrace(record string) bool {
	return len(record) > joinedDigits && record[joinedDigits]&inGrace != 0
}

// isExclusive reports whether a stored record is exclusive.
func isExclusive(record string) bool {
	return len(record) > joinedDigits && record[joinedDigits]&exclusive != 0
}

// sized returns a name preceded by its length in one byte.
func sized(name string) string { return string([]byte{byte(len(name))}) + name }

// cutName decodes a name preceded by its length in one byte.
func cutName(s string) (name, rest string, ok bool) {
	if s == "" || len(s) < 1+int(s[0]) {
		return "", "", false
	}
	return s[1 : 1+int(s[0])], s[1+int(s[0]):], true
}
