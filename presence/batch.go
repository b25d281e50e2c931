package presence

import "github.com/rollcall-go/rollcall/luascripts"

const (
	maxOps   = 256      // operations in one script call: about a millisecond of Redis
	maxBytes = 64 << 10 // of infos written in one call: about the same
)

// take bounds a batch. Operations on the same channel and room go into different
// batches, and an operation that is Solo in its room shares a batch with no other on
// that room.
func (w *writer) take(pending []*write) int {
	defer w.rooms.reset()
	total, bytes := 0, 0
	for i, p := range pending {
		total += len(p.ops)
		for _, op := range p.ops {
			bytes += w.weight(op)
		}
		if i > 0 && (total > maxOps || bytes > maxBytes || !w.rooms.fit(p.ops)) {
			return i
		}
		w.rooms.add(p.ops)
	}
	return len(pending)
}

// weight is what an operation counts toward maxBytes. A removal only reads the record,
// which costs a fifth, and next to nothing unless infos are large.
func (w *writer) weight(op luascripts.Op) int {
	if op.Leaves() {
		return max(0, w.tracker.opts.MaxInfo-defaultMaxInfo) / 5
	}
	return len(op.Record.Info) + len(op.Stored)
}

// roomsTaken are the rooms of a batch and the channels there. It is reused from batch
// to batch to save allocations.
type roomsTaken struct {
	channels map[target]struct{}
	solo     map[string]struct{} // rooms that allow nothing else in the batch
}

// target is a channel in a room, or any channel there if short is empty.
type target struct{ short, room string }

func newRoomsTaken() roomsTaken {
	return roomsTaken{channels: make(map[target]struct{}), solo: make(map[string]struct{})}
}

func (r *roomsTaken) reset() {
	clear(r.channels)
	clear(r.solo)
}

// fit reports whether operations fit in the batch.
func (r *roomsTaken) fit(ops []luascripts.Op) bool {
	for i := range ops {
		at := target{ops[i].Short, ops[i].Room}
		if ops[i].Solo() {
			at.short = ""
		}
		_, same := r.channels[at]
		_, solo := r.solo[at.room]
		if same || solo {
			return false
		}
	}
	return true
}

func (r *roomsTaken) add(ops []luascripts.Op) {
	for i := range ops {
		room := ops[i].Room
		r.channels[target{ops[i].Short, room}] = struct{}{}
		r.channels[target{"", room}] = struct{}{}
		if ops[i].Solo() {
			r.solo[room] = struct{}{}
		}
	}
}
