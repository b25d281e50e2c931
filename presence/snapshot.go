package presence

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-go/rollcall/luascripts"
)

// Snapshot is the exact membership of a room at one revision.
type Snapshot struct {
	Room      string
	Presences []Presence // sorted by channel; LastSeen and LeavesAt are zero
	Counts    Counts

	header luascripts.Header
}

// Users returns the distinct users of the snapshot, or their keys, sorted.
func (s Snapshot) Users() []string {
	var users []string
	for _, p := range s.Presences {
		if who := p.identity(); who != "" {
			users = append(users, who)
		}
	}
	slices.Sort(users)
	return slices.Compact(users)
}

// Snapshot reads a room in one step. An unknown room is empty.
func (r *Reader) Snapshot(ctx context.Context, room string) (Snapshot, error) {
	s, _, err := r.snapshot(ctx, room)
	return s, err
}

// snapshot also returns the channels in grace.
func (r *Reader) snapshot(ctx context.Context, room string) (s Snapshot, graced []string, err error) {
	if err := checkRoom(room); err != nil {
		return Snapshot{}, nil, err
	}
	if err := r.reachable(room); err != nil {
		return Snapshot{}, nil, opError("snapshot", room, "", err)
	}
	pipe := r.store.Client().Pipeline()
	all := pipe.HGetAll(ctx, r.store.Room(room))
	healing := pipe.HExists(ctx, r.store.Meta(r.store.Shard(room)), luascripts.Healing)
	if _, err := pipe.Exec(ctx); err != nil {
		return Snapshot{}, nil, opError("snapshot", room, "", r.failed(err))
	}
	fields := all.Val()
	s = Snapshot{Room: room, Presences: make([]Presence, 0, max(0, len(fields)-1))}
	for channel, value := range fields {
		if channel == "" {
			h, err := luascripts.DecodeHeader(value)
			if err != nil {
				return Snapshot{}, nil, opError("snapshot", room, "", err)
			}
			s.header, s.Counts = h, countsOf(h)
			continue
		}
		record, err := luascripts.DecodeRecord(value)
		if err != nil {
			return Snapshot{}, nil, opError("snapshot", room, channel, err)
		}
		s.Presences = append(s.Presences, r.presenceOf(room, channel, record))
		if luascripts.InGrace(value) {
			graced = append(graced, channel)
		}
	}
	s.Counts.Healing = healing.Val()
	slices.SortFunc(s.Presences, func(a, b Presence) int { return strings.Compare(a.Channel, b.Channel) })
	return s, graced, nil
}

// SnapshotAt is Snapshot once the room has reached a revision, such as one that a write
// returned. That may take a moment if reads go to a replica. It returns ErrRemade if
// the room was removed and made again since.
func (r *Reader) SnapshotAt(ctx context.Context, room string, revision Revision) (Snapshot, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		s, err := r.Snapshot(ctx, room)
		if err != nil {
			return Snapshot{}, err
		}
		if reached, err := reaches(s.header, revision); reached {
			return s, opError("snapshot", room, "", err)
		}
		if err := sleep(ctx, pause); err != nil {
			return Snapshot{}, opError("snapshot", room, "", err)
		}
	}
}
