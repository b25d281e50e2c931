package luascripts

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// Passing tells whether a cluster has refused a command for a moment, without
// running any of it: the slot is on its way to another master, or has none. The
// client follows some redirects by itself, and gives up with the last.
func Passing(err error) bool {
	if err == nil {
		return false
	}
	_, moved := redis.IsMovedError(err)
	_, ask := redis.IsAskError(err)
	return moved || ask || redis.IsTryAgainError(err) || redis.IsClusterDownError(err)
}

// Reconsider has the client of a cluster ask who serves what, without waiting for
// it, where an error shows that this may have changed: a master does not answer,
// or is cut off from the others. The client does so by itself where it is told
// MOVED, and else once a minute only.
func (s *Store) Reconsider(err error) {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok || err == nil || errors.Is(err, context.Canceled) {
		return
	}
	var answer redis.Error
	if !errors.As(err, &answer) || redis.IsClusterDownError(err) {
		cluster.ReloadState(context.Background())
	}
}
