package luascripts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrReply means that a script has run, and that its reply cannot be decoded: a record
// that it has to tell of is damaged.
var ErrReply = errors.New("rollcall: malformed reply")

// decodeReply decodes the reply of the write script. The reply omits what the caller
// knows: the records that it adds, and the names of channels.
func decodeReply(raw string, b Batch, l layout) (Reply, error) {
	reply := Reply{Results: make([]Result, len(b.Ops))}
	now, rest, _ := strings.Cut(raw, " ")
	if len(now) != joinedDigits {
		return Reply{}, fmt.Errorf("%w: time %.40q", ErrReply, now)
	}
	r := replyReader{ops: b.Ops, layout: l, now: now, rest: rest}
	for _, room := range l.rooms {
		e, changed, err := r.room(room.ops, reply.Results)
		if err != nil {
			return Reply{}, fmt.Errorf("%w: %w", ErrReply, err)
		}
		if changed {
			reply.Events = append(reply.Events, RoomEvent{Room: room.name, Event: e})
		}
	}
	return reply, nil
}

type replyReader struct {
	ops []Op
	layout
	now  string // as at the beginning of an added record
	rest string
}

// room decodes the results of a room's operations, and the event if there was one.
func (r *replyReader) room(at []int, results []Result) (e Event, changed bool, err error) {
	for _, i := range at {
		if results[i], err = r.result(i, &e); err != nil {
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

// result decodes the result of the i-th operation, and adds its effect to the event.
func (r *replyReader) result(i int, e *Event) (Result, error) {
	result := Result{Status: Status(r.next())}
	item := Item{Kind: Kind(result.Status), Channel: r.channels[i]}
	var err error
	switch result.Status {
	case StatusAdded:
		r.rest = r.rest[1:]
		result.Stored = r.added(i)
		item.Record, err = DecodeRecord(result.Stored)
	case StatusUpdated, StatusSame:
		item.Record, err = r.record(1)
	case StatusRemoved:
		if len(r.rest) < 2 {
			return result, errEvent
		}
		item.Reason = r.rest[1]
		item.Record, err = r.record(2)
	case StatusGraced, StatusAbsent, StatusFull, StatusYields:
		r.rest = r.rest[1:]
		return result, nil
	case displaced:
		if err := r.displaced(e); err != nil {
			return result, err
		}
		return r.result(i, e)
	default:
		return result, fmt.Errorf("%w: status %q", errEvent, result.Status)
	}
	if err != nil {
		return result, err
	}
	if result.Status != StatusSame {
		e.Items = append(e.Items, item)
	}
	switch result.Status {
	case StatusRemoved:
		if !r.ops[i].Action.Removes() {
			return r.result(i, e) // another entered in its place, or is there
		}
	case StatusAdded:
		result.Record = item.Record
	default:
		result.Record, result.Stored = item.Record, item.Record.Encode()
	}
	return result, nil
}

// displaced precedes the result of an operation that made another channel leave.
const displaced = '*'

func (r *replyReader) displaced(e *Event) error {
	channel, rest, err := netstring(r.rest[1:])
	if err != nil || rest == "" {
		return errEvent
	}
	r.rest = rest
	item := Item{Kind: Removed, Channel: channel, Reason: rest[0]}
	if item.Record, err = r.record(1); err != nil {
		return err
	}
	e.Items = append(e.Items, item)
	return nil
}

// record decodes a record that follows some bytes.
func (r *replyReader) record(after int) (Record, error) {
	text, rest, err := netstring(r.rest[after:])
	if err != nil {
		return Record{}, err
	}
	r.rest = rest
	return DecodeRecord(text)
}

// next returns the next byte, or 0 at the end.
func (r *replyReader) next() byte {
	if r.rest == "" {
		return 0
	}
	return r.rest[0]
}

// added returns the record that the i-th operation adds.
func (r *replyReader) added(i int) string {
	switch op, data := r.ops[i], r.data[i]; op.Action {
	case Add, Revive:
		return r.now + data
	case AddWithin:
		_, tail, _ := strings.Cut(data, " ") // after the limit
		return r.now + tail
	default:
		return op.Stored
	}
}
