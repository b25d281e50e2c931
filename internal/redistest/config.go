package redistest

import (
	"context"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// SetConfig sets a parameter of each process, and returns what sets it back. It
// causes the refusals that are a matter of configuration:
//
//	OOM         SetConfig("maxmemory", "1")
//	evictions   SetConfig("maxmemory-policy", "allkeys-lru"), and little "maxmemory"
//	NOREPLICAS  SetConfig("min-replicas-to-write", "1")
//	NOAUTH      SetConfig("requirepass", "secret"), and DropClients
//	ERR max number of clients reached
//	            SetConfig("maxclients", "20")
//
// and with SetConfig("client-output-buffer-limit", "pubsub 256kb 0 0") a
// subscriber is dropped that does not read.
func (s *Server) SetConfig(name, value string) (restore func()) {
	s.t.Helper()
	var changed []*setting
	for _, p := range s.processes() {
		c, err := p.set(name, value)
		if err != nil {
			s.t.Fatalf("config of %s: %v", p.address(), err)
		}
		changed = append(changed, c)
	}
	end := sync.OnceFunc(func() {
		for _, c := range changed {
			if err := c.restore(); err != nil {
				s.t.Errorf("restore config: %v", err)
			}
		}
	})
	s.t.Cleanup(func() {
		if s.lease != nil && !s.lease.spoiled {
			end() // others use the server after this test
		}
		for _, c := range changed {
			_ = c.client.Close()
		}
	})
	return end
}

// A setting is a parameter that was changed. It keeps its connection: under
// maxclients it might not get another.
type setting struct {
	client    *redis.Client
	name, old string
}

func (p *process) set(name, value string) (*setting, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := &setting{client: p.admin(), name: name}
	old, err := s.client.ConfigGet(ctx, name).Result()
	if err == nil && len(old) != 1 {
		err = fmt.Errorf("no parameter %q", name)
	}
	if err == nil {
		s.old = old[name]
		err = s.client.ConfigSet(ctx, name, value).Err()
	}
	if err != nil {
		_ = s.client.Close()
	}
	return s, err
}

func (s *setting) restore() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return poll(patience, func() error { return s.client.ConfigSet(ctx, s.name, s.old).Err() })
}
