package luascripts

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrFenced means that another incarnation of the node, or a later batch, has written
// since. The batch did nothing.
var ErrFenced = errors.New("rollcall: fenced")

// ErrLost is an ErrFenced which means that Redis has lost batches of the node.
var ErrLost = fmt.Errorf("%w: batches were lost", ErrFenced)

// Action is what an Op does.
type Action byte

// The actions.
const (
	Add       Action = 'a'
	AddWithin Action = 'l'
	Revive    Action = 'v' // Add, for a pruned channel that is alive
	Keep      Action = 'k'
	Confirm   Action = 'c'
	Update    Action = 'u'
	Grace     Action = 'g'
	Remove    Action = 'r'
	Drop      Action = 'd' // Remove, unless it is in grace
)

// Removes reports whether an action removes a presence from its room at once.
func (a Action) Removes() bool { return a == Remove || a == Drop }

// Op is one operation of a batch.
type Op struct {
	Action Action
	Room   string
	Short  string        // the channel's name after the node's id and the !
	Record Record        // Add, AddWithin and Revive: without JoinedAt; Update: the info
	Limit  int           // AddWithin: the maximum number of users and anonymous channels in the room
	Stored string        // Keep and Confirm: the record, encoded
	Since  int64         // Confirm: the revision at which it was written
	Reason byte          // Grace, Remove and Drop: the reason
	Grace  time.Duration // Grace: how long the presence stays
	Unseen time.Duration // Add, Keep and Confirm: how long the channel has not been seen
}

func (o Op) data() string {
	switch o.Action {
	case Add, Revive:
		return o.Record.tail()
	case AddWithin:
		return strconv.Itoa(o.Limit) + " " + o.Record.tail()
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

// Solo reports whether an operation must be the only one of its batch on its room,
// because it looks at more than its channel.
func (o Op) Solo() bool {
	return o.Action == AddWithin || o.Record.Exclusive || isExclusive(o.Stored)
}

// Leaves reports whether an operation makes a channel leave, at once or after a grace.
// Such an operation also runs when Redis is out of memory.
func (o Op) Leaves() bool { return o.Action.Removes() || o.Action == Grace }

// Batch is what one node writes to one shard in one step. No two operations are on the
// same channel and room, and an operation that is Solo has no other on its room.
type Batch struct {
	Shard       int
	Node        string
	Incarnation string
	Number      int64
	Again       bool // its reply was lost, or it undoes such a batch: it runs even when out of memory
	Ops         []Op
}

// Status is the outcome of an operation.
type Status byte

// The statuses.
const (
	StatusAdded   Status = '+'
	StatusUpdated Status = '~'
	StatusRemoved Status = '-'
	StatusGraced  Status = 'g'
	StatusAbsent  Status = '.' // there is no such presence
	StatusFull    Status = '!' // the room is full: nothing was changed
	StatusYields  Status = '^' // there is none, because another is there in its place
	StatusSame    Status = '=' // nothing had to change
)

// Result is the result of one operation.
type Result struct {
	Status   Status
	Revision int64 // of the room after the batch
	// Record is the record after the batch, if Stored is not empty. It is empty with
	// StatusGraced.
	Record Record
	Stored string // the record, encoded
}

// Reply is the result of a batch: a Result for each operation, in their order, and an
// event for each room that changed.
type Reply struct {
	Results []Result
	Events  []RoomEvent
}

// RoomEvent is an event and its room.
type RoomEvent struct {
	Room string
	Event
}

// Write runs a batch, or returns the reply that the batch of this number got before.
// The client must not retry it by itself: a refusal of the second attempt would hide
// the outcome of the first.
func (s *Store) Write(ctx context.Context, b Batch) (Reply, error) {
	l := layoutOf(b)
	keys, args := s.arguments(b, l)
	sc := s.scripts.free
	for _, op := range b.Ops {
		if !op.Leaves() && !b.Again {
			sc = s.scripts.write
		}
	}
	raw, err := s.runOnce(ctx, sc, keys, args).Text()
	if err != nil {
		return Reply{}, typed(err)
	}
	return decodeReply(raw, b, l)
}

// layout says how a batch is passed to the script, and how its reply is decoded.
type layout struct {
	rooms    []roomOps
	channels []string // by operation
	data     []string // by operation
}

// roomOps are the positions of a room's operations in a batch.
type roomOps struct {
	name string
	ops  []int
}

func layoutOf(b Batch) layout {
	l := layout{rooms: byRoom(b.Ops), channels: make([]string, len(b.Ops)), data: make([]string, len(b.Ops))}
	for i, op := range b.Ops {
		l.channels[i], l.data[i] = JoinChannel(b.Node, op.Short), op.data()
	}
	return l
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

func (s *Store) arguments(b Batch, l layout) (keys []string, args []any) {
	remember := s.remember.Load()
	keys = make([]string, 0, 7+3*len(l.rooms))
	keys = append(keys, s.Node(b.Shard, b.Node), s.Presences(b.Shard, b.Node), s.Index(b.Shard, b.Node),
		s.Rooms(b.Shard), s.Empty(b.Shard), s.Grace(b.Shard), s.Exclusive(b.Shard))

	args = make([]any, 0, 6+2*len(l.rooms)+4*len(b.Ops))
	args = append(args, b.Node, b.Incarnation, b.Number, s.publish, remember, 0)
	unseen := 0
	for i, op := range b.Ops {
		if ms := op.Unseen.Milliseconds(); ms > 0 {
			args = append(args, l.channels[i], ms)
			unseen++
		}
	}
	args[5] = unseen
	for _, room := range l.rooms {
		keys = s.roomKeys(keys, room.name, remember)
		letters := make([]byte, len(room.ops))
		for k, i := range room.ops {
			letters[k] = byte(b.Ops[i].Action)
		}
		args = append(args, sized(room.name), letters)
		for _, i := range room.ops {
			args = append(args, l.channels[i])
		}
		for _, i := range room.ops {
			args = append(args, l.data[i])
		}
	}
	return keys, args
}

// roomKeys appends the keys of a room that a script gets.
func (s *Store) roomKeys(keys []string, room string, remember int64) []string {
	keys = append(keys, s.Room(room), s.RoomUsers(room))
	if remember > 0 {
		keys = append(keys, s.RoomSeen(room))
	}
	return keys
}

// typed returns the Go form of a script's own error.
func typed(err error) error {
	switch {
	case redis.HasErrorPrefix(err, "FENCED number"):
		return fmt.Errorf("%w: %w", ErrLost, err)
	case redis.HasErrorPrefix(err, "FENCED"):
		return fmt.Errorf("%w: %w", ErrFenced, err)
	case redis.HasErrorPrefix(err, "HELD"):
		return ErrHeld
	}
	return err
}
