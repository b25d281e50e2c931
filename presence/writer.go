package presence

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/commit"
	"github.com/rollcall-go/rollcall/luascripts"
)

const (
	writeTimeout = 5 * time.Second
	resendFirst  = time.Millisecond // the pause before a batch is sent again
	resendFor    = 300 * time.Millisecond
)

// writer writes to one shard, one batch at a time. Writes that arrive while a batch is
// in flight form the next one.
//
// A batch whose reply was lost is in doubt. It is sent again, under its number, before
// anything else. If it was carried out, Redis answers from memory. If Redis stays away,
// the callers are told of a failure, and the batch's additions are undone later.
type writer struct {
	tracker      *Tracker
	shard        int
	registration luascripts.Registration
	queue        *commit.Queue[*write]
	rooms        roomsTaken      // of the batch that is being formed
	late         map[*entry]bool // touches that the shard has missed, and whether each was unsure; for flush alone

	mu          lock // guards what follows; held while a batch is in flight
	incarnation luascripts.Incarnation
	number      int64
	doubt       []*write
	lost        bool // Redis lost data, and this node is putting back what it had
	recovering  atomic.Bool

	away    atomic.Pointer[outage] // nil while the shard answers
	signed  clock
	swept   clock
	healing task
}

// write is the request of one caller: operations that belong in one step.
type write struct {
	ctx      context.Context
	ops      []luascripts.Op
	undoes   bool // it undoes what nobody waits for any more
	answered atomic.Bool
	done     chan outcome
}

type outcome struct {
	results []luascripts.Result
	err     error
}

func newWriter(t *Tracker, shard int, r luascripts.Registration) *writer {
	w := &writer{tracker: t, shard: shard, registration: r, rooms: newRoomsTaken(), mu: newLock()}
	w.queue = commit.NewQueue(w.take, w.run)
	return w
}

// do writes operations in one step. If it returns an error, none of them is in effect,
// but removals may still be carried out.
func (w *writer) do(ctx context.Context, ops ...luascripts.Op) ([]luascripts.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, unavailable(err)
	}
	p := &write{ctx: ctx, ops: ops, done: make(chan outcome, 1)}
	w.queue.Push(p)
	select {
	case o := <-p.done:
		return o.results, o.err
	case <-ctx.Done():
		if p.answered.CompareAndSwap(false, true) {
			w.queue.GiveUp(func(p *write) bool { return p.answered.Load() })
			return nil, unavailable(ctx.Err())
		}
		o := <-p.done
		return o.results, o.err
	}
}

// answer returns false if the caller has given up.
func (p *write) answer(o outcome) bool {
	if !p.answered.CompareAndSwap(false, true) {
		return false
	}
	p.done <- o
	return true
}

func (w *writer) run(batch []*write) {
	w.mu.lock()
	defer w.mu.unlock()
	live := batch[:0:0]
	for _, p := range batch {
		if err := p.ctx.Err(); err != nil {
			p.answer(outcome{err: unavailable(err)})
		} else {
			live = append(live, p)
		}
	}
	if len(live) == 0 {
		return
	}
	if err := w.ready(); err != nil {
		for _, p := range live {
			p.answer(outcome{err: err})
		}
		return
	}
	if w.healing.isRunning() { // maybe only since they were queued
		insist(live)
	}
	w.write(live)
}

// ready settles what is in doubt. While Redis is known to be away, that is left to
// recover, as callers do not wait for it. Once the tracker is being closed, recover has
// ended.
func (w *writer) ready() error {
	o := w.away.Load()
	if o != nil && (o.deaf || w.doubt != nil) && w.tracker.ctx.Err() == nil {
		return o.error()
	}
	return w.settle()
}

// settle finds out the outcome of the batch in doubt, or carries it out.
func (w *writer) settle() error {
	for w.doubt != nil {
		batch := w.doubt
		reply, err := w.send(batch, w.number, true)
		switch {
		case errors.Is(err, luascripts.ErrFenced):
			w.doubt = nil // what it did is gone, and it will not be carried out
		case errors.Is(err, luascripts.ErrReply):
			w.doubt = nil
			w.misread(batch, err)
		case err != nil:
			w.note(err)
			return unavailable(err)
		default:
			w.note(nil)
			w.doubt = nil
			w.finish(batch, reply)
		}
	}
	return nil
}

func (w *writer) write(batch []*write) {
	reply, err := w.deliver(batch)
	if errors.Is(err, luascripts.ErrFenced) {
		if err = w.register(errors.Is(err, luascripts.ErrLost)); err == nil {
			insist(batch)
			reply, err = w.deliver(batch)
		}
	}
	if errors.Is(err, luascripts.ErrReply) {
		w.number++
		w.misread(batch, err)
		return
	}
	w.note(err)
	switch {
	case err == nil:
		w.number++
		w.finish(batch, reply)
		return
	case refused(err) || unsent(err):
		w.refuse(batch, err)
		return
	}
	w.number++
	w.doubt = batch
	for _, p := range batch {
		p.answer(outcome{err: unavailable(err)})
	}
	w.tracker.log.Warn("write is in doubt", zap.Int("shard", w.shard), zap.Error(err))
	w.recover()
}

// deliver sends a batch. It sends it again, under its number, if the reply was lost or
// a cluster refused it for a moment. It returns the error that leaves most in doubt.
func (w *writer) deliver(batch []*write) (luascripts.Reply, error) {
	start := time.Now()
	reply, err := w.send(batch, w.number+1, false)
	for pause := resendFirst; w.mayPass(err) && !late(batch) && time.Since(start) < resendFor; pause *= 2 {
		time.Sleep(pause)
		again, errAgain := w.send(batch, w.number+1, !notRun(err))
		if errAgain == nil || errors.Is(errAgain, luascripts.ErrFenced) || notRun(err) {
			reply, err = again, errAgain
		} // else the first one may have been carried out, whatever this one says
	}
	return reply, err
}

// mayPass reports whether to send a batch again after an error. That is false if a
// cluster is known to refuse for longer.
func (w *writer) mayPass(err error) bool {
	if luascripts.Passing(err) {
		return w.away.Load() == nil
	}
	return err != nil && !refused(err) && !errors.Is(err, luascripts.ErrReply)
}

// insist turns confirmations into additions: what they confirm is missing because data
// was lost, or because this node was taken for dead.
func insist(batch []*write) {
	for _, p := range batch {
		for i := range p.ops {
			if p.ops[i].Action == luascripts.Confirm {
				p.ops[i].Action = luascripts.Keep
			}
		}
	}
}

// late reports whether nobody waits for a batch any more.
func late(batch []*write) bool {
	for _, p := range batch {
		if p.ctx.Err() == nil {
			return false
		}
	}
	return true
}

// misread answers a batch that has run, with results that nobody can read. Redis is then
// made to have what the ledger has.
func (w *writer) misread(batch []*write, err error) {
	w.note(nil)
	for _, p := range batch {
		p.answer(outcome{err: err})
	}
	w.tracker.log.Error("damaged data: run the checker", zap.Int("shard", w.shard), zap.Error(err))
	w.heal()
}

// refuse answers a batch that Redis would not run. When out of memory, Redis still lets
// channels leave, so that is tried alone.
func (w *writer) refuse(batch []*write, err error) {
	if batch[0].undoes {
		w.heal() // once it can, Redis is made to have what the ledger has
	}
	var leaving []*write
	for _, p := range batch {
		if redis.IsOOMError(err) && p.leaves() {
			leaving = append(leaving, p)
		} else {
			p.answer(outcome{err: unavailable(err)})
		}
	}
	switch {
	case len(leaving) == 0:
	case len(leaving) < len(batch):
		w.write(leaving)
	default:
		for _, p := range leaving {
			p.answer(outcome{err: unavailable(err)})
		}
	}
}

// leaves reports whether every operation makes a channel leave.
func (p *write) leaves() bool {
	return !slices.ContainsFunc(p.ops, func(op luascripts.Op) bool { return !op.Leaves() })
}

// finish hands out the results, reports the changes, and undoes what was added or
// changed for callers that were told of a failure.
func (w *writer) finish(batch []*write, reply luascripts.Reply) {
	w.tracker.stats.wrote(batch, reply)
	if w.tracker.changes.wanted() {
		w.report(batch, reply.Events)
	}
	var undo []luascripts.Op
	at := 0
	for _, p := range batch {
		results := reply.Results[at : at+len(p.ops)]
		at += len(p.ops)
		if p.answer(outcome{results: results}) {
			continue
		}
		for i, op := range p.ops {
			if back, ok := w.undo(op, results[i].Status); ok {
				undo = append(undo, back)
			}
		}
	}
	if len(undo) > 0 {
		w.write([]*write{{ctx: context.Background(), ops: undo, undoes: true, done: make(chan outcome, 1)}})
	}
}

// report has the change handler called with the effects of a batch.
func (w *writer) report(batch []*write, events []luascripts.RoomEvent) {
	for _, e := range events {
		for _, c := range w.tracker.singleChanges(e) {
			if w.restores(batch, c) {
				c.Restored, c.UsersCame, c.Counts.Healing = true, nil, true
			}
			w.tracker.changes.post(c)
		}
	}
}

// restores reports whether a change put back what Redis had lost.
func (w *writer) restores(batch []*write, c Change) bool {
	if !w.lost || len(c.Added) == 0 {
		return false
	}
	_, short, _ := groups.SplitChannel(c.Added[0].Channel)
	for _, p := range batch {
		for _, op := range p.ops {
			if op.Short == short && op.Room == c.Room {
				return op.Action == luascripts.Keep
			}
		}
	}
	return false
}

// undo returns the operation that brings a presence back to its state in the ledger.
func (w *writer) undo(op luascripts.Op, did luascripts.Status) (luascripts.Op, bool) {
	if did != luascripts.StatusAdded && did != luascripts.StatusUpdated {
		return op, false
	}
	if e := w.tracker.ledger.get(op.Short); e != nil {
		if h, ok := e.held(op.Room); ok {
			return luascripts.Op{Action: luascripts.Keep, Room: op.Room, Short: op.Short, Stored: h.record, Unseen: e.unseen()}, true
		}
	}
	back := luascripts.Op{Action: luascripts.Remove, Room: op.Room, Short: op.Short, Reason: byte(Left)}
	return back, op.Action != luascripts.Update
}

func (w *writer) send(batch []*write, number int64, again bool) (luascripts.Reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	b := luascripts.Batch{Shard: w.shard, Node: w.registration.Node, Incarnation: w.incarnation.ID, Number: number}
	b.Again = again || batch[0].undoes
	total := 0
	for _, p := range batch {
		total += len(p.ops)
	}
	b.Ops = make([]luascripts.Op, 0, total)
	for _, p := range batch {
		b.Ops = append(b.Ops, p.ops...)
	}
	return w.tracker.store.Write(ctx, b)
}

// register begins a new incarnation if Redis does not know the last one, or not all
// that it wrote, and makes Redis match the ledger.
func (w *writer) register(lost bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	last := w.incarnation
	incarnation, err := w.tracker.store.Register(ctx, w.shard, w.registration, last.Epoch, lost)
	if err != nil {
		return err
	}
	w.incarnation, w.number, w.doubt = incarnation, 0, nil
	if last.ID == "" {
		return nil // the shard was away when the node began: it has nothing there
	}
	w.lost = w.lost || lost || incarnation.Epoch != last.Epoch
	w.tracker.stats.registered.Add(1)
	w.tracker.log.Warn("node was forgotten, and has registered again", zap.Int("shard", w.shard))
	w.heal()
	return nil
}

// retire forgets the node, which must have nothing left.
func (w *writer) retire(ctx context.Context) error {
	defer w.queue.Wait()
	w.mu.lock()
	defer w.mu.unlock()
	if w.incarnation.ID == "" {
		return nil
	}
	if err := w.settle(); err != nil {
		return err
	}
	_, err := w.tracker.store.Retire(ctx, w.shard, w.registration.Node, w.incarnation.ID)
	return unavailable(err)
}
