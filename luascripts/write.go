package luascripts

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrFenced tells that another incarnation of the node, or a later batch, has
// written since: the batch did nothing.
var ErrFenced = errors.New("rollcall: fenced")

// Action is what an Op does.
type Action byte

// The actions.
const (
	Add    Action = 'a'
	Update Action = 'u'
	Remove Action = 'r'
)

// Op is one operation of a batch.
type Op struct {
	Action Action
	Room   string
	Short  string // the channel's name after the node's id and the !
	Record Record // Add: user and info; Update: info
	Reason byte   // Remove: why
}

func (o Op) data() string {
	switch o.Action {
	case Add:
		return o.Record.tail()
	case Update:
		return string(flags(o.Record.Sealed)) + string(o.Record.Info)
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
	StatusAbsent  Status = '.' // there is no such presence
	StatusSame    Status = '=' // it was as it should be
)

// Result is what became of one operation.
type Result struct {
	Status   Status
	Revision int64  // of the room after the batch
	Record   Record // as stored, where Status is StatusSame
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

// Write runs a batch, or returns the reply that the batch of this number got.
func (s *Store) Write(ctx context.Context, b Batch) (Reply, error) {
	rooms, keys, args := s.layout(b)
	sc := s.scripts.free
	for _, op := range b.Ops {
		if op.Action != Remove && !b.Again {
			sc = s.scripts.write
		}
	}
	raw, err := s.run(ctx, sc, keys, args).Text()
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
	keys = make([]string, 0, 5+2*len(rooms))
	keys = append(keys, s.Node(b.Shard, b.Node), s.Presences(b.Shard, b.Node), s.Index(b.Shard, b.Node),
		s.Rooms(b.Shard), s.Empty(b.Shard))

	position := make(map[string]int, len(b.Ops))
	args = make([]any, 0, 5+2*len(rooms)+4*len(b.Ops))
	args = append(args, b.Node, b.Incarnation, b.Number, s.publish, 0)
	for _, op := range b.Ops {
		if _, ok := position[op.Short]; !ok {
			position[op.Short] = len(position) + 1
			args = append(args, op.Short)
		}
	}
	args[4] = len(position)
	for _, room := range rooms {
		keys = append(keys, s.Room(room.name), s.RoomUsers(room.name))
		args = append(args, room.name, len(room.ops))
		for _, i := range room.ops {
			op := b.Ops[i]
			args = append(args, string(op.Action), position[op.Short], op.data())
		}
	}
	return rooms, keys, args
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
	}
	return reply, nil
}

// typed gives the scripts' own errors their Go form.
func typed(err error) error {
	if strings.HasPrefix(err.Error(), "FENCED") {
		return fmt.Errorf("%w: %w", ErrFenced, err)
	}
	return err
}
