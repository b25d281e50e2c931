package luascripts

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Masters returns the servers that hold a part of the data.
func (s *Store) Masters(ctx context.Context) ([]redis.Cmdable, error) {
	var mu sync.Mutex
	var masters []redis.Cmdable
	err := s.onMasters(ctx, func(_ context.Context, master redis.Cmdable) error {
		mu.Lock()
		defer mu.Unlock()
		masters = append(masters, master)
		return nil
	})
	return masters, err
}

// onMasters calls f with each server that holds a part of the data, on a cluster
// concurrently. A command without a key would otherwise go to any one of them.
func (s *Store) onMasters(ctx context.Context, f func(context.Context, redis.Cmdable) error) error {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return f(ctx, s.client)
	}
	return cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return f(ctx, master) })
}
