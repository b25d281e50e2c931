package luascripts

import (
	"context"
	"time"
)

const (
	// adoptedLease is the least lease of a node without a row that tells its length:
	// long enough for a living node to sign by default. The fleet's may be longer.
	adoptedLease = 10 * time.Second
	// regrace is how long presences in grace without a deadline stay: as long as most
	// graces are.
	regrace = 30 * time.Second
)

// Amend makes the index, the presences and the graces match a place's record. For a
// place without a room, it makes the channel's entry in the index whole. It changes no
// record: an unknown node that has one is listed with a lease from now on, to be swept
// if it is not alive.
func (s *Store) Amend(ctx context.Context, shard int, p Place) error {
	keys := []string{
		s.roomIn(shard, p.Room), s.Grace(shard), s.Nodes(shard),
		s.Node(shard, p.Node), s.Presences(shard, p.Node), s.Index(shard, p.Node), s.Meta(shard),
	}
	args := []any{p.Node, p.Short, p.Room, adoptedLease.Milliseconds(), regrace.Milliseconds()}
	return s.run(ctx, s.scripts.amend, keys, args).Err()
}

// Enroll lists a node that has keys, with a lease from now on.
func (s *Store) Enroll(ctx context.Context, shard int, node string) error {
	keys := append(append([]string{s.Nodes(shard)}, s.nodeKeys(shard, node)...), s.Meta(shard))
	return s.run(ctx, s.scripts.enroll, keys, []any{node, adoptedLease.Milliseconds()}).Err()
}

// Enlist corrects the registries of rooms, and of empty ones, for a name.
func (s *Store) Enlist(ctx context.Context, shard int, room string) error {
	keys := []string{s.roomIn(shard, room), s.usersIn(shard, room), s.Rooms(shard), s.Empty(shard)}
	return s.run(ctx, s.scripts.enlist, keys, []any{room}).Err()
}

// Refill adds what is missing in meta.
func (s *Store) Refill(ctx context.Context, shard int) error {
	return s.run(ctx, s.scripts.refill, []string{s.Meta(shard)}, []any{SchemaVersion, s.Shards()}).Err()
}

// Discard deletes a key unless it has the given type.
func (s *Store) Discard(ctx context.Context, key, typ string) error {
	return s.run(ctx, s.scripts.discard, []string{key}, []any{typ}).Err()
}

// Expire sets an expiry on what a room remembers of users who went: the time for which
// they are remembered.
func (s *Store) Expire(ctx context.Context, room string) error {
	if keep := s.Remember(); keep > 0 {
		return s.client.PExpire(ctx, s.RoomSeen(room), keep).Err()
	}
	return s.client.Unlink(ctx, s.RoomSeen(room)).Err()
}
