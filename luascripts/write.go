package luascripts

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrFenced tells that another incarnation of the node, or a later batch, has
// written since: the batch did nothing.
var ErrFenced = errors.New("rollcall: fenced")

// ErrLost is an ErrFenced that tells that Redis has lost batches of the node.
var ErrLost = fmt.Errorf("%w: batches were lost", ErrFenced)

// Action is what an Op does.
type Action byte

// The actions.
const (
	Add     Action = 'a'
	Keep    Action = 'k'
	Confirm Action = 'c'
	Update  Action = 'u'
	Grace   Action = 'g'
	Remove  Action = 'r'
)

// Op is one operation of a batch.
type Op struct {
	Action Action
	Room   string
	Short  string        // the channel's name after the node's id and the !
	Record Record        // Add: without JoinedAt; Update: the info
	Stored string        // Keep and Confirm: the record, encoded
	Since  int64         // Confirm: the revision at which it was written
	Reason byte          // Grace and Remove: why
	Grace  time.Duration // Grace: how long it stays
	Unseen time.Duration // Add, Keep and Confirm: for how long the channel was not seen
}

func (o Op) data() string {
	switch o.Action {
	case Add:
		return o.Record.tail()
	case Keep:
		return o.Stored
	case Confirm:
		return fmt.Sprintf("%016d", o.Since) + o.Stored
	case Update:
		return string([]byte{o.Record.flags() & sealed}) + string(o.Record.Info)
	case Grace:
		return string([]byte{o.Reason}) + strconv.FormatInt(o.Grace.Milliseconds(), 10)
	default:
		return string([]byte{o.Reason}) // string(byte) would encode a rune
	}
}

// Batch is what one node writes to one shard in one step. No two of its
// operations are on the same channel and room.
type Batch struct {
	Shard       int
	Node        string
	Incarnation string
	Number      int64
	Again       bool // its reply was lost: whatever the memory, it must be known
	Ops         []Op
}

// Status is what became of an operation.
type Status byte

// The statuses.
const (
	StatusAdded   Status = '+'
	StatusUpdated Status = '~'
	StatusRemoved Status = '-'
	StatusGraced  Status = 'g'
	StatusAbsent  Status = '.' // there is no such presence
	StatusSame    Status = '=' // it was as it should be
)

// Result is what became of one operation.
type Result struct {
	Status   Status
	Revision int64  // of the room after the batch
	Record   Record // as stored, where it is there after the batch: not with StatusGraced
}

// Reply is what a batch did: a result for each operation, in their order, and
// an event for each room that changed.
type Reply struct {
	Results []Result
	Events  []RoomEvent
}

// RoomEvent is an event and its room.
type RoomEvent struct {
	Room string
	Event
}

// Write runs a batch, or returns the reply that the batch of this number got. The
// client does not try it again by itself: a refusal of the second attempt would
// hide what became of the first.
func (s *Store) Write(ctx context.Context, b Batch) (Reply, error) {
	rooms, keys, args := s.layout(b)
	sc := s.scripts.free
	for _, op := range b.Ops {
		if op.Action != Remove && op.Action != Grace && !b.Again {
			sc = s.scripts.write
		}
	}
	raw, err := s.runOnce(ctx, sc, keys, args).Text()
	if err != nil {
		return Reply{}, typed(err)
	}
	return decodeReply(raw, b.Ops, rooms)
}

// roomOps are the positions of a room's operations in a batch.
type roomOps struct {
	name string
	ops  []int
}

func byRoom(ops []Op) []roomOps {
	var rooms []roomOps
	at := make(map[string]int, len(ops))
	for i, op := range ops {
		k, ok := at[op.Room]
		if !ok {
			k = len(rooms)
			at[op.Room] = k
			rooms = append(rooms, roomOps{name: op.Room})
		}
		rooms[k].ops = append(rooms[k].ops, i)
	}
	return rooms
}

func (s *Store) layout(b Batch) (rooms []roomOps, keys []string, args []any) {
	rooms = byRoom(b.Ops)
	remember := s.remember.Load()
	keys = make([]string, 0, 6+3*len(rooms))
	keys = append(keys, s.Node(b.Shard, b.Node), s.Presences(b.Shard, b.Node), s.Index(b.Shard, b.Node),
		s.Rooms(b.Shard), s.Empty(b.Shard), s.Grace(b.Shard))

	position := make(map[string]int, len(b.Ops))
	args = make([]any, 0, 6+2*len(rooms)+5*len(b.Ops))
	args = append(args, b.Node, b.Incarnation, b.Number, s.publish, remember, 0)
	for _, op := range b.Ops {
		if _, ok := position[op.Short]; !ok {
			position[op.Short] = len(position) + 1
			args = append(args, op.Short, op.Unseen.Milliseconds())
		}
	}
	args[5] = len(position)
	for _, room := range rooms {
		keys = s.roomKeys(keys, room.name, remember)
		args = append(args, room.name, len(room.ops))
		for _, i := range room.ops {
			op := b.Ops[i]
			args = append(args, string(op.Action), position[op.Short], op.data())
		}
	}
	return rooms, keys, args
}

// roomKeys appends the keys of a room that a script is given.
func (s *Store) roomKeys(keys []string, room string, remember int64) []string {
	keys = append(keys, s.Room(room), s.RoomUsers(room))
	if remember > 0 {
		keys = append(keys, s.RoomSeen(room))
	}
	return keys
}

func decodeReply(raw string, ops []Op, rooms []roomOps) (Reply, error) {
	reply := Reply{Results: make([]Result, len(ops))}
	for _, room := range rooms {
		number, rest, _ := strings.Cut(raw, " ")
		revision, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return Reply{}, fmt.Errorf("rollcall: malformed reply: revision %.40q", number)
		}
		for _, i := range room.ops {
			if rest == "" {
				return Reply{}, errors.New("rollcall: malformed reply: too short")
			}
			result := Result{Status: Status(rest[0]), Revision: revision}
			rest = rest[1:]
			if result.Status == StatusSame {
				var record string
				if record, rest, err = netstring(rest); err != nil {
					return Reply{}, err
				}
				if result.Record, err = DecodeRecord(record); err != nil {
					return Reply{}, err
				}
			}
			reply.Results[i] = result
		}
		var event string
		if event, raw, err = netstring(rest); err != nil {
			return Reply{}, err
		}
		if event == "" {
			continue
		}
		e, err := DecodeEvent(event)
		if err != nil {
			return Reply{}, err
		}
		reply.Events = append(reply.Events, RoomEvent{Room: room.name, Event: e})
		reply.recordsOf(room.ops, e.Items)
	}
	return reply, nil
}

// recordsOf gives the results of a room's operations the records that its event
// has of them, in the same order.
func (r *Reply) recordsOf(ops []int, items []Item) {
	kinds := map[Status]Kind{StatusAdded: Added, StatusUpdated: Updated}
	for _, i := range ops {
		kind, ok := kinds[r.Results[i].Status]
		for ok && len(items) > 0 {
			it := items[0]
			items = items[1:]
			if it.Kind == kind {
				r.Results[i].Record = it.Record
				break
			}
		}
	}
}

// typed gives the scripts' own errors their Go form.
func typed(err error) error {
	switch {
	case redis.HasErrorPrefix(err, "FENCED number"):
		return ErrLost
	case redis.HasErrorPrefix(err, "FENCED"):
		return fmt.Errorf("%w: %w", ErrFenced, err)
	case redis.HasErrorPrefix(err, "HELD"):
		return ErrHeld
	}
	return err
}
