package redistest

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// SetUser makes a user of Redis's access control, with rules as of ACL SETUSER, on
// each process.
func (s *Server) SetUser(name string, rules ...string) {
	s.t.Helper()
	s.disturb("user of", func(ctx context.Context, c *redis.Client) error {
		args := []any{"ACL", "SETUSER", name, "reset", "on"}
		for _, rule := range rules {
			args = append(args, rule)
		}
		if err := c.Do(ctx, args...).Err(); err != nil {
			return err
		}
		return c.Do(ctx, "ACL", "LOG", "RESET").Err()
	})
}

// Denied returns what users were not let do since SetUser: "user object reason".
func (s *Server) Denied() (denied []string) {
	s.t.Helper()
	s.ask("acl log of", func(ctx context.Context, c *redis.Client) error {
		entries, err := c.ACLLog(ctx, 1000).Result()
		for _, e := range entries {
			denied = append(denied, e.Username+" "+e.Object+" "+e.Reason)
		}
		return err
	})
	return denied
}
