package luascripts

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// SchemaVersion is that of the keys and records. A node refuses data of another.
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
	publish string

	remember atomic.Int64 // ms for which users who went are remembered, 0 for none
}

// Open asks the server for its version, and returns its Store.
func Open(ctx context.Context, client redis.UniversalClient, keys Keys) (*Store, error) {
	switch client.(type) {
	case *redis.Ring:
		return nil, fmt.Errorf("%w: a redis.Ring is no single source of truth, use one Redis or a cluster", ErrServer)
	}
	info, err := client.Info(ctx).Result()
	if err != nil {
		return nil, err
	}
	version := field(info, "redis_version")
	if major, _ := strconv.Atoi(strings.SplitN(version, ".", 2)[0]); version != "" && major < 7 {
		return nil, fmt.Errorf("%w: version %s, rollcall needs 7.0 or newer", ErrServer, version)
	}
	return &Store{
		Keys:    keys,
		client:  client,
		scripts: newScripts(),
		fake:    version == "", // miniredis tells none
		publish: "PUBLISH",
	}, nil
}

// Client is the client that the Store was opened with.
func (s *Store) Client() redis.UniversalClient { return s.client }

// field returns the value of a line "name:value" of INFO, or "".
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// Publish queues a frame for a topic in a pipeline. It is sent at most once: a
// client that retries what may have arrived would repeat it.
func (s *Store) Publish(ctx context.Context, pipe redis.Pipeliner, topic, frame string) *redis.IntCmd {
	cmd := redis.NewIntCmd(ctx, s.publish, topic, frame)
	_ = pipe.Process(ctx, once{cmd}) // a pipeline only queues
	return cmd
}
