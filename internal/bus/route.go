package bus

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/hashslot"
)

// route finds the server of a topic.
type route interface {
	// sharded reports whether the topics use sharded pub/sub.
	sharded() bool
	// slot returns a number that is the same for topics that are always on one server.
	slot(topic string) int
	// owner returns the server of a topic according to what is known, which may be out
	// of date.
	owner(ctx context.Context, topic string) (server, error)
	// refresh updates what is known, without waiting for it.
	refresh()
}

// server is where one connection goes.
type server struct {
	addr   string
	client interface {
		Subscribe(ctx context.Context, channels ...string) *redis.PubSub
	}
}

func newRoute(client redis.UniversalClient) route {
	if c, ok := client.(*redis.ClusterClient); ok {
		return cluster{c}
	}
	return single{client}
}

// single is one Redis, which its client can also find through Sentinel.
type single struct{ client redis.UniversalClient }

func (single) sharded() bool   { return false }
func (single) slot(string) int { return 0 }
func (single) refresh()        {}

func (s single) owner(context.Context, string) (server, error) {
	addr := ""
	if c, ok := s.client.(*redis.Client); ok {
		addr = c.Options().Addr
	}
	return server{addr: addr, client: s.client}, nil
}

// cluster is a Redis Cluster. A PubSub of the cluster's client would stay with the
// server of its first topic, so those of the servers' own clients are used.
type cluster struct{ client *redis.ClusterClient }

func (cluster) sharded() bool         { return true }
func (cluster) slot(topic string) int { return hashslot.Of(topic) }
func (c cluster) refresh()            { c.client.ReloadState(context.Background()) }

func (c cluster) owner(ctx context.Context, topic string) (server, error) {
	client, err := c.client.MasterForKey(ctx, topic)
	if err != nil {
		return server{}, err
	}
	return server{addr: client.Options().Addr, client: client}, nil
}
