package bus

import "time"

const (
	lookAgain = 250 * time.Millisecond // for a server, if something is amiss
	answerIn  = time.Second            // after a doubt, or the connection is given up

	// A server that refused a lane is not asked again for this long. A master that
	// became a replica would accept it, but messages are not sent there.
	believe = time.Second
)

// run does what is due, until the Bus is closed.
func (b *Bus) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-b.dirty:
		case <-timer.C:
		case <-b.ctx.Done():
			return
		}
		next := soonest(b.expire(), b.dropDeaf(), b.check(), b.place())
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// soonest returns the first of the times that are not zero.
func soonest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if first.IsZero() || !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}

// expire gives up the topics that have lingered long enough, and returns when the next
// one will have.
func (b *Bus) expire() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for len(b.leaving) > 0 {
		t, deadline := b.leaving[0].topic, b.leaving[0].deadline
		if t.listener == nil && !t.gone && t.deadline == deadline {
			if now.Before(deadline) {
				return deadline
			}
			b.forget(t)
		}
		b.leaving = b.leaving[1:]
	}
	return time.Time{}
}

func (b *Bus) forget(t *topic) {
	delete(t.lane.topics, t.name)
	t.gone = true
	if !t.confirmed() {
		close(t.ready) // ends every Wait
	}
	if t.asked != nil {
		t.lane.conn.unsubscribe(t)
	}
}

// dropDeaf drops the connections on which nothing has arrived since they were doubted,
// and returns when to look at the others.
func (b *Bus) dropDeaf() (next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		due := c.doubtedAt.Add(answerIn)
		switch {
		case c.doubtedAt.IsZero():
		case c.heard.Load() != c.doubtedWith:
			c.doubtedAt = time.Time{}
		case time.Now().Before(due):
			next = soonest(next, due)
		default:
			b.drop(c, errDeaf)
		}
	}
	return next
}

// check takes lanes off connections to servers that no longer own their slots and have
// not said so, for example because one was cut off while another was promoted. It
// closes connections without lanes, and returns when to check again.
func (b *Bus) check() time.Time {
	if !b.route.sharded() {
		return time.Time{}
	}
	b.mu.Lock()
	now, due := time.Now(), b.checkAt
	if due.IsZero() || !now.Before(due) {
		b.checkAt = now.Add(b.opts.KeepAlive)
	}
	b.mu.Unlock()
	if now.Before(due) {
		return due
	}
	used := make(map[*conn]bool)
	for _, ln := range b.lanesWhere(func(ln *lane) bool { return ln.conn != nil }) {
		owner, err := b.route.owner(b.ctx, ln.key)
		b.mu.Lock()
		if c := ln.conn; c != nil {
			used[c] = true
			amiss := b.compare(ln, owner.addr, err)
			if amiss || c.heard.Load() == 0 {
				b.checkAt = soonest(b.checkAt, time.Now().Add(lookAgain))
			}
		}
		b.mu.Unlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		if !used[c] {
			delete(b.conns, c.server.addr)
			c.end(errUnused)
		}
	}
	b.route.refresh()
	return b.checkAt
}

// compare takes a lane off its connection if its slot has another owner, seen by two
// checks: the server that was asked may be behind.
func (b *Bus) compare(ln *lane, owner string, err error) (amiss bool) {
	switch {
	case err != nil || owner == ln.conn.server.addr:
		ln.elsewhere = ""
		return err != nil
	case ln.elsewhere == owner:
		b.detach(ln)
	default:
		ln.elsewhere = owner
	}
	return true
}

// place finds the servers of the lanes that have no connection, and returns when to
// look again.
func (b *Bus) place() (next time.Time) {
	now := time.Now()
	unplaced := b.lanesWhere(func(ln *lane) bool {
		switch {
		case ln.conn != nil || len(ln.topics) == 0:
			return false
		case now.Before(ln.refusal.pause.until):
			next = soonest(next, ln.refusal.pause.until)
			return false
		}
		return true
	})
	for _, ln := range unplaced {
		server, err := b.route.owner(b.ctx, ln.key)
		if err != nil {
			b.route.refresh()
			next = soonest(next, now.Add(lookAgain))
			b.mu.Lock()
			ln.fail(err)
			b.mu.Unlock()
			continue
		}
		b.mu.Lock()
		c, until := b.conns[server.addr], b.pauses[server.addr].until
		switch {
		case server.addr == ln.refusal.addr && now.Before(ln.refusal.at.Add(believe)):
			b.route.refresh()
			ln.refusal.pause = ln.refusal.pause.longer()
			next = soonest(next, ln.refusal.pause.until)
		case c != nil:
			b.attach(ln, c)
		case now.Before(until):
			b.route.refresh() // it may have another owner by then
			next = soonest(next, until, now.Add(lookAgain))
		default:
			b.attach(ln, b.connect(server))
		}
		b.mu.Unlock()
	}
	return next
}

func (b *Bus) lanesWhere(ok func(*lane) bool) []*lane {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var lanes []*lane
	for _, ln := range b.lanes {
		if ok(ln) {
			lanes = append(lanes, ln)
		}
	}
	return lanes
}
