package luascripts

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// Audit is what a room's hash says of the room, beside what is there, all as of one
// moment.
type Audit struct {
	Room       string
	Exists     bool   // the room has a hash
	Registered bool   // in the registry of rooms
	Empty      bool   // in the registry of rooms without presences
	Sound      bool   // the header can be read
	Header     Header // what the header says
	Presences  int    // what is there
	Users      int
	Anonymous  int
	Channels   []string       // those whose records can be read
	Junk       []string       // fields that are not records
	Miscounted map[string]int // the true number of channels of each user whose entry in the hash of users is wrong
	// Unsettled means that the room changes faster than it can be read, which only a
	// large one can. Its users and anonymous channels are then unknown.
	Unsettled bool
}

// CountsAgree reports whether the header has the right numbers. With junk, nobody knows
// which user it was counted for, so only presences are compared.
func (a Audit) CountsAgree() bool {
	h := a.Header
	return h.Presences == a.Presences+len(a.Junk) &&
		(a.Unsettled || len(a.Junk) > 0 || h.Users == a.Users && h.Anonymous == a.Anonymous)
}

// sound reports whether nothing needs mending in the room itself.
func (a Audit) sound() bool {
	return !a.Exists || a.Sound && a.CountsAgree() && len(a.Junk)+len(a.Miscounted) == 0
}

// AuditRooms audits some rooms of a shard. It reads each small room in one step, and
// large ones in pages, each once the caller is done with the one before. An error ends
// it.
func (s *Store) AuditRooms(ctx context.Context, shard int, rooms []string) iter.Seq2[Audit, error] {
	return func(yield func(Audit, error) bool) {
		sketches, err := s.sketch(ctx, rooms...)
		if err != nil {
			yield(Audit{}, err)
			return
		}
		var small []string
		total := 0
		flush := func() bool {
			some := small
			small, total = nil, 0
			return s.auditSmall(ctx, shard, some, yield)
		}
		for i, room := range rooms {
			size := sketches[i].size()
			if size > wholeRoom {
				a, err := s.auditLarge(ctx, shard, room)
				if !yield(a, err) || err != nil {
					return
				}
				continue
			}
			if (total+size > wholeRoom || len(small) == MaxSweep) && !flush() {
				return
			}
			small, total = append(small, room), total+size
		}
		flush()
	}
}

// sketch is what is cheap to read of a room, not as of one moment.
type sketch struct {
	header        *redis.StringCmd
	fields, users *redis.IntCmd
}

func (k sketch) size() int { return int(k.fields.Val() + k.users.Val()) }

// sketch reads sketches of some rooms, in one round trip.
func (s *Store) sketch(ctx context.Context, rooms ...string) ([]sketch, error) {
	pipe := s.client.Pipeline()
	sketches := make([]sketch, len(rooms))
	for i, room := range rooms {
		sketches[i] = sketch{
			header: pipe.HGet(ctx, s.Room(room), ""), fields: pipe.HLen(ctx, s.Room(room)), users: pipe.HLen(ctx, s.RoomUsers(room)),
		}
	}
	return sketches, exec(ctx, pipe)
}

// auditSmall reads some rooms in one step, and tells whether to go on.
func (s *Store) auditSmall(ctx context.Context, shard int, rooms []string, yield func(Audit, error) bool) bool {
	censuses, err := s.readSmall(ctx, shard, rooms)
	if err != nil {
		yield(Audit{}, err)
		return false
	}
	for _, c := range censuses {
		if !yield(c.audit(c.miscounted()), nil) {
			return false
		}
	}
	return true
}

// readSmall reads some rooms in one step.
func (s *Store) readSmall(ctx context.Context, shard int, rooms []string) ([]*census, error) {
	if len(rooms) == 0 {
		return nil, nil
	}
	pipe := s.client.TxPipeline()
	records := make([]*redis.MapStringStringCmd, len(rooms))
	users := make([]*redis.MapStringStringCmd, len(rooms))
	listed := make([]*registered, len(rooms))
	for i, room := range rooms {
		records[i] = pipe.HGetAll(ctx, s.Room(room))
		users[i] = pipe.HGetAll(ctx, s.RoomUsers(room))
		listed[i] = s.askRegistries(ctx, pipe, shard, room)
	}
	if err := exec(ctx, pipe); err != nil {
		return nil, err
	}
	censuses := make([]*census, len(rooms))
	for i, room := range rooms {
		c := s.newCensus(room)
		for field, value := range records[i].Val() {
			if field != "" {
				c.put(field, value)
			}
		}
		c.setHeader(records[i].Val()[""])
		c.stored = users[i].Val()
		c.registered, c.empty = listed[i].answer()
		censuses[i] = c
	}
	return censuses, nil
}

// miscounted returns the users whose entries in the hash of users differ from the
// records.
func (c *census) miscounted() map[string]int {
	wrong := make(map[string]int)
	for user, n := range c.users {
		if user != "" && c.stored[user] != strconv.Itoa(n) {
			wrong[user] = n
		}
	}
	for user := range c.stored {
		if c.due(user) == "0" {
			wrong[user] = 0
		}
	}
	return wrong
}

// due returns what the hash of users should say of a user, "0" for nothing.
func (c *census) due(user string) string {
	if user == "" {
		return "0" // anonymous channels are not in it
	}
	return strconv.Itoa(c.users[user])
}

func (c *census) audit(miscounted map[string]int) Audit {
	a := Audit{
		Room: c.room, Exists: c.exists(), Registered: c.registered, Empty: c.empty,
		Sound: c.sound, Header: c.head,
		Presences: len(c.members), Users: c.distinct(), Anonymous: c.anonymous(),
		Miscounted: miscounted,
	}
	a.Channels = slices.Collect(maps.Keys(c.members))
	a.Junk = slices.Collect(maps.Keys(c.junk))
	if len(a.Junk) > 0 {
		a.Miscounted = nil // nobody knows which user the junk was counted for
	}
	return a
}

// auditLarge audits a room that is too large for one step.
func (s *Store) auditLarge(ctx context.Context, shard int, room string) (Audit, error) {
	const attempts = 3
	for attempt := 1; ; attempt++ {
		c := s.newCensus(room)
		err := c.readLarge(ctx)
		var wrong map[string]int
		if err == nil {
			wrong, err = c.confirm(ctx, shard)
		}
		c.close()
		a := c.audit(wrong)
		switch {
		case err == nil:
			return a, nil
		case ctx.Err() != nil || !errors.Is(err, errGap):
			return a, err
		case attempt == attempts:
			return s.auditUnsettled(ctx, shard, a)
		}
	}
}

// confirm returns those users that seem miscounted and are, and asks the registries,
// each at a moment at which the census is exact.
func (c *census) confirm(ctx context.Context, shard int) (map[string]int, error) {
	suspects := slices.Collect(maps.Keys(c.miscounted()))
	wrong := make(map[string]int)
	for first := true; first || len(suspects) > 0; first = false {
		some := suspects[:min(len(suspects), censusPage)]
		suspects = suspects[len(some):]
		stored, err := c.exactly(ctx, shard, some)
		if err != nil {
			return nil, err
		}
		for i, user := range some {
			if n := c.due(user); stored[i] != n {
				wrong[user], _ = strconv.Atoi(n)
			}
		}
	}
	return wrong, nil
}

// exactly reads the stored counts of some users while the room matches the census.
func (c *census) exactly(ctx context.Context, shard int, users []string) ([]string, error) {
	s := c.store
	for range maxChase {
		pipe := s.client.TxPipeline()
		header := pipe.HGet(ctx, s.Room(c.room), "")
		listed := s.askRegistries(ctx, pipe, shard, c.room)
		var counts *redis.SliceCmd
		if len(users) > 0 {
			counts = pipe.HMGet(ctx, s.RoomUsers(c.room), users...)
		}
		if err := exec(ctx, pipe); err != nil {
			return nil, err
		}
		if header.Val() != c.text {
			if err := c.advance(ctx); err != nil {
				return nil, err
			}
			continue
		}
		c.registered, c.empty = listed.answer()
		stored := make([]string, len(users))
		for i := range users {
			stored[i] = "0"
			if i >= len(counts.Val()) {
				continue // it is no hash
			}
			if text, ok := counts.Val()[i].(string); ok {
				stored[i] = text
			}
		}
		return stored, nil
	}
	return nil, errGap
}

// maxChase is how often a large room may be found to have changed again.
const maxChase = 100

// auditUnsettled compares what one step can compare, whatever the size.
func (s *Store) auditUnsettled(ctx context.Context, shard int, a Audit) (Audit, error) {
	pipe := s.client.TxPipeline()
	header := pipe.HGet(ctx, s.Room(a.Room), "")
	fields := pipe.HLen(ctx, s.Room(a.Room))
	listed := s.askRegistries(ctx, pipe, shard, a.Room)
	if err := exec(ctx, pipe); err != nil {
		return a, err
	}
	h, err := DecodeHeader(header.Val())
	a.Registered, a.Empty = listed.answer()
	a.Exists, a.Sound, a.Header = fields.Val() > 0, err == nil, h
	a.Presences, a.Junk, a.Miscounted, a.Unsettled = int(fields.Val())-1, nil, nil, true
	return a, nil
}
