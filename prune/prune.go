package prune

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
)

// Target is what a Pruner sweeps: a *presence.Tracker, whose change handler is
// then called, or a *presence.Reader.
type Target interface {
	Store() *luascripts.Store
	Report([]luascripts.RoomEvent) []presence.Change
}

// Options of a Pruner. The zero value of each field is its default.
type Options struct {
	// Interval is the time between two sweeps of Run, less up to a fifth, so
	// that the nodes of a fleet do not sweep together. Defaults to 5 s.
	Interval time.Duration

	// Logger defaults to none.
	Logger *zap.Logger
}

// Pruner sweeps. It is safe for concurrent use.
type Pruner struct {
	target Target
	store  *luascripts.Store
	opts   Options
}

const (
	defaultInterval = 5 * time.Second
	turnEvery       = 10 * time.Millisecond
)

// New returns a Pruner. nil options mean defaults.
func New(target Target, opts *Options) (*Pruner, error) {
	p := &Pruner{target: target, store: target.Store()}
	if opts != nil {
		p.opts = *opts
	}
	if p.opts.Interval < 0 {
		return nil, &presence.InvalidError{Field: "Interval", Value: p.opts.Interval.String(), Reason: "negative"}
	}
	if p.opts.Interval == 0 {
		p.opts.Interval = defaultInterval
	}
	if p.opts.Logger == nil {
		p.opts.Logger = zap.NewNop()
	}
	return p, nil
}

// Run sweeps presences and rooms until ctx ends, and returns its error. A sweep
// that fails is logged, and the next one does its work.
func (p *Pruner) Run(ctx context.Context) error {
	for {
		timer := time.NewTimer(p.opts.Interval - mathrand.N(p.opts.Interval/5+1))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		if _, err := p.Presences(ctx); err != nil && ctx.Err() == nil {
			p.opts.Logger.Warn("presences not pruned", zap.Error(err))
			continue
		}
		if _, err := p.Rooms(ctx); err != nil && ctx.Err() == nil {
			p.opts.Logger.Warn("rooms not pruned", zap.Error(err))
		}
	}
}

// Presences removes the presences that were last seen longer ago than the max
// age of their node, strictly, with the reason presence.TimedOut. It returns
// one bulk change for each room that changed, also beside an error.
func (p *Pruner) Presences(ctx context.Context) ([]presence.Change, error) {
	return p.sweep(ctx, 0, presence.TimedOut)
}

// PresencesOlderThan is Presences with an age of the caller's, and the reason
// presence.Pruned. The age must be at least a millisecond.
func (p *Pruner) PresencesOlderThan(ctx context.Context, age time.Duration) ([]presence.Change, error) {
	if err := checkAge(age); err != nil {
		return nil, err
	}
	return p.sweep(ctx, age, presence.Pruned)
}

func checkAge(age time.Duration) error {
	if age < time.Millisecond {
		return &presence.InvalidError{Field: "age", Value: age.String(), Reason: "less than a millisecond"}
	}
	return nil
}

func (p *Pruner) sweep(ctx context.Context, age time.Duration, why presence.Reason) ([]presence.Change, error) {
	var events []luascripts.RoomEvent
	var failed error
	for shard := range p.store.Shards() {
		found, err := p.sweepShard(ctx, shard, age, why)
		events = append(events, found...)
		if err != nil {
			failed = fmt.Errorf("rollcall: prune: %w: %w", presence.ErrUnavailable, err)
			break
		}
	}
	return p.target.Report(events), failed
}

func (p *Pruner) sweepShard(ctx context.Context, shard int, age time.Duration, why presence.Reason) ([]luascripts.RoomEvent, error) {
	end, err := p.turn(ctx, shard)
	if err != nil {
		return nil, err
	}
	defer end()
	rows, now, err := p.store.NodeRows(ctx, shard)
	if err != nil {
		return nil, err
	}
	var events []luascripts.RoomEvent
	for _, row := range rows {
		if row.Channels == 0 {
			if now.Sub(row.LeasedAt) > row.Lease {
				if _, err := p.store.Retire(ctx, shard, row.Node, ""); err != nil {
					return events, err
				}
			}
			continue
		}
		limit := maxAge(age, row)
		last := ""
		for {
			stale, err := p.store.Stale(ctx, shard, row.Node, now.Add(-limit))
			if err != nil {
				return events, err
			}
			if len(stale) == 0 || stale[0].Short == last {
				break // nothing is left, or nothing that the script takes for stale
			}
			found, err := p.store.Prune(ctx, luascripts.Sweep{
				Shard: shard, Node: row.Node, MaxAge: limit, Reason: byte(why), Stale: stale,
			})
			events = append(events, found...)
			if len(found) == 0 {
				last = stale[0].Short
			}
			if err != nil {
				return events, err
			}
		}
	}
	return events, nil
}

// maxAge is the caller's age, or, where that is 0, the node's own.
func maxAge(age time.Duration, row luascripts.NodeRow) time.Duration {
	return cmp.Or(age, row.MaxAge, presence.DefaultMaxAge) // its row may be lost
}

// turn waits until no one else sweeps the shard, so that a room that loses
// presences of several nodes is told of it in one change.
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

// Rooms deletes the rooms that have no presences, and returns their names, also
// beside an error. A room that someone enters at the same moment stays.
func (p *Pruner) Rooms(ctx context.Context) ([]string, error) {
	var deleted []string
	for shard := range p.store.Shards() {
		for {
			rooms, err := p.store.EmptyRooms(ctx, shard)
			if err == nil && len(rooms) == 0 {
				break
			}
			var gone []string
			if err == nil {
				gone, err = p.store.PruneRooms(ctx, shard, rooms)
			}
			deleted = append(deleted, gone...)
			if err != nil {
				return deleted, fmt.Errorf("rollcall: prune rooms: %w: %w", presence.ErrUnavailable, err)
			}
		}
	}
	return deleted, nil
}
