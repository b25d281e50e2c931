package luascripts

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// Claim is the place of an identity in a room, held by one exclusive channel.
type Claim struct {
	Room     string
	Identity string
	Channel  string
}

func (c Claim) field() string { return sized(c.Room) + c.Identity }

// ReadClaim decodes a field of the hash of claims.
func ReadClaim(field, channel string) (Claim, bool) {
	room, identity, ok := cutName(field)
	return Claim{Room: room, Identity: identity, Channel: channel}, ok && room != "" && identity != ""
}

// ClaimOf returns the claim of a channel with a record in a room, if it is exclusive.
func ClaimOf(room, channel, record string) (Claim, bool) {
	r, err := DecodeRecord(record)
	if err != nil || !r.Exclusive {
		return Claim{}, false
	}
	return Claim{Room: room, Identity: r.Identity(), Channel: channel}, true
}

// Unclaimed returns those of some claims that their channels do not hold, although
// their records say so.
func (s *Store) Unclaimed(ctx context.Context, shard int, claims []Claim) ([]Claim, error) {
	return s.judgeClaims(ctx, shard, claims, func(founded bool, c Claim, holder string) bool {
		return founded && holder != c.Channel
	})
}

// UnfoundedClaims returns those of some claims that their channels hold, although no
// record says so.
func (s *Store) UnfoundedClaims(ctx context.Context, shard int, claims []Claim) ([]Claim, error) {
	return s.judgeClaims(ctx, shard, claims, func(founded bool, c Claim, holder string) bool {
		return !founded && holder == c.Channel
	})
}

// judgeClaims returns the wrong ones of some claims. wrong is told whether the
// channel's record says that it is exclusive, and which channel holds the claim, both
// as of one moment.
func (s *Store) judgeClaims(ctx context.Context, shard int, claims []Claim, wrong func(bool, Claim, string) bool) ([]Claim, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	pipe := s.client.TxPipeline()
	records, holders := make([]*redis.StringCmd, len(claims)), make([]*redis.StringCmd, len(claims))
	for i, c := range claims {
		records[i] = pipe.HGet(ctx, s.roomIn(shard, c.Room), c.Channel)
		holders[i] = pipe.HGet(ctx, s.Exclusive(shard), c.field())
	}
	if err := exec(ctx, pipe); err != nil {
		return nil, err
	}
	var found []Claim
	for i, c := range claims {
		now, founded := ClaimOf(c.Room, c.Channel, records[i].Val())
		if wrong(founded && now == c, c, holders[i].Val()) {
			found = append(found, c)
		}
	}
	return found, nil
}

// Reclaim mends a claim: it is given up, or taken by the channel that should hold it.
// Of two channels whose records claim it, the older leaves. Reclaim returns the
// published events.
func (s *Store) Reclaim(ctx context.Context, shard int, c Claim) ([]RoomEvent, error) {
	remember := s.remember.Load()
	keys := []string{
		s.Rooms(shard), s.Empty(shard), s.Grace(shard), s.Exclusive(shard),
		s.roomIn(shard, c.Room), s.usersIn(shard, c.Room), s.seenIn(shard, c.Room),
	}
	args := []any{sized(c.Room), c.Identity, c.Channel, s.publish, remember}
	raw, err := s.run(ctx, s.scripts.reclaim, keys, args).Text()
	if err != nil {
		return nil, err
	}
	return roomEvents([]string{c.Room}, []string{raw})
}
