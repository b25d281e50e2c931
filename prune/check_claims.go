package prune

import (
	"slices"

	"github.com/rollcall-go/rollcall/luascripts"
)

// claims looks for claims without a record of that exclusive channel.
func (w *walk) claims(shard int) error {
	key := w.store.Exclusive(shard)
	return w.scanHash(key, func(fields []luascripts.Field) error {
		var claims []luascripts.Claim
		for _, field := range fields {
			claim, ok := luascripts.ReadClaim(field.Name, field.Value)
			if ok {
				claims = append(claims, claim)
				continue
			}
			err := w.found(Problem{Kind: ClaimUnreadable, Shard: shard, Key: key, Member: field.Name, What: "no room and identity"})
			if err != nil {
				return err
			}
		}
		unfounded, err := w.store.UnfoundedClaims(w.ctx, shard, claims)
		if err != nil {
			return err
		}
		return w.foundClaims(ClaimStray, shard, unfounded)
	})
}

// unclaimed looks for exclusive channels without a claim.
func (w *walk) unclaimed(shard int, claims []luascripts.Claim) error {
	for some := range slices.Chunk(claims, step) {
		unclaimed, err := w.store.Unclaimed(w.ctx, shard, some)
		if err != nil {
			return err
		}
		if err := w.foundClaims(Unclaimed, shard, unclaimed); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) foundClaims(kind Kind, shard int, claims []luascripts.Claim) error {
	for _, c := range claims {
		p := Problem{Kind: kind, Shard: shard, Room: c.Room, Channel: c.Channel, Member: c.Identity}
		if err := w.found(p); err != nil {
			return err
		}
	}
	return nil
}
