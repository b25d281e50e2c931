package presence

import (
	"time"

	"github.com/rollcall-go/rollcall/luascripts"
)

// infoSpace keeps infos apart from all else that the same keys seal.
const infoSpace = "info\x00"

// infoPlace says where an info belongs. Names are shorter than 256 bytes, so
// that their lengths keep one place from reading like another.
func infoPlace(room, channel, user string) []byte {
	b := make([]byte, 0, len(infoSpace)+3+len(room)+len(channel)+len(user))
	b = append(b, infoSpace...)
	for _, name := range []string{room, channel, user} {
		b = append(b, byte(len(name)))
		b = append(b, name...)
	}
	return b
}

// seal returns the record of a member, its info encrypted if there are keys. No
// info stays none: there is nothing to hide.
func (r *Reader) seal(room, channel string, m Member) luascripts.Record {
	record := luascripts.Record{User: m.User, Key: m.Key, Info: m.Info, Exclusive: m.Exclusive}
	if r.sealer != nil && len(m.Info) > 0 {
		record.Sealed, record.Info = true, r.sealer.Seal(m.Info, infoPlace(room, channel, m.User))
	}
	return record
}

// presenceOf is the presence that a record stands for, its info opened.
func (r *Reader) presenceOf(room, channel string, rec luascripts.Record) Presence {
	p := Presence{Room: room, Channel: channel, User: rec.User, Key: rec.Key, Info: rec.Info, JoinedAt: time.UnixMilli(rec.JoinedAt)}
	switch {
	case len(rec.Info) == 0, r.sealer == nil && !rec.Sealed:
	case r.sealer == nil || !rec.Sealed:
		// Where there are keys, an info in clear is one that anybody may have
		// written.
		p.Info, p.Unopened = nil, true
	default:
		info, err := r.sealer.Open(rec.Info, infoPlace(room, channel, rec.User))
		p.Info, p.Unopened = info, err != nil
	}
	return p
}
