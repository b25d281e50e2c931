package luascripts

import "github.com/redis/go-redis/v9"

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
