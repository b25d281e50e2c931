package luascripts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var errReply = errors.New("rollcall: malformed reply")

// decodeReply reads the reply of the write script, which leaves out what its
// caller knows: the records that it adds. In the events, channels have their
// short names.
func decodeReply(raw string, ops []Op, rooms []roomOps) (Reply, error) {
	reply := Reply{Results: make([]Result, len(ops))}
	now, rest, _ := strings.Cut(raw, " ")
	if len(now) != joinedDigits {
		return Reply{}, fmt.Errorf("%w: time %.40q", errReply, now)
	}
	r := replyReader{now: now, rest: rest}
	for _, room := range rooms {
		e, changed, err := r.room(ops, room.ops, reply.Results)
		if err != nil {
			return Reply{}, fmt.Errorf("%w: %w", errReply, err)
		}
		if changed {
			reply.Events = append(reply.Events, RoomEvent{Room: room.name, Event: e})
		}
	}
	return reply, nil
}

type replyReader struct {
	now  string // as a record that was added begins with it
	rest string
}

// room reads the results of a room's operations, and the event if there was one.
func (r *replyReader) room(ops []Op, at []int, results []Result) (e Event, changed bool, err error) {
	for _, i := range at {
		if results[i], err = r.result(ops[i], &e); err != nil {
			return e, false, err
		}
	}
	for r.next() == '>' || r.next() == '<' {
		if r.rest, err = e.item(r.rest); err != nil {
			return e, false, err
		}
	}
	line, rest, _ := strings.Cut(r.rest, "\n")
	r.rest = rest
	if changed = len(e.Items) > 0; changed {
		err = e.line(line)
	} else {
		e.Revision, err = strconv.ParseInt(line, 10, 64)
	}
	for _, i := range at {
		results[i].Revision = e.Revision
	}
	return e, changed, err
}

// result reads what became of an operation, and adds to the event what it did.
func (r *replyReader) result(op Op, e *Event) (Result, error) {
	result := Result{Status: Status(r.next())}
	item := Item{Kind: Kind(result.Status), Channel: op.Short}
	var err error
	switch result.Status {
	case StatusAdded:
		r.rest = r.rest[1:]
		item.Record, err = DecodeRecord(op.added(r.now))
	case StatusUpdated, StatusSame:
		item.Record, err = r.record(1)
	case StatusRemoved:
		if len(r.rest) < 2 {
			return result, errEvent
		}
		item.Reason = r.rest[1]
		item.Record, err = r.record(2)
	case StatusGraced, StatusAbsent, StatusFull:
		r.rest = r.rest[1:]
		return result, nil
	default:
		return result, fmt.Errorf("%w: status %q", errEvent, result.Status)
	}
	if err != nil {
		return result, err
	}
	if result.Status != StatusSame {
		e.Items = append(e.Items, item)
	}
	if result.Status != StatusRemoved {
		result.Record = item.Record
	} else if op.Action != Remove {
		return r.result(op, e) // another entered in its place
	}
	return result, nil
}

// record reads one that stands after some bytes.
func (r *replyReader) record(after int) (Record, error) {
	text, rest, err := netstring(r.rest[after:])
	if err != nil {
		return Record{}, err
	}
	r.rest = rest
	return DecodeRecord(text)
}

// next is the byte that is read next, 0 at the end.
func (r *replyReader) next() byte {
	if r.rest == "" {
		return 0
	}
	return r.rest[0]
}

// added is the record that an operation adds at a time.
func (o Op) added(now string) string {
	switch o.Action {
	case Add, AddWithin:
		return now + o.Record.tail()
	default:
		return o.Stored
	}
}
