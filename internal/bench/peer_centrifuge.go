package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/prometheus/client_golang/prometheus"
)

// peerNode is what both presences of centrifuge need. It does not run the node,
// whose own messages would be counted.
type peerNode struct {
	node  *centrifuge.Node
	shard *centrifuge.RedisShard
	names []string // of the members, a UUID's length each
}

func newPeerNode(addr string, config centrifuge.Config) (*peerNode, error) {
	config.Metrics.RegistererGatherer = prometheus.NewRegistry() // a process has several nodes
	node, err := centrifuge.New(config)
	if err != nil {
		return nil, err
	}
	shard, err := centrifuge.NewRedisShard(node, centrifuge.RedisShardConfig{Address: addr, IOTimeout: time.Minute})
	return &peerNode{node: node, shard: shard}, err
}

func (p *peerNode) grow(n int) error {
	for i := len(p.names); i < n; i++ {
		p.names = append(p.names, fmt.Sprintf("4f7a1c92-6d2e-4b58-9c31-%012x", i))
	}
	return nil
}

func (p *peerNode) member(i int) *centrifuge.ClientInfo {
	return &centrifuge.ClientInfo{ClientID: p.names[i], UserID: userName(i), ConnInfo: infoBytes}
}

func (p *peerNode) close() { _ = p.node.Shutdown(context.Background()) }

// deaf hears the node's messages and does nothing with them.
type deaf struct {
	published func(ch string, data []byte)
}

func (d deaf) HandlePublication(ch string, p *centrifuge.Publication, _ centrifuge.StreamPosition, _ bool, _ *centrifuge.Publication) error {
	if d.published != nil {
		d.published(ch, p.Data)
	}
	return nil
}
func (deaf) HandleJoin(string, *centrifuge.ClientInfo) error  { return nil }
func (deaf) HandleLeave(string, *centrifuge.ClientInfo) error { return nil }

// peerPresence is centrifuge's presence: a call to record, a call to publish.
type peerPresence struct {
	*peerNode
	broker   *centrifuge.RedisBroker
	presence *centrifuge.RedisPresenceManager
	first    sync.Map // rooms that a joinFirst has subscribed
}

func newCentrifuge(addr string, userMapping bool) (*peerPresence, error) {
	return newCentrifugeHearing(addr, userMapping, deaf{})
}

func newCentrifugeHearing(addr string, userMapping bool, h deaf) (*peerPresence, error) {
	node, err := newPeerNode(addr, centrifuge.Config{})
	if err != nil {
		return nil, err
	}
	shards := []*centrifuge.RedisShard{node.shard}
	p := &peerPresence{peerNode: node}
	if p.broker, err = centrifuge.NewRedisBroker(node.node, centrifuge.RedisBrokerConfig{Shards: shards}); err != nil {
		return nil, err
	}
	if err := p.broker.RegisterBrokerEventHandler(h); err != nil {
		return nil, err
	}
	p.presence, err = centrifuge.NewRedisPresenceManager(node.node, centrifuge.RedisPresenceManagerConfig{
		Shards:            shards,
		EnableUserMapping: func(string) bool { return userMapping },
	})
	return p, err
}

func (p *peerPresence) subscribe(_ context.Context, rooms []string) error {
	for from := 0; from < len(rooms); from += 512 {
		if err := p.broker.Subscribe(rooms[from:min(from+512, len(rooms))]...); err != nil {
			return err
		}
	}
	return nil
}

func (p *peerPresence) join(_ context.Context, room string, member int) error {
	who := p.member(member)
	if err := p.presence.AddPresence(room, who.ClientID, who); err != nil {
		return err
	}
	return p.broker.PublishJoin(room, who)
}

func (p *peerPresence) joinFirst(ctx context.Context, room string, member int) error {
	if _, known := p.first.LoadOrStore(room, true); !known {
		if err := p.broker.Subscribe(room); err != nil {
			return err
		}
	}
	return p.join(ctx, room, member)
}

func (p *peerPresence) refresh(_ context.Context, rooms []string, member int) error {
	who := p.member(member)
	for _, room := range rooms {
		if err := p.presence.AddPresence(room, who.ClientID, who); err != nil {
			return err
		}
	}
	return nil
}

func (p *peerPresence) leave(_ context.Context, room string, member int) error {
	who := p.member(member)
	if err := p.presence.RemovePresence(room, who.ClientID, who.UserID); err != nil {
		return err
	}
	return p.broker.PublishLeave(room, who)
}

func (p *peerPresence) leaveAll(ctx context.Context, rooms []string, member int) error {
	for _, room := range rooms {
		if err := p.leave(ctx, room, member); err != nil {
			return err
		}
	}
	return nil
}

func (p *peerPresence) snapshot(_ context.Context, room string) (int, error) {
	all, err := p.presence.Presence(room)
	return len(all), err
}

func (p *peerPresence) counts(_ context.Context, room string) (presences, users int, err error) {
	s, err := p.presence.PresenceStats(room)
	return s.NumClients, s.NumUsers, err
}

func (p *peerPresence) close() {
	_ = p.broker.Close(context.Background())
	p.peerNode.close()
	p.shard.Close()
}
