package presence

import (
	"time"

	"github.com/rollcall-go/rollcall/luascripts"
)

// infoSpace separates infos from everything else sealed with the same keys.
const infoSpace = "info\x00"

// infoPlace says where an info belongs. Names are shorter than 256 bytes, so one byte
// of length before each keeps any two places distinct.
func infoPlace(room, channel, user string) []byte {
	b := make([]byte, 0, len(infoSpace)+3+len(room)+len(channel)+len(user))
	b = append(b, infoSpace...)
	for _, name := range []string{room, channel, user} {
		b = append(b, byte(len(name)))
		b = append(b, name...)
	}
	return b
}

// seal returns the record of a member, with its info encrypted if there are keys. An
// empty info stays empty, as there is nothing to hide.
func (r *Reader) seal(room, channel string, m Member) luascripts.Record {
	record := luascripts.Record{User: m.User, Key: m.Key, Info: m.Info, Exclusive: m.Exclusive}
	if r.sealer != nil && len(m.Info) > 0 {
		record.Sealed, record.Info = true, r.sealer.Seal(m.Info, infoPlace(room, channel, m.User))
	}
	return record
}

// presenceOf returns the presence of a record, with its info opened.
func (r *Reader) presenceOf(room, channel string, rec luascripts.Record) Presence {
	p := Presence{Room: room, Channel: channel, User: rec.User, Key: rec.Key, Info: rec.Info, JoinedAt: time.UnixMilli(rec.JoinedAt)}
	switch {
	case len(rec.Info) == 0, r.sealer == nil && !rec.Sealed:
	case r.sealer == nil || !rec.Sealed:
		// If there are keys, anybody may have written an info in clear.
		p.Info, p.Unopened = nil, true
	default:
		info, err := r.sealer.Open(rec.Info, infoPlace(room, channel, rec.User))
		p.Info, p.Unopened = info, err != nil
	}
	return p
}
