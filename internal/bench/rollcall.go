package main

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

type rollcall struct {
	client   *redis.Client
	layer    *groups.Layer
	tracker  *presence.Tracker
	keeper   *groups.Channel // in the groups that the node hears
	channels []*groups.Channel
}

func newRollcall(ctx context.Context, addr string, opts *presence.Options) (*rollcall, error) {
	return newRollcallOf(ctx, addr, nil, opts)
}

func newRollcallOf(ctx context.Context, addr string, layer *groups.Options, opts *presence.Options) (*rollcall, error) {
	r, err := newRollcallLayer(ctx, addr, layer)
	if err != nil {
		return nil, err
	}
	if r.tracker, err = presence.New(ctx, r.layer, opts); err != nil {
		return nil, err
	}
	r.keeper, err = r.layer.NewChannel()
	return r, err
}

// newRollcallLayer is a node without presences.
func newRollcallLayer(ctx context.Context, addr string, opts *groups.Options) (*rollcall, error) {
	r := &rollcall{client: redis.NewClient(&redis.Options{Addr: addr})}
	var err error
	r.layer, err = groups.New(ctx, r.client, opts)
	return r, err
}

func (r *rollcall) grow(n int) error {
	for len(r.channels) < n {
		c, err := r.layer.NewChannel()
		if err != nil {
			return err
		}
		r.channels = append(r.channels, c)
	}
	return nil
}

func (r *rollcall) subscribe(ctx context.Context, rooms []string) error {
	return parallel(256, len(rooms), func(i int) error {
		return r.layer.GroupAdd(ctx, rooms[i], r.keeper.Name())
	})
}

func (r *rollcall) join(ctx context.Context, room string, member int) error {
	_, _, err := r.tracker.Add(ctx, room, r.channels[member].Name(), presence.Member{User: userName(member), Info: infoBytes})
	return err
}

func (r *rollcall) joinFirst(ctx context.Context, room string, member int) error {
	return r.join(ctx, room, member)
}

func (r *rollcall) leave(ctx context.Context, room string, member int) error {
	_, err := r.tracker.Remove(ctx, room, r.channels[member].Name())
	return err
}

func (r *rollcall) leaveAll(ctx context.Context, _ []string, member int) error {
	_, err := r.tracker.LeaveAll(ctx, r.channels[member].Name(), presence.Disconnected)
	return err
}

func (r *rollcall) snapshot(ctx context.Context, room string) (int, error) {
	s, err := r.tracker.Snapshot(ctx, room)
	return len(s.Presences), err
}

func (r *rollcall) counts(ctx context.Context, room string) (presences, users int, err error) {
	c, err := r.tracker.Counts(ctx, room)
	return c.Presences, c.Users, err
}

// close drops the node without leaving: the caller flushes the data.
func (r *rollcall) close() {
	r.client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if r.tracker != nil {
		_ = r.tracker.Close(ctx)
	}
	_ = r.layer.Close(ctx)
}
