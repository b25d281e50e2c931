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
	Key      string // what is counted in place of the user; empty: the user is
	Info     []byte
	// Exclusive tells that the newest such channel of an identity takes the place of
	// the one before.
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

// Identity is what the record counts as: its key, else its user.
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

// tail is a record without the time of joining.
func (r Record) tail() string {
	return string(r.appendTail(make([]byte, 0, 3+len(r.Key)+len(r.User)+len(r.Info))))
}

// Encode returns a record as it is stored.
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

// DecodeRecord reads a record as the scripts write it.
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
			rest = rest[:len(rest)-1] // the reason, which is the scripts' own
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

// InGrace tells whether a record is of a channel that left with a grace.
func InGrace(record string) bool {
	return len(record) > joinedDigits && record[joinedDigits]&inGrace != 0
}

// isExclusive tells whether a record, as stored, is.
func isExclusive(record string) bool {
	return len(record) > joinedDigits && record[joinedDigits]&exclusive != 0
}

// sized is a name with its length, in one byte, before it.
func sized(name string) string { return string([]byte{byte(len(name))}) + name }

// cutName reads a name that its length, in one byte, precedes.
func cutName(s string) (name, rest string, ok bool) {
	if s == "" || len(s) < 1+int(s[0]) {
		return "", "", false
	}
	return s[1 : 1+int(s[0])], s[1+int(s[0]):], true
}
