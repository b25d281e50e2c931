package luascripts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// EventPrefix begins every event: the version of the frame, and its kind.
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
	Previous int64 // the revision before
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

// Item is what an event did to one presence. Where a channel changes its user,
// a removal comes before the addition.
type Item struct {
	Kind    Kind
	Reason  byte // why, where Kind is Removed
	Channel string
	Record  Record // without the info where Kind is Removed
}

var errEvent = errors.New("rollcall: malformed event")

// DecodeEvent reads an event as the scripts publish it.
func DecodeEvent(s string) (Event, error) {
	body, ok := strings.CutPrefix(s, EventPrefix)
	if !ok {
		return Event{}, errEvent
	}
	line, rest, ok := strings.Cut(body, "\n")
	if !ok {
		return Event{}, errEvent
	}
	var e Event
	err := e.line(line)
	if err != nil {
		return Event{}, err
	}
	for rest != "" {
		if rest, err = e.item(rest); err != nil {
			return Event{}, err
		}
	}
	return e, nil
}

// DecodeEventHeader reads the header of an event alone.
func DecodeEventHeader(s string) (Header, error) {
	body, ok := strings.CutPrefix(s, EventPrefix)
	line, _, found := strings.Cut(body, "\n")
	if !ok || !found {
		return Header{}, errEvent
	}
	numbers, err := integers(line, 6)
	if err != nil {
		return Header{}, err
	}
	return header(append(numbers[:1], numbers[2:]...)), nil
}

// line reads what an event begins with.
func (e *Event) line(s string) error {
	numbers, err := integers(s, 6)
	if err != nil {
		return err
	}
	e.Previous = numbers[1]
	e.Header = header(append(numbers[:1], numbers[2:]...))
	return nil
}

func (e *Event) item(s string) (rest string, err error) {
	kind := s[0]
	s = s[1:]
	switch kind {
	case '>', '<':
		user, rest, err := netstring(s)
		if err != nil {
			return "", err
		}
		if kind == '>' {
			e.Came = append(e.Came, user)
		} else {
			e.Went = append(e.Went, user)
		}
		return rest, nil
	case '+', '-', '~':
		it := Item{Kind: Kind(kind)}
		if it.Kind == Removed {
			if s == "" {
				return "", errEvent
			}
			it.Reason, s = s[0], s[1:]
		}
		var record string
		if it.Channel, s, err = netstring(s); err != nil {
			return "", err
		}
		if record, s, err = netstring(s); err != nil {
			return "", err
		}
		if it.Record, err = DecodeRecord(record); err != nil {
			return "", err
		}
		e.Items = append(e.Items, it)
		return s, nil
	}
	return "", errEvent
}

// DecodeHeader reads the header of a room.
func DecodeHeader(s string) (Header, error) {
	numbers, err := integers(s, 5)
	if err != nil {
		return Header{}, err
	}
	return header(numbers), nil
}

func header(n []int64) Header {
	return Header{Revision: n[0], Birth: n[1], Presences: int(n[2]), Users: int(n[3]), Anonymous: int(n[4])}
}

// integers reads exactly n natural numbers with a blank between.
func integers(s string, n int) ([]int64, error) {
	numbers := make([]int64, 0, n)
	for rest, more := s, true; more; {
		var word string
		word, rest, more = strings.Cut(rest, " ")
		i, err := strconv.ParseInt(word, 10, 64)
		if err != nil || i < 0 || len(numbers) == n {
			return nil, fmt.Errorf("%w: numbers %.80q", errEvent, s)
		}
		numbers = append(numbers, i)
	}
	if len(numbers) != n {
		return nil, fmt.Errorf("%w: numbers %.80q", errEvent, s)
	}
	return numbers, nil
}

// netstring reads "<length>:<bytes>" and returns what follows it.
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
