package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

// person is a connection to this node that an add has put into its rooms.
type person struct {
	channel *groups.Channel
	user    string
	rooms   []string
	info    map[string]string
	busy    bool // an operation is under way
}

type joining struct {
	User, Info string
	Rooms      []string
	Channel    string // empty: a new one
	Try        time.Duration
}

type leaving struct {
	Channel string
	Grace   time.Duration
}

// call calls what an application would, and sees to it that it ends in time with
// an error that it can tell.
func (n *node) call(what string, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	start, stood := time.Now(), n.stood.Load()
	err := f(ctx)
	took := time.Since(start)
	if took > callBound { // unless the process stood still meanwhile
		last(2 * tick)
		took -= time.Duration(n.stood.Load() - stood)
	}
	n.mu.Lock()
	if took > n.longest {
		n.longest, n.slowest = took, what
	}
	n.mu.Unlock()
	if took > callBound {
		n.wrong("%s took %v", what, took)
	}
	if err != nil && !errors.Is(err, presence.ErrUnavailable) && !errors.Is(err, presence.ErrClosed) {
		n.wrong("%s: untyped %v", what, err)
	}
	return err
}

// join connects somebody. It tries for a time, as a client that comes again does.
func (n *node) join(j joining) (string, error) {
	for until := time.Now().Add(j.Try); ; last(rand.N(time.Second)) {
		name, err := n.joinOnce(j)
		if err == nil || time.Now().After(until) {
			return name, err
		}
	}
}

func (n *node) joinOnce(j joining) (string, error) {
	ch, known := n.layer.Channel(j.Channel)
	if !known {
		var err error
		if ch, err = n.layer.NewChannel(); err != nil {
			return "", err
		}
	}
	p := &person{channel: ch, user: j.User, rooms: j.Rooms, info: map[string]string{}}
	for _, room := range j.Rooms {
		p.info[room] = j.Info
		err := n.call("add", func(ctx context.Context) error {
			_, _, err := n.tracker.Add(ctx, room, ch.Name(), presence.Member{User: j.User, Info: []byte(j.Info)})
			return err
		})
		if err != nil { // the visitor is sent away
			n.depart(ch, 0)
			return "", err
		}
	}
	n.emit(event{Kind: "came", Channel: ch.Name()}) // before anybody can have it leave
	n.mu.Lock()
	n.people[ch.Name()] = p
	n.mu.Unlock()
	return ch.Name(), nil
}

func (n *node) depart(ch *groups.Channel, grace time.Duration) {
	_ = n.call("leave", func(ctx context.Context) error { // what fails is tried again in the background
		_, err := n.tracker.LeaveAllAfter(ctx, ch.Name(), presence.Disconnected, grace)
		return err
	})
	_ = ch.Close()
}

// leave disconnects somebody.
func (n *node) leave(l leaving) error {
	n.mu.Lock()
	p := n.people[l.Channel]
	delete(n.people, l.Channel)
	n.mu.Unlock()
	if p == nil {
		return fmt.Errorf("nobody is connected on %q", l.Channel)
	}
	n.emit(event{Kind: "going", Channel: l.Channel})
	n.depart(p.channel, l.Grace)
	return nil
}

// update changes an info. Where that fails, it is not in effect.
func (n *node) update(p *person, room, info string) {
	err := n.call("update", func(ctx context.Context) error {
		_, err := n.tracker.Update(ctx, room, p.channel.Name(), []byte(info))
		return err
	})
	if err == nil {
		n.mu.Lock()
		p.info[room] = info
		n.mu.Unlock()
	}
}

// touching has everybody who is connected give signs of life.
func (n *node) touching() {
	for n.ctx.Err() == nil {
		n.mu.Lock()
		for channel := range n.people {
			n.tracker.Touch(channel)
		}
		n.mu.Unlock()
		select {
		case <-time.After(flush / 2):
		case <-n.ctx.Done():
		}
	}
}

// load has people come, change and go until the load is stopped.
func (n *node) load(every time.Duration) {
	ctx, calm := context.WithCancel(context.Background())
	n.calm = calm
	for range 4 {
		n.loading.Go(func() {
			for ctx.Err() == nil {
				n.step()
				select {
				case <-time.After(rand.N(8 * every)):
				case <-ctx.Done():
				}
			}
		})
	}
}

func (n *node) stopLoad() {
	if n.calm != nil {
		n.calm()
	}
	n.loading.Wait()
}

const crowded = 25

func (n *node) step() {
	n.mu.Lock()
	var p *person
	for _, other := range n.people { // in no order
		if !other.busy {
			p = other
			break
		}
	}
	total, r := len(n.people), rand.IntN(10)
	if p != nil {
		p.busy = true
	}
	n.mu.Unlock()
	switch {
	case p == nil || total < 5 || r < 4 && total < crowded:
		_, _ = n.joinOnce(joining{
			User: []string{"", "ana", "ben", "cyd", "dan", "eve"}[rand.IntN(6)], Info: fmt.Sprint(rand.IntN(1000)),
			Rooms: rooms[:1+rand.IntN(len(rooms))],
		})
	case r < 7:
		_ = n.leave(leaving{Channel: p.channel.Name()})
		return
	default:
		n.update(p, p.rooms[rand.IntN(len(p.rooms))], fmt.Sprint(rand.IntN(1000)))
	}
	if p != nil {
		n.mu.Lock()
		p.busy = false
		n.mu.Unlock()
	}
}

// crowd is many who come or go at once.
type crowd struct {
	Join   int
	Leave  bool // all who are here
	Grace  time.Duration
	Rooms  []string
	Prefix string // of their users
	Try    time.Duration
}

func (n *node) crowd(c crowd) error {
	var work sync.WaitGroup
	var mu sync.Mutex
	var first error
	note := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if first == nil {
			first = err
		}
	}
	if c.Leave {
		n.mu.Lock()
		var here []string
		for channel := range n.people {
			here = append(here, channel)
		}
		n.mu.Unlock()
		for _, channel := range here {
			work.Go(func() { note(n.leave(leaving{channel, c.Grace})) })
		}
	}
	for i := range c.Join {
		work.Go(func() {
			room := c.Rooms[i%len(c.Rooms)]
			_, err := n.join(joining{User: fmt.Sprint(c.Prefix, i), Rooms: []string{room}, Try: c.Try})
			note(err)
		})
	}
	work.Wait()
	return first
}

// empty has all go.
func (n *node) empty() error {
	n.stopLoad()
	return n.crowd(crowd{Leave: true})
}

// sending is many messages to a room.
type sending struct {
	Room        string
	Size, Count int
}

func (n *node) send(ctx context.Context, s sending) error {
	payload := slices.Repeat([]byte{'x'}, s.Size)
	for range s.Count {
		if err := n.layer.GroupSend(ctx, s.Room, groups.Message{Type: "fill", Payload: payload}); err != nil {
			return err
		}
	}
	return nil
}
