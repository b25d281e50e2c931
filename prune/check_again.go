package prune

import (
	"time"

	"github.com/rollcall-go/rollcall/luascripts"
)

// suspects are index entries without a record. Where an exclusive channel has replaced
// another that is how it should be, until the other's node hears of it.
type suspects struct {
	of    map[int][]luascripts.Place // by shard
	since time.Time                  // when the last one was found
}

func (s *suspects) add(shard int, p luascripts.Place) {
	s.of[shard], s.since = append(s.of[shard], p), time.Now()
}

// stray reports whether the index has a room for a channel that is not in it.
func stray(st luascripts.Standing) bool {
	return st.Listed && st.Record == "" && st.Indexed()
}

// lookAgain looks at suspects until none is left, or they have had their time.
func (w *walk) lookAgain() error {
	const looks = 50
	for len(w.strays.of) > 0 {
		over := time.Since(w.strays.since) >= w.patience
		left := make(map[int][]luascripts.Place)
		for shard, places := range w.strays.of {
			still, err := w.stillStray(shard, places, over)
			if err := w.blame(shard, err); err != nil {
				return err
			}
			if len(still) > 0 {
				left[shard] = still
			}
		}
		if w.strays.of = left; len(left) == 0 {
			return nil
		}
		select {
		case <-time.After(w.patience / looks):
		case <-w.ctx.Done():
			return w.ctx.Err()
		}
	}
	return nil
}

// stillStray returns the places that are still stray. Once their time is over, it reports
// them as problems instead.
func (w *walk) stillStray(shard int, places []luascripts.Place, over bool) (still []luascripts.Place, err error) {
	err = w.look(shard, places, func(st luascripts.Standing) error {
		switch {
		case !stray(st):
			return nil
		case over:
			return w.found(place(IndexStray, shard, st, ""))
		}
		still = append(still, st.Place)
		return nil
	})
	return still, err
}
