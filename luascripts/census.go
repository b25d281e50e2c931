package luascripts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	wholeRoom   = 1000 // presences and users of a room that are read in one step
	censusPage  = 500
	awaitEvents = time.Second
)

// errGap means that a room has changed and no event said how.
var errGap = errors.New("rollcall: the room changes faster than it can be read")

// census is who is in a room, as of its header. A large room is read in pages, and made
// exact by the events that come meanwhile; the census follows the room until it is
// closed.
type census struct {
	store   *Store
	room    string
	sub     *redis.PubSub // nil if the room was read in one step
	text    string        // the header as read, empty if there is none
	head    Header
	sound   bool // the header can be read
	members map[string]string
	users   map[string]int
	junk    map[string]struct{} // fields that are not records
	stored  map[string]string   // the hash of users: for a large room, not as of one moment

	registered, empty bool
}

func (s *Store) newCensus(room string) *census {
	return &census{store: s, room: room,
		members: make(map[string]string), users: make(map[string]int), junk: make(map[string]struct{})}
}

// subscribe listens to a topic.
func (s *Store) subscribe(ctx context.Context, topic string) *redis.PubSub {
	if s.publish == "SPUBLISH" {
		return s.client.SSubscribe(ctx, topic)
	}
	return s.client.Subscribe(ctx, topic)
}

func (c *census) close() {
	if c.sub != nil {
		_ = c.sub.Close() // nothing more is wanted from it
	}
}

func (c *census) exists() bool   { return c.text != "" || len(c.members)+len(c.junk) > 0 }
func (c *census) anonymous() int { return c.users[""] }

func (c *census) distinct() int {
	if _, ok := c.users[""]; ok {
		return len(c.users) - 1
	}
	return len(c.users)
}

// setHeader sets the header as read.
func (c *census) setHeader(text string) {
	var err error
	c.text = text
	c.head, err = DecodeHeader(text)
	c.sound = err == nil
}

// put records a channel's record.
func (c *census) put(channel, record string) {
	r, err := DecodeRecord(record)
	if _, ok := PlaceOf(c.room, channel); !ok || err != nil {
		c.junk[channel] = struct{}{}
		return
	}
	c.enter(channel, r.Identity())
}

func (c *census) enter(channel, identity string) {
	c.drop(channel)
	c.members[channel] = identity
	c.users[identity]++
}

func (c *census) drop(channel string) {
	delete(c.junk, channel)
	identity, ok := c.members[channel]
	if !ok {
		return
	}
	delete(c.members, channel)
	if c.users[identity]--; c.users[identity] == 0 {
		delete(c.users, identity)
	}
}

// readLarge reads a room in pages, and follows it from then on.
func (c *census) readLarge(ctx context.Context) error {
	s := c.store
	c.sub = s.subscribe(ctx, s.Room(c.room))
	if _, err := c.sub.ReceiveTimeout(ctx, awaitEvents); err != nil { // the confirmation
		return err
	}
	text, err := s.headerText(ctx, c.room)
	if err != nil {
		return err
	}
	c.setHeader(text)
	for f, err := range s.Fields(ctx, s.Room(c.room), censusPage) {
		if err != nil {
			return err
		}
		if f.Name != "" {
			c.put(f.Name, f.Value)
		}
	}
	c.stored = make(map[string]string)
	for f, err := range s.Fields(ctx, s.RoomUsers(c.room), censusPage) {
		if redis.HasErrorPrefix(err, "WRONGTYPE") {
			break // nothing is found, as in exec
		}
		if err != nil {
			return err
		}
		c.stored[f.Name] = f.Value
	}
	return c.advance(ctx)
}

func (s *Store) headerText(ctx context.Context, room string) (string, error) {
	text, err := s.client.HGet(ctx, s.Room(room), "").Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return text, err
}

// advance brings the census up to date with the room, by its events.
func (c *census) advance(ctx context.Context) error {
	text, err := c.store.headerText(ctx, c.room)
	if err != nil || text == c.text {
		return err
	}
	now, err := DecodeHeader(text)
	if err != nil || !c.sound || c.sub == nil {
		return errGap
	}
	for c.head.Revision < now.Revision {
		got, err := c.sub.ReceiveTimeout(ctx, awaitEvents)
		if err != nil {
			return fmt.Errorf("%w: %w", errGap, err)
		}
		if m, ok := got.(*redis.Message); ok {
			if err := c.hear(m.Payload); err != nil {
				return err
			}
		}
	}
	if c.head != now {
		return errGap
	}
	c.text = text
	return nil
}

// hear applies a message from the topic of the room.
func (c *census) hear(frame string) error {
	if !strings.HasPrefix(frame, EventPrefix) {
		return nil // a message to the group
	}
	e, err := DecodeEvent(frame)
	if err != nil {
		return err
	}
	if e.Revision <= c.head.Revision {
		return nil
	}
	if e.Previous != c.head.Revision {
		return errGap
	}
	for _, it := range e.Items {
		switch it.Kind {
		case Removed:
			c.drop(it.Channel)
		default:
			c.enter(it.Channel, it.Record.Identity())
		}
	}
	c.head = e.Header
	return nil
}
