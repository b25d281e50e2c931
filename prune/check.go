package prune

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
)

// CheckerOptions of a Checker. The zero value of each field is its default.
type CheckerOptions struct {
	// Overdue is how long a node may still be there after its lease has expired, or a
	// presence after its grace has ended: the sweeps of a fleet remove them within
	// that. Defaults to 15 s, three sweeps.
	Overdue time.Duration
}

const defaultOverdue = 15 * time.Second

// patience is how long a write of a node may take.
const patience = 5 * time.Second

// maxPasses is how often Repair walks: what it mends may have hidden something.
const maxPasses = 4

// Checker looks for what must not be in Redis. It is safe for concurrent use, and while
// any number of nodes write.
//
// It walks the keyspace in small steps. It reads in one step (MULTI) what it judges
// together, so it never takes a write in progress for damage. It looks again, for 5 s, at
// what one node leaves for another to write, as when an exclusive channel replaces
// another. A room of more than about a thousand presences is read in pages, and made
// exact by its events. If a room changes too fast for that, its users and anonymous
// channels are not compared.
type Checker struct {
	target Target
	store  *luascripts.Store
	pruner *Pruner
	opts   CheckerOptions

	patience time.Duration // with what is about to become right
}

// NewChecker returns a Checker of the data that a *presence.Tracker or a
// *presence.Reader works on. nil options mean defaults.
func NewChecker(target Target, opts *CheckerOptions) (*Checker, error) {
	pruner, err := New(target, nil)
	if err != nil {
		return nil, err
	}
	c := &Checker{target: target, store: target.Store(), pruner: pruner, patience: patience}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.Overdue < 0 {
		return nil, &presence.InvalidError{Field: "Overdue", Value: c.opts.Overdue.String(), Reason: "negative"}
	}
	if c.opts.Overdue == 0 {
		c.opts.Overdue = defaultOverdue
	}
	return c, nil
}

// Check iterates over the problems, each once, in no particular order, and changes
// nothing. If shards are away, a *presence.PartialError comes last, after the problems
// of the other shards; any other error ends the iteration. Its memory grows with the
// problems and the largest room, not with the rest of the data.
func (c *Checker) Check(ctx context.Context) iter.Seq2[Problem, error] {
	return func(yield func(Problem, error) bool) {
		w := c.newWalk(ctx, yield)
		if err := w.run(); err != nil && !errors.Is(err, errStop) {
			yield(Problem{}, failed("check", err))
		}
	}
}

// Repair iterates over the problems as Check does, and mends each before yielding it,
// as Problem.Mended tells. It then walks again for what that has brought to light. What
// it cannot mend comes at the end. Each repair checks again, and is one step.
//
// It removes no channel of a node that may live: it indexes what is not indexed, lists
// an unlisted node with a new lease, and leaves the rest to the sweeps. It removes, as
// a sweep does, what a node held whose lease expired long ago, with presence.NodeLost,
// and presences whose grace ended long ago. If the counts of a room change, that is an
// event with a new revision: the change handler of a Tracker is called, and views
// follow. It leaves unknown keys alone.
func (c *Checker) Repair(ctx context.Context) iter.Seq2[Problem, error] {
	return func(yield func(Problem, error) bool) {
		left := make(map[identity]Problem)
		var err error
		for pass := 1; pass <= maxPasses; pass++ {
			mended, before := false, left
			left = make(map[identity]Problem)
			w := c.newWalk(ctx, func(p Problem, err error) bool {
				if !p.Mended {
					left[p.identity()] = p
					return true
				}
				mended = true
				delete(before, p.identity())
				return yield(p, err)
			})
			w.mend = true
			if err = w.run(); errors.Is(err, errStop) {
				return
			}
			if !outlive(before, left, err == nil, yield) {
				return
			}
			if !mended {
				break
			}
		}
		for _, p := range left {
			if !yield(p, nil) {
				return
			}
		}
		if err != nil {
			yield(Problem{}, failed("repair", err))
		}
	}
}

// outlive settles what an earlier pass could not mend. If a whole pass no longer finds a
// problem, it was mended with another one. An incomplete pass leaves that unknown, and so
// does a repair that was put off, as what put it off may hide the problem, too.
func outlive(before, left map[identity]Problem, whole bool, yield func(Problem, error) bool) bool {
	for id, p := range before {
		if _, still := left[id]; still {
			continue
		}
		if !whole || errors.Is(p.Why, luascripts.ErrHeld) || errors.Is(p.Why, luascripts.ErrBusyRoom) {
			left[id] = p
			continue
		}
		p.Mended, p.Why = true, nil
		if !yield(p, nil) {
			return false
		}
	}
	return true
}

// errStop means that the caller wants no more problems.
var errStop = errors.New("stop")

// walk is one pass over the keyspace.
type walk struct {
	*Checker
	ctx    context.Context
	yield  func(Problem, error) bool
	mend   bool
	told   map[identity]struct{}
	parse  func(string) (luascripts.Key, bool)
	spoilt map[int]bool // shards in which a key that all else depends on is of the wrong type
	away   luascripts.Away
	strays suspects
}

func (c *Checker) newWalk(ctx context.Context, yield func(Problem, error) bool) *walk {
	return &walk{
		Checker: c, ctx: ctx, yield: yield, parse: c.store.Parser(),
		told: make(map[identity]struct{}), spoilt: make(map[int]bool), strays: suspects{of: make(map[int][]luascripts.Place)},
	}
}

func (w *walk) run() error {
	var err error
	if w.away, err = w.store.Survey(w.ctx, w.pruner.known); err != nil {
		return err
	}
	for shard := range w.store.Shards() {
		if w.away[shard] != nil {
			continue
		}
		if err := w.blame(shard, w.shard(shard)); err != nil {
			return err
		}
	}
	if err = w.keys(); errors.Is(err, errStop) {
		return err
	}
	if err := w.lookAgain(); err != nil {
		return err
	}
	if len(w.away) == 0 {
		return err
	}
	return errors.Join(w.away.Err(), err) // one may be the reason of the other
}

// blame notes that a shard is away, if there is an error, and returns errStop.
func (w *walk) blame(shard int, err error) error {
	if errors.Is(err, errStop) {
		return err
	}
	if err != nil && w.away[shard] == nil {
		w.away[shard] = err
	}
	return nil
}

func (w *walk) shard(shard int) error {
	for _, step := range []func(int) error{w.types, w.meta, w.nodes, w.graces, w.claims, w.rooms, w.empties} {
		if w.spoilt[shard] {
			break
		}
		if err := step(shard); err != nil {
			return err
		}
	}
	return nil
}

// found reports a problem, and mends it if that is wanted.
func (w *walk) found(p Problem) error {
	if _, told := w.told[p.identity()]; told {
		return nil
	}
	w.told[p.identity()] = struct{}{}
	if w.mend {
		if err := w.repair(&p); err != nil {
			return err
		}
	}
	if !w.yield(p, nil) {
		return errStop
	}
	return nil
}
