package luascripts

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// Place is a channel of a node in a room.
type Place struct {
	Room  string
	Node  string
	Short string // the channel's name after the node's id and the !
}

// PlaceOf splits the name of a channel. It returns false if no node can have it.
func PlaceOf(room, channel string) (Place, bool) {
	node, short, ok := SplitChannel(channel)
	return Place{Room: room, Node: node, Short: short}, ok
}

// Channel returns the full name of the channel.
func (p Place) Channel() string { return JoinChannel(p.Node, p.Short) }

// graceMember returns the name of the place in the sorted set of graces.
func (p Place) graceMember() string {
	return sized(p.Room) + p.Channel()
}

// Standing is what a shard holds of a Place, all as of one moment.
type Standing struct {
	Place
	Record string    // as stored; empty if there is none
	Entry  string    // of the channel in the index; empty if there is none
	Seen   bool      // the channel is among the node's presences
	Graced bool      // the place has a deadline
	EndsAt time.Time // that deadline
	Listed bool      // the node is among the nodes
	Known  bool      // there is a key of the node
}

// Indexed reports whether the index has the room for the channel.
func (s Standing) Indexed() bool {
	return slices.Contains(indexRooms(s.Entry), s.Room)
}

// IndexEntry decodes an entry of the index. ok reports whether all of it is valid.
func IndexEntry(entry string) (rooms []string, ok bool) {
	rooms = indexRooms(entry)
	size, seen := 0, make(map[string]struct{}, len(rooms))
	for _, room := range rooms {
		size += 1 + len(room)
		seen[room] = struct{}{}
	}
	_, empty := seen[""]
	return rooms, size == len(entry) && size > 0 && len(seen) == len(rooms) && !empty
}

// GraceMember decodes a member of the sorted set of graces.
func GraceMember(member string) (Place, bool) {
	room, channel, ok := cutName(member)
	if !ok || room == "" {
		return Place{}, false
	}
	return PlaceOf(room, channel)
}

// Look returns what a shard holds of some places, at most MaxSweep of them, in their
// order. A place without a room stands for the channel alone.
func (s *Store) Look(ctx context.Context, shard int, places []Place) ([]Standing, error) {
	if len(places) == 0 {
		return nil, nil
	}
	pipe := s.client.TxPipeline()
	records := make([]*redis.StringCmd, len(places))
	members := make([]string, len(places))
	byNode := make(map[string][]int)
	for i, p := range places {
		if p.Room != "" {
			records[i] = pipe.HGet(ctx, s.roomIn(shard, p.Room), p.Channel())
		}
		members[i] = p.graceMember()
		byNode[p.Node] = append(byNode[p.Node], i)
	}
	deadlines := pipe.ZMScore(ctx, s.Grace(shard), members...)
	nodes := make(map[string]lookAtNode, len(byNode))
	for node, at := range byNode {
		shorts := make([]string, len(at))
		for j, i := range at {
			shorts[j] = places[i].Short
		}
		nodes[node] = s.lookAtNode(ctx, pipe, shard, node, shorts)
	}
	if err := exec(ctx, pipe); err != nil {
		return nil, err
	}
	standings := make([]Standing, len(places))
	for node, at := range byNode {
		for j, i := range at {
			standings[i] = nodes[node].standing(j)
		}
	}
	for i, p := range places {
		standings[i].Place = p
		if records[i] != nil {
			standings[i].Record = records[i].Val()
		}
		if standings[i].Graced = has(deadlines, i); standings[i].Graced {
			standings[i].EndsAt = time.UnixMilli(int64(deadlines.Val()[i]))
		}
	}
	return standings, nil
}

// lookAtNode is what is read of a node and some of its channels.
type lookAtNode struct {
	entries *redis.SliceCmd
	seen    *redis.FloatSliceCmd
	lease   *redis.FloatCmd
	rows    *redis.IntCmd
}

func (s *Store) lookAtNode(ctx context.Context, pipe redis.Pipeliner, shard int, node string, shorts []string) lookAtNode {
	return lookAtNode{
		entries: pipe.HMGet(ctx, s.Index(shard, node), shorts...),
		seen:    pipe.ZMScore(ctx, s.Presences(shard, node), shorts...),
		lease:   pipe.ZScore(ctx, s.Nodes(shard), node),
		rows:    pipe.Exists(ctx, s.nodeKeys(shard, node)...),
	}
}

// standing returns the Standing of the channel at a position.
func (n lookAtNode) standing(at int) Standing {
	st := Standing{Listed: n.lease.Err() == nil, Known: n.rows.Val() > 0, Seen: has(n.seen, at)}
	if entries := n.entries.Val(); at < len(entries) {
		st.Entry, _ = entries[at].(string)
	}
	return st
}

func (s *Store) nodeKeys(shard int, node string) []string {
	return []string{s.Node(shard, node), s.Presences(shard, node), s.Index(shard, node)}
}

// has reports whether a sorted set by time has the member at a position.
func has(times *redis.FloatSliceCmd, at int) bool {
	return at < len(times.Val()) && times.Val()[at] > 0
}

// exec runs reads. Those of a key of another type find nothing.
func exec(ctx context.Context, pipe redis.Pipeliner) error {
	cmds, err := pipe.Exec(ctx)
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && err != redis.Nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
			return err
		}
	}
	if err == redis.Nil || redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil
	}
	return err
}
