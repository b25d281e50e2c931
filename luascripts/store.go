package luascripts

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// SchemaVersion is the version of the keys and records. A node refuses data of another.
const SchemaVersion = 1

// ErrServer is wrapped by the error for a server that rollcall cannot use.
var ErrServer = errors.New("rollcall: unsupported Redis server")

// Store is the state in one Redis under one prefix. It is safe for concurrent
// use, and it does not close the client.
type Store struct {
	Keys
	client  redis.UniversalClient
	scripts scripts
	fake    bool // the server is miniredis
	sharded bool // it is a cluster
	publish any  // the name of the command, in the type that the client takes

	failures failures
	remember atomic.Int64 // ms for which users who went are remembered, 0 for none
}

// How long to wait for a server of a cluster if the others can do without it.
const (
	infoIn = 3 * time.Second
	metaIn = 8 * time.Second // a new client may first spend 5 s asking it for the list of commands
)

// patient bounds a request to all servers of a cluster, and leaves half of the caller's
// time for what follows.
func (s *Store) patient(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if !s.sharded {
		return context.WithCancel(ctx)
	}
	if deadline, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(deadline)/2)
	}
	return context.WithTimeout(ctx, d)
}

// Open asks the servers what they are, and returns their Store. It returns ErrServer if
// rollcall cannot use them. In a cluster, some may be away.
func Open(ctx context.Context, client redis.UniversalClient, keys Keys) (*Store, error) {
	if client == nil {
		return nil, &InvalidError{Field: "client", Reason: "nil"}
	}
	if _, ok := client.(*redis.Ring); ok {
		return nil, fmt.Errorf("%w: a redis.Ring is no single source of truth, use one Redis or a cluster", ErrServer)
	}
	s := &Store{Keys: keys, client: client, scripts: newScripts(), publish: "PUBLISH"}
	if _, s.sharded = client.(*redis.ClusterClient); s.sharded {
		s.publish = "SPUBLISH"
	}
	var mu sync.Mutex
	var away error
	answered := false
	err := s.onMasters(ctx, func(ctx context.Context, server redis.Cmdable) error {
		ctx, cancel := s.patient(ctx, infoIn)
		defer cancel()
		info, err := server.Info(ctx).Result()
		mu.Lock()
		defer mu.Unlock()
		var refusal redis.Error
		switch {
		case errors.As(err, &refusal):
			return err
		case err != nil:
			away = err
			return nil
		}
		answered = true
		s.fake = field(info, "redis_version") == "" // miniredis reports none
		return s.suits(info)
	})
	if err == nil && !answered {
		err = away
	}
	if err != nil {
		return nil, notServed(err)
	}
	return s, nil
}

// Client returns the client that the Store was opened with.
func (s *Store) Client() redis.UniversalClient { return s.client }

// Publish queues a frame for a topic in a pipeline. It is sent at most once: a client
// that retries what may have arrived would repeat it. The client takes the frame by
// pointer, which needs no copy and keeps it out of traces.
func (s *Store) Publish(ctx context.Context, pipe redis.Pipeliner, topic string, frame *string) *redis.IntCmd {
	cmd := redis.NewIntCmd(ctx, s.publish, topic, frame)
	_ = pipe.Process(ctx, publication{cmd}) // a pipeline only queues
	return cmd
}

// publication is once with the methods of an IntCmd, which hooks of the client may use.
type publication struct{ *redis.IntCmd }

// NoRetry implements redis.Cmder.
func (publication) NoRetry() bool { return true }
