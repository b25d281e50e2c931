package prune

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
)

const turnEvery = 10 * time.Millisecond

// sweep is one sweep of one shard, and what it has removed so far.
type sweep struct {
	*Pruner
	shard  int
	age    time.Duration // 0: that of each node
	why    presence.Reason
	events []luascripts.RoomEvent
}

func (s *sweep) run(ctx context.Context) error {
	end, err := s.turn(ctx, s.shard)
	if err != nil {
		return err
	}
	defer end()
	rows, now, err := s.store.NodeRows(ctx, s.shard)
	if err != nil {
		return err
	}
	if rows, err = s.concerned(ctx, rows, now); err != nil {
		return err
	}
	var failed error
	for _, row := range rows {
		err := s.node(ctx, row, now)
		if err != nil && !spoilt(err) {
			return errors.Join(failed, err)
		}
		failed = errors.Join(failed, err)
	}
	if err := errors.Join(failed, s.graces(ctx, now)); err != nil {
		return err
	}
	if t, ok := s.target.(swept); ok && s.age == 0 {
		t.Swept(s.shard)
	}
	return nil
}

// spoilt reports whether a script failed because of the data of one node, which must not
// keep the others from being swept.
func spoilt(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer) && !errors.Is(err, luascripts.ErrHeld) && !luascripts.Passing(err)
}

// swept is told of each shard that was swept: a *presence.Tracker.
type swept interface{ Swept(shard int) }

// concerned returns the nodes that have something to remove. Most sweeps find none, and
// should cost little.
func (s *sweep) concerned(ctx context.Context, rows []luascripts.NodeRow, now time.Time) ([]luascripts.NodeRow, error) {
	before := make(map[string]time.Time, len(rows))
	for _, row := range rows {
		if !row.Lapsed(now) {
			before[row.Node] = now.Add(-maxAge(s.age, row))
		}
	}
	stale, err := s.store.AnyStale(ctx, s.shard, before)
	return slices.DeleteFunc(rows, func(row luascripts.NodeRow) bool { return !row.Lapsed(now) && !stale[row.Node] }), err
}

// node sweeps the presences of one node.
func (s *sweep) node(ctx context.Context, row luascripts.NodeRow, now time.Time) error {
	if !row.Lapsed(now) {
		limit := maxAge(s.age, row)
		w := luascripts.Sweep{Shard: s.shard, Node: row.Node, MaxAge: limit, Reason: byte(s.why)}
		return s.prune(ctx, w, func() ([]luascripts.Stale, error) {
			return s.store.Stale(ctx, s.shard, row.Node, now.Add(-limit))
		})
	}
	w := luascripts.Sweep{Shard: s.shard, Node: row.Node, Reason: byte(presence.NodeLost)}
	err := s.prune(ctx, w, func() ([]luascripts.Stale, error) {
		return s.store.Orphans(ctx, s.shard, row.Node)
	})
	if err == nil {
		_, err = s.store.Retire(ctx, s.shard, row.Node, "")
	}
	return err
}

// prune removes what next returns, until it returns nothing, or nothing that the script
// removes.
func (s *sweep) prune(ctx context.Context, w luascripts.Sweep, next func() ([]luascripts.Stale, error)) error {
	last := ""
	for {
		stale, err := next()
		if err != nil || len(stale) == 0 || stale[0].Short == last {
			return err
		}
		w.Stale = stale
		found, err := s.store.Prune(ctx, w)
		s.events = append(s.events, found...)
		if err != nil {
			return err
		}
		last = ""
		if len(found) == 0 {
			last = stale[0].Short
		}
	}
}

// graces removes presences whose grace has ended, until there is none, or none that the
// script removes: the clock may have gone back.
func (s *sweep) graces(ctx context.Context, now time.Time) error {
	var last luascripts.Graced
	for {
		due, err := s.store.Due(ctx, s.shard, now)
		if err != nil || len(due) == 0 || due[0] == last {
			return err
		}
		found, err := s.store.Ungrace(ctx, s.shard, due, 0)
		s.events = append(s.events, found...)
		if err != nil {
			return err
		}
		last = luascripts.Graced{}
		if len(found) == 0 {
			last = due[0]
		}
	}
}

// maxAge returns the caller's age or, if that is 0, the node's own.
func maxAge(age time.Duration, row luascripts.NodeRow) time.Duration {
	return cmp.Or(age, row.MaxAge, presence.DefaultMaxAge) // its row may be lost
}

// turn waits until nobody else sweeps the shard, so that a room that loses presences of
// several nodes gets one change.
func (p *Pruner) turn(ctx context.Context, shard int) (end func(), err error) {
	token := rand.Text()
	ticker := time.NewTicker(turnEvery)
	defer ticker.Stop()
	for {
		mine, err := p.store.TakeTurn(ctx, shard, token)
		if err != nil {
			return nil, err
		}
		if mine {
			break
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := p.store.EndTurn(ctx, shard, token); err != nil {
			p.opts.Logger.Warn("turn to sweep not given back", zap.Error(err))
		}
	}, nil
}
