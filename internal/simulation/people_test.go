package simulation_test

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

// person is one connection to one node.
type person struct {
	node    *node
	user    string
	rooms   []string
	channel *groups.Channel
	rand    *rand.Rand
	leave   context.Context // ended: the connection is
	end     context.CancelFunc
	grace   time.Duration
	gone    chan struct{}
}

// connect has somebody come.
func (f *fleet) connect(n *node) {
	p := &person{
		node: n, user: []string{"", "ana", "ben", "cyd", "dan", "eve", "fay"}[f.rand.IntN(7)],
		rand: rand.New(rand.NewPCG(f.seed, f.rand.Uint64())), gone: make(chan struct{}),
	}
	if f.rand.IntN(3) == 0 {
		p.grace = grace
	}
	for _, room := range rooms {
		if f.rand.IntN(3) > 0 && (room != sessions || p.user != "") {
			p.rooms = append(p.rooms, room)
		}
	}
	if len(p.rooms) == 0 {
		p.rooms = rooms[:1]
	}
	var err error
	if p.channel, err = n.layer.NewChannel(); err != nil {
		return // the node is closing
	}
	p.leave, p.end = context.WithCancel(n.ctx)
	f.people = append(f.people, p)
	f.log("%s comes on %s to %v", p.user, p.channel.Name(), p.rooms)
	f.ended.Go(p.live)
}

// disconnect has somebody go.
func (f *fleet) disconnect() {
	if len(f.people) > 0 {
		f.people[f.rand.IntN(len(f.people))].end()
	}
}

// forget drops those who are gone.
func (f *fleet) forget() {
	still := f.people[:0]
	for _, p := range f.people {
		select {
		case <-p.gone:
		default:
			still = append(still, p)
		}
	}
	f.people = still
}

// live is the connection's life: enter the rooms, say something now and then,
// leave.
func (p *person) live() {
	defer close(p.gone)
	truth, name := &p.node.fleet.truth, p.channel.Name()
	for _, room := range p.rooms {
		for p.leave.Err() == nil {
			truth.adding(p, room)
			ctx, cancel := context.WithTimeout(p.leave, 5*time.Second)
			_, _, err := p.node.tracker.Add(ctx, room, name, presence.Member{User: p.user, Exclusive: room == sessions})
			cancel()
			if err == nil {
				truth.added(p, room)
				break
			}
			p.wait(time.Second)
		}
	}
	for p.leave.Err() == nil {
		p.wait(3*time.Second + rand2(p.rand, 17*time.Second))
		p.node.tracker.Touch(name)
		if p.rand.IntN(4) == 0 {
			ctx, cancel := context.WithTimeout(p.leave, 5*time.Second)
			_, _ = p.node.tracker.Update(ctx, p.rooms[0], name, []byte{byte('a' + p.rand.IntN(26))}) // it need not arrive
			cancel()
		}
	}
	truth.leaving(p)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := p.node.tracker.LeaveAllAfter(ctx, name, presence.Disconnected, p.grace)
	p.node.fleet.log("%s leaves on %s: %v", p.user, name, err)
	_ = p.channel.Close()
}

func (p *person) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.leave.Done():
	}
}

func rand2(r *rand.Rand, d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }
