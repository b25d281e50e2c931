package prune

import (
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
)

var (
	errNotOurs = errors.New("rollcall: it is not known whose key it is")
	errStays   = errors.New("rollcall: something of it is left, or has come")
)

// repair mends a problem. It returns an error only if Redis is away; a refusal goes
// into the problem.
func (w *walk) repair(p *Problem) error {
	err := w.right(p)
	var answer redis.Error
	switch {
	case err == nil:
		p.Mended = true
	case errors.As(err, &answer), errors.Is(err, luascripts.ErrHeld), errors.Is(err, luascripts.ErrBusyRoom),
		errors.Is(err, errNotOurs), errors.Is(err, errStays):
		p.Why = err
	default:
		return err
	}
	return nil
}

func (w *walk) right(p *Problem) error {
	s, ctx := w.store, w.ctx
	switch p.Kind {
	case WrongType:
		key, _ := w.parse(p.Key)
		return s.Discard(ctx, p.Key, key.Type)
	case MetaIncomplete:
		return s.Refill(ctx, p.Shard)
	case HeaderUnreadable, RecordUnreadable, CountsDiffer, UsersDiffer:
		events, err := s.Recount(ctx, p.Room)
		w.target.Report(events)
		return err
	case RoomUnregistered, RoomMissing, EmptyUnlisted, EmptyWrong, UsersStray:
		return s.Enlist(ctx, p.Shard, p.Room)
	case SeenForever:
		return s.Expire(ctx, p.Room)
	case GraceUnreadable:
		return s.Client().ZRem(ctx, p.Key, p.Member).Err()
	case IndexUnreadable, IndexStray, NotIndexed, NotSeen, SeenStray, GraceUnlisted, GraceStray, GraceIndexed, NodeUnknown:
		place, _ := luascripts.PlaceOf(p.Room, p.Channel)
		return s.Amend(ctx, p.Shard, place)
	case GraceOverdue:
		events, err := s.Ungrace(ctx, p.Shard, []luascripts.Graced{{Room: p.Room, Channel: p.Channel}}, 0)
		w.target.Report(events)
		return err
	case ClaimUnreadable:
		return s.Client().HDel(ctx, p.Key, p.Member).Err()
	case ClaimStray, Unclaimed:
		events, err := s.Reclaim(ctx, p.Shard, luascripts.Claim{Room: p.Room, Identity: p.Member, Channel: p.Channel})
		w.target.Report(events)
		return err
	case NodeUnlisted:
		return s.Enroll(ctx, p.Shard, p.Node)
	case NodeOverdue:
		return w.reap(p)
	}
	return errNotOurs
}

// reap removes a node whose lease has expired, and what it held, as a sweep does.
func (w *walk) reap(p *Problem) error {
	overdue := func() ([]luascripts.NodeRow, error) {
		return w.store.Overdue(w.ctx, p.Shard, []string{p.Node}, w.opts.Overdue)
	}
	rows, err := overdue()
	if err != nil || len(rows) == 0 {
		return err
	}
	now, err := w.store.Now(w.ctx, p.Shard)
	if err != nil {
		return err
	}
	s := sweep{Pruner: w.pruner, shard: p.Shard, why: presence.TimedOut}
	err = s.node(w.ctx, rows[0], now)
	w.target.Report(s.events)
	if err != nil {
		return err
	}
	if rows, err = overdue(); err == nil && len(rows) > 0 {
		return errStays
	}
	return err
}

// elsewhere passes over a key of the wrong type, which is reported under its name.
func (w *walk) elsewhere(err error) error {
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		return nil
	}
	return err
}
