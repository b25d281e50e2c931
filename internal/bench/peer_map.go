package main

import (
	"context"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge"
)

// peerMap is centrifuge's map presence: one atomic call that records, numbers
// and publishes. It counts connections, and no users.
type peerMap struct {
	*peerNode
	broker *centrifuge.RedisMapBroker
	first  sync.Map
}

func newCentrifugeMap(addr string) (*peerMap, error) {
	options := func(string) centrifuge.MapChannelOptions {
		return centrifuge.MapChannelOptions{Mode: centrifuge.MapModeRecoverable, KeyTTL: time.Minute}
	}
	node, err := newPeerNode(addr, centrifuge.Config{Map: centrifuge.MapConfig{GetMapChannelOptions: options}})
	if err != nil {
		return nil, err
	}
	p := &peerMap{peerNode: node}
	p.broker, err = centrifuge.NewRedisMapBroker(node.node, centrifuge.RedisMapBrokerConfig{
		Shards: []*centrifuge.RedisShard{node.shard},
	})
	if err != nil {
		return nil, err
	}
	return p, p.broker.RegisterEventHandler(deaf{})
}

func (p *peerMap) subscribe(_ context.Context, rooms []string) error {
	for from := 0; from < len(rooms); from += 512 {
		if err := p.broker.Subscribe(rooms[from:min(from+512, len(rooms))]...); err != nil {
			return err
		}
	}
	return nil
}

func (p *peerMap) join(ctx context.Context, room string, member int) error {
	_, err := p.broker.Publish(ctx, room, p.names[member], centrifuge.MapPublishOptions{
		ClientInfo:           p.member(member),
		KeyMode:              centrifuge.KeyModeIfNew,
		RefreshTTLOnSuppress: true,
	})
	return err
}

func (p *peerMap) joinFirst(ctx context.Context, room string, member int) error {
	if _, known := p.first.LoadOrStore(room, true); !known {
		if err := p.broker.Subscribe(room); err != nil {
			return err
		}
	}
	return p.join(ctx, room, member)
}

func (p *peerMap) refresh(ctx context.Context, rooms []string, member int) error {
	for _, room := range rooms {
		if err := p.join(ctx, room, member); err != nil {
			return err
		}
	}
	return nil
}

func (p *peerMap) leave(ctx context.Context, room string, member int) error {
	_, err := p.broker.Remove(ctx, room, p.names[member], centrifuge.MapRemoveOptions{})
	return err
}

func (p *peerMap) leaveAll(ctx context.Context, rooms []string, member int) error {
	for _, room := range rooms {
		if err := p.leave(ctx, room, member); err != nil {
			return err
		}
	}
	return nil
}

func (p *peerMap) snapshot(ctx context.Context, room string) (int, error) {
	s, err := p.broker.ReadState(ctx, room, centrifuge.MapReadStateOptions{Limit: -1})
	return len(s.Publications), err
}

func (p *peerMap) counts(ctx context.Context, room string) (presences, users int, err error) {
	s, err := p.broker.Stats(ctx, room)
	return s.NumKeys, 0, err
}

func (p *peerMap) close() {
	_ = p.broker.Close(context.Background())
	p.peerNode.close()
	p.shard.Close()
}
