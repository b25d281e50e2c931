package luascripts

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// Passing reports whether a cluster refused a command for a moment, without running any
// of it: the slot is moving to another master, or has none. The client follows some
// redirects by itself, and gives up at the last one.
func Passing(err error) bool {
	if err == nil {
		return false
	}
	_, moved := redis.IsMovedError(err)
	_, ask := redis.IsAskError(err)
	return moved || ask || redis.IsTryAgainError(err) || redis.IsClusterDownError(err)
}

// Reconsider makes a cluster client ask again which server holds what, without waiting
// for it, if an error shows that this may have changed: a master does not answer, or is
// cut off from the others. By itself the client does so when it is told MOVED, and
// otherwise only once a minute.
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
