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
	Info     []byte
}

const sealed = 1

const joinedDigits = 13

func flags(isSealed bool) byte {
	if isSealed {
		return sealed
	}
	return 0
}

// tail is the part of a record that the caller of a write encodes.
func (r Record) tail() string {
	b := make([]byte, 0, 2+len(r.User)+len(r.Info))
	b = append(b, flags(r.Sealed), byte(len(r.User)))
	b = append(b, r.User...)
	return string(append(b, r.Info...))
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
	length := int(rest[0])
	if len(rest) < 1+length {
		return Record{}, fmt.Errorf("rollcall: record ends within its user")
	}
	r := Record{JoinedAt: joined, Sealed: flags&sealed != 0, User: rest[1 : 1+length]}
	if info := rest[1+length:]; info != "" {
		r.Info = []byte(info)
	}
	return r, nil
}
