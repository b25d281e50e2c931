package redistest

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// adminUser is who the package itself connects as, so that it gets in whatever a
// test does to the default user. It has all rights and any password.
const adminUser = "redistest"

func adminArgs() []string {
	return []string{"--user", adminUser, "on", "nopass", "~*", "&*", "+@all"}
}

// admin returns a client that tries no command twice and obeys its contexts.
func (p *process) admin() *redis.Client { return redis.NewClient(adminOptions(p.address())) }

func adminOptions(addr string) *redis.Options {
	return &redis.Options{
		Addr:                  addr,
		Username:              adminUser,
		Password:              "any",
		MaxRetries:            -1,
		DialerRetries:         1,
		PoolSize:              1,
		ContextTimeoutEnabled: true,
		DialTimeout:           patience,
		ReadTimeout:           patience,
		WriteTimeout:          patience,
		DisableIdentity:       true,
	}
}

// once calls f with a client, and a context, that exist for this call only.
func (p *process) once(f func(context.Context, *redis.Client) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client := p.admin()
	defer client.Close()
	return f(ctx, client)
}
