package clusterfaults_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// node is one process of the fleet.
type node struct {
	fleet   *fleet
	client  redis.UniversalClient
	layer   *groups.Layer
	tracker *presence.Tracker
	pruner  *prune.Pruner
	ctx     context.Context
	end     context.CancelFunc
	work    sync.WaitGroup
	watched map[string]*presence.Watcher
	people  sync.Map // of *person, by channel

	mu   sync.Mutex
	told map[string]map[string]string // by room: what the diffs add up to
}

// close is called before the servers are closed that came after the node.
func (n *node) close() {
	if n.ctx.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n.people.Range(func(_, p any) bool {
		n.fleet.goes(p.(*person))
		return true
	})
	n.end()
	if err := errors.Join(n.tracker.Close(ctx), n.layer.Close(ctx)); err != nil {
		n.fleet.t.Error("close:", err)
	}
	n.work.Wait()
}

// person is a connection, and what it was sent.
type person struct {
	channel *groups.Channel
	rooms   []string
	mu      sync.Mutex
	last    map[string]bool // kinds of messages
	more    chan struct{}
}

func (f *fleet) person(channel string) *person {
	for _, n := range f.nodes {
		if p, ok := n.people.Load(channel); ok {
			return p.(*person)
		}
	}
	return nil
}

// listen reads the mailbox.
func (p *person) listen() {
	for {
		m, err := p.channel.Receive(context.Background())
		if err != nil {
			return // closed
		}
		p.mu.Lock()
		p.last[m.Type] = true
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
}

func (p *person) heard(ctx context.Context, kind string) error {
	for {
		p.mu.Lock()
		has, more := p.last[kind], p.more
		p.mu.Unlock()
		if has {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("has not heard %q", kind)
		}
	}
}

// call is what an application does in a room.
func (n *node) call(what, room string, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	shard := n.fleet.store.Shard(room)
	n.fleet.mu.Lock()
	before := n.fleet.strict[shard]
	n.fleet.mu.Unlock()
	start := time.Now()
	err := f(ctx)
	took := time.Since(start)

	n.fleet.mu.Lock()
	strict := before && n.fleet.strict[shard]
	n.fleet.calls[shard]++
	if err != nil {
		n.fleet.errors[shard]++
	}
	if strict && took > n.fleet.slow {
		n.fleet.slow = took
	}
	n.fleet.mu.Unlock()
	if took > callBound {
		n.fleet.blame("%s took %v", what, took)
	}
	if err != nil && !errors.Is(err, presence.ErrUnavailable) {
		n.fleet.blame("%s in %s: untyped %v", what, room, err)
	}
	if err != nil && strict {
		n.fleet.blame("%s in %s failed, which is in shard %d: %v", what, room, shard, err)
	}
	return err
}

// join connects somebody, or nobody if it fails.
func (n *node) join(user string, rooms []string) (*person, error) {
	ch, err := n.layer.NewChannel()
	if err != nil {
		return nil, err
	}
	p := &person{channel: ch, rooms: rooms, last: map[string]bool{}, more: make(chan struct{})}
	n.people.Store(ch.Name(), p)
	n.work.Go(p.listen)
	for _, room := range rooms {
		err := n.call("add", room, func(ctx context.Context) error {
			_, _, err := n.tracker.Add(ctx, room, ch.Name(), presence.Member{User: user})
			return err
		})
		if err != nil {
			n.leave(p, 0)
			return nil, err
		}
		n.fleet.came(room, ch.Name(), user)
	}
	return p, nil
}

func (f *fleet) came(room, channel, user string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.here[room] == nil {
		f.here[room] = map[string]string{}
	}
	f.here[room][channel] = user
}

func (f *fleet) goes(p *person) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, room := range p.rooms {
		delete(f.here[room], p.channel.Name())
	}
}

// leave disconnects somebody. What fails is tried again in the background.
func (n *node) leave(p *person, grace time.Duration) {
	n.fleet.goes(p)
	_ = n.call("leave", p.rooms[0], func(ctx context.Context) error {
		_, err := n.tracker.LeaveAllAfter(ctx, p.channel.Name(), presence.Disconnected, grace)
		return err
	})
	_ = p.channel.Close()
	n.people.Delete(p.channel.Name())
}

// touching has everybody give signs of life.
func (n *node) touching() {
	for n.ctx.Err() == nil {
		n.people.Range(func(channel, _ any) bool {
			n.tracker.Touch(channel.(string))
			return true
		})
		n.pause(n.ctx, n.fleet.times.maxAge/20)
	}
}

func (n *node) pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// churn has people come and go, each in rooms of one shard, so that it can be told
// what fails. Those who are there in the end stay.
func (n *node) churn(ctx context.Context) {
	var mine []*person
	for ctx.Err() == nil {
		if len(mine) < 4 || len(mine) < 12 && rand.IntN(2) == 0 {
			room := n.fleet.rooms[rand.IntN(len(n.fleet.rooms))]
			if p, err := n.join(user(rand.IntN(4)), []string{room}); err == nil {
				mine = append(mine, p)
			}
		} else {
			i := rand.IntN(len(mine))
			switch p := mine[i]; rand.IntN(3) {
			case 0:
				_ = n.call("update", p.rooms[0], func(ctx context.Context) error {
					_, err := n.tracker.Update(ctx, p.rooms[0], p.channel.Name(), []byte(time.Now().String()))
					return err
				})
				continue
			case 1:
				n.leave(p, 0)
			case 2:
				n.leave(p, lease/3)
			}
			mine = append(mine[:i], mine[i+1:]...)
		}
		n.pause(ctx, rand.N(30*time.Millisecond))
	}
}

// talk sends to all rooms.
func (n *node) talk(ctx context.Context) {
	for ctx.Err() == nil {
		for _, room := range n.fleet.rooms {
			_ = n.call("send", room, func(ctx context.Context) error {
				return n.layer.GroupSend(ctx, room, groups.Message{Type: "talk"})
			})
		}
		n.pause(ctx, 50*time.Millisecond)
	}
}

// watch follows a room as long as the node runs, and holds each diff against those
// before it, and against who is connected.
func (n *node) watch(room string) error {
	w, err := n.tracker.Watch(n.ctx, room, nil)
	if err != nil {
		return err
	}
	told := members(w.Start().Presences)
	n.mu.Lock()
	n.told[room] = told
	n.mu.Unlock()
	n.watched[room] = w
	n.work.Go(func() {
		defer w.Close()
		for {
			d, err := w.Next(n.ctx)
			if err != nil {
				return
			}
			n.apply(room, told, d)
		}
	})
	return nil
}

func (n *node) apply(room string, told map[string]string, d presence.Diff) {
	n.fleet.mu.Lock()
	here := maps.Clone(n.fleet.here[room])
	n.fleet.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range d.Removed {
		if _, ok := told[p.Channel]; !ok {
			n.fleet.blame("%s: told that %s left, who was not there", room, p.Channel)
		}
		if _, ok := here[p.Channel]; ok {
			n.fleet.blame("%s in shard %d: told that %s left (%v), who stayed", room, n.fleet.store.Shard(room), p.Channel, p.Reason)
		}
		delete(told, p.Channel)
	}
	for _, p := range d.Added {
		if _, ok := told[p.Channel]; ok {
			n.fleet.blame("%s: told that %s came, who was there", room, p.Channel)
		}
		told[p.Channel] = p.User
	}
	if d.Counts.Presences != len(told) {
		n.fleet.blame("%s: told of %d presences, and the diffs are %d", room, d.Counts.Presences, len(told))
	}
}
