package luascripts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// EventPrefix begins every event. It is the version of the frame and its kind.
const EventPrefix = "\x01C"

// Header is the state of a room at a revision.
type Header struct {
	Revision  int64
	Birth     int64 // the revision at which the room was made
	Presences int
	Users     int
	Anonymous int
}

// Event is what one batch did to one room.
type Event struct {
	Header
	Previous int64 // the previous revision
	Items    []Item
	Came     []string // users whose first channel came
	Went     []string // users whose last channel went
}

// Kind says what an Item did.
type Kind byte

// The kinds of items, in the order in which they happened.
const (
	Added   Kind = '+'
	Removed Kind = '-'
	Updated Kind = '~'
)

// Item is what an event did to one presence. If a channel changes its user, a removal
// precedes the addition.
type Item struct {
	Kind    Kind
	Reason  byte // why, if Kind is Removed
	Channel string
	Record  Record // without the info if Kind is Removed
}

var errEvent = errors.New("rollcall: malformed event")

// DecodeEvent decodes an event that a script published.
func DecodeEvent(s string) (Event, error) {
	e, rest, err := cutEvent(s)
	for err == nil && rest != "" {
		rest, err = e.item(rest)
	}
	if err != nil {
		return Event{}, err
	}
	return e, nil
}

// DecodeEventHeader decodes only the header of an event.
func DecodeEventHeader(s string) (Header, error) {
	e, _, err := cutEvent(s)
	return e.Header, err
}

// DecodeDepartures decodes an event's departures and their reasons. It leaves out other
// items, and all records and users.
func DecodeDepartures(s string) (Event, error) {
	e, rest, err := cutEvent(s)
	for err == nil && rest != "" {
		var it Item
		if it, _, rest, err = cutItem(rest); err == nil && it.Kind == Removed {
			e.Items = append(e.Items, it)
		}
	}
	if err != nil {
		return Event{}, err
	}
	return e, nil
}

// cutEvent decodes the beginning of an event, and returns what follows.
func cutEvent(s string) (e Event, rest string, err error) {
	body, ok := strings.CutPrefix(s, EventPrefix)
	line, rest, found := strings.Cut(body, "\n")
	if !ok || !found {
		return Event{}, "", errEvent
	}
	if err := e.line(line); err != nil {
		return Event{}, "", err
	}
	return e, rest, nil
}

// line decodes the numbers of an event.
func (e *Event) line(s string) error {
	var n [6]int64
	if err := integers(s, n[:]); err != nil {
		return err
	}
	e.Previous = n[1]
	e.Header = header([5]int64{n[0], n[2], n[3], n[4], n[5]})
	return nil
}

func (e *Event) item(s string) (rest string, err error) {
	it, text, rest, err := cutItem(s)
	if err != nil {
		return "", err
	}
	switch it.Kind {
	case came:
		e.Came = append(e.Came, text)
	case went:
		e.Went = append(e.Went, text)
	default:
		if it.Record, err = DecodeRecord(text); err != nil {
			return "", err
		}
		e.Items = append(e.Items, it)
	}
	return rest, nil
}

// The kinds of items that are about a user and not a presence.
const (
	came Kind = '>'
	went Kind = '<'
)

// cutItem decodes what an event did to a presence, with its record as stored, or a user
// who came or went.
func cutItem(s string) (it Item, text, rest string, err error) {
	it.Kind, rest = Kind(s[0]), s[1:]
	switch it.Kind {
	case came, went:
	case Added, Removed, Updated:
		if it.Kind == Removed {
			if rest == "" {
				return it, "", "", errEvent
			}
			it.Reason, rest = rest[0], rest[1:]
		}
		if it.Channel, rest, err = netstring(rest); err != nil {
			return it, "", "", err
		}
	default:
		return it, "", "", errEvent
	}
	text, rest, err = netstring(rest)
	return it, text, rest, err
}

// DecodeHeader decodes the header of a room.
func DecodeHeader(s string) (Header, error) {
	var n [5]int64
	if err := integers(s, n[:]); err != nil {
		return Header{}, err
	}
	return header(n), nil
}

func header(n [5]int64) Header {
	return Header{Revision: n[0], Birth: n[1], Presences: int(n[2]), Users: int(n[3]), Anonymous: int(n[4])}
}

// integers decodes exactly len(numbers) natural numbers, separated by blanks.
func integers(s string, numbers []int64) error {
	rest, more := s, true
	for i := range numbers {
		var word string
		word, rest, more = strings.Cut(rest, " ")
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || n < 0 || more != (i < len(numbers)-1) {
			return fmt.Errorf("%w: numbers %.80q", errEvent, s)
		}
		numbers[i] = n
	}
	return nil
}

// netstring decodes "<length>:<bytes>" and returns what follows it.
func netstring(s string) (value, rest string, err error) {
	digits, after, ok := strings.Cut(s, ":")
	if !ok || len(digits) > 8 {
		return "", "", errEvent
	}
	length, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || length > uint64(len(after)) {
		return "", "", errEvent
	}
	return after[:length], after[length:], nil
}
