package prune

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/internal/outagelog"
	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
)

// Target is what a Pruner sweeps: a *presence.Tracker, whose change handler is then
// called, or a *presence.Reader.
type Target interface {
	Store() *luascripts.Store
	Report([]luascripts.RoomEvent) []presence.Change
}

// Options of a Pruner. The zero value of each field is its default.
type Options struct {
	// Interval is the time between two sweeps of Run, less up to a fifth, so that the
	// nodes of a fleet do not sweep together. Defaults to 5 s.
	Interval time.Duration

	// Logger receives a line when sweeps begin to fail, one per minute while they fail,
	// and one when they succeed again. Layer.Logger will do. Defaults to none.
	Logger *zap.Logger
}

// Pruner sweeps. It is safe for concurrent use.
type Pruner struct {
	target Target
	store  *luascripts.Store
	opts   Options
	known  func(shard int) error // why a shard need not be asked; nil if that is never known
}

const defaultInterval = 5 * time.Second

// New returns a Pruner. nil options mean defaults.
func New(target Target, opts *Options) (*Pruner, error) {
	if target == nil {
		return nil, &presence.InvalidError{Field: "target", Reason: "nil"}
	}
	p := &Pruner{target: target, store: target.Store()}
	if t, ok := target.(aware); ok {
		p.known = t.Away
	}
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

// Run sweeps presences and rooms until ctx ends, and returns the context's error. What
// a sweep fails to do, the next one does.
func (p *Pruner) Run(ctx context.Context) error {
	log := outagelog.New[string](outagelog.Options{
		Logger: p.opts.Logger, Field: "what", Away: "not pruned", Back: "pruned again",
		Gather: p.opts.Interval, // so that presences and rooms share a line
	})
	var logging sync.WaitGroup
	defer logging.Wait()
	logging.Go(func() { log.Run(ctx) })
	told := func(what string, err error) {
		switch {
		case err == nil:
			log.Back(what)
		case ctx.Err() == nil:
			log.Away(what, err)
		}
	}
	for {
		timer := time.NewTimer(p.opts.Interval - mathrand.N(p.opts.Interval/5+1))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		_, err := p.Presences(ctx)
		told("presences", err)
		_, err = p.Rooms(ctx)
		told("rooms", err)
	}
}

// Presences removes the presences that were last seen longer ago than the max age of
// their node, strictly, with the reason presence.TimedOut; all presences of a node
// whose lease has expired, with presence.NodeLost; and those whose grace has ended,
// with the reason that they left with. It returns one bulk change for each room that
// changed, even with an error, which has a *presence.PartialError if some shards could
// not be swept. After a time in which no node could reach Redis, it removes nobody for
// a while.
func (p *Pruner) Presences(ctx context.Context) ([]presence.Change, error) {
	return p.sweep(ctx, 0, presence.TimedOut)
}

// PresencesOlderThan is Presences with the caller's age, and the reason
// presence.Pruned. The age must be at least a millisecond.
func (p *Pruner) PresencesOlderThan(ctx context.Context, age time.Duration) ([]presence.Change, error) {
	if err := checkAge(age); err != nil {
		return nil, err
	}
	return p.sweep(ctx, age, presence.Pruned)
}

// aware is a Target that knows which shards do not answer: asking them would hold up
// the sweeps of the others.
type aware interface{ Away(shard int) error }

// eachShard calls f with the shards that are not away. It returns those that are, and
// those for which f fails.
func (p *Pruner) eachShard(ctx context.Context, f func(shard int) error) (luascripts.Away, error) {
	away, err := p.store.Survey(ctx, p.known)
	if err != nil {
		return nil, err
	}
	for shard := range p.store.Shards() {
		if away[shard] == nil {
			if err := f(shard); err != nil {
				away[shard] = err
			}
		}
	}
	return away, nil
}

// failed says what could not be done, or not in all shards.
func failed(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, presence.ErrUnavailable), errors.Is(err, context.Canceled):
		return fmt.Errorf("rollcall: %s: %w", what, err)
	}
	return fmt.Errorf("rollcall: %s: %w: %w", what, presence.ErrUnavailable, luascripts.Explain(err))
}

func checkAge(age time.Duration) error {
	if age < time.Millisecond {
		return &presence.InvalidError{Field: "age", Value: age.String(), Reason: "less than a millisecond"}
	}
	return nil
}

func (p *Pruner) sweep(ctx context.Context, age time.Duration, why presence.Reason) ([]presence.Change, error) {
	var changes []presence.Change
	away, err := p.eachShard(ctx, func(shard int) error {
		s := sweep{Pruner: p, shard: shard, age: age, why: why}
		err := s.run(ctx)
		changes = append(changes, p.target.Report(s.events)...) // now, as later changes of its rooms are told at once
		if errors.Is(err, luascripts.ErrHeld) {
			return nil
		}
		return err
	})
	return changes, failed("prune", cmp.Or(err, away.Err()))
}

// Rooms deletes the rooms without presences, and returns their names. Errors are like
// those of Presences. A room that somebody enters at the same moment stays.
func (p *Pruner) Rooms(ctx context.Context) ([]string, error) {
	var deleted []string
	away, err := p.eachShard(ctx, func(shard int) error {
		gone, err := p.emptyShard(ctx, shard)
		deleted = append(deleted, gone...)
		return err
	})
	return deleted, failed("prune rooms", cmp.Or(err, away.Err()))
}

func (p *Pruner) emptyShard(ctx context.Context, shard int) (deleted []string, err error) {
	for {
		rooms, err := p.store.EmptyRooms(ctx, shard)
		if err != nil || len(rooms) == 0 {
			return deleted, err
		}
		gone, err := p.store.PruneRooms(ctx, shard, rooms)
		deleted = append(deleted, gone...)
		if err != nil {
			return deleted, err
		}
	}
}
