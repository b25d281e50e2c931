// Package redisarg reads the argument by which the commands find Redis.
package redisarg

import (
	"cmp"
	"errors"
	"flag"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
)

// defaultURL is that of a Redis on this machine.
const defaultURL = "redis://127.0.0.1:6379"

// errTarget does not show what was given, which may hold a password.
var errTarget = errors.New("-redis is neither a URL such as redis://user:password@host:6379/0 nor addresses such as host:6379,host:6380")

// Flag adds -redis to a command's flags. What it defaults to is not the flag's own
// default: help would show a password.
func Flag(set *flag.FlagSet, target *string) {
	set.StringVar(target, "redis", "", "`URL` of one Redis, or addresses of a cluster (default $REDIS_URL or "+defaultURL+")")
}

// Connect returns a client for a URL or for addresses, and the address to show. No
// target is the environment's REDIS_URL, and without that a Redis on this machine.
// It does not use the network. Its clients obey the context's deadline, so that
// a server that does not answer is no reason to hang.
func Connect(target string) (client redis.UniversalClient, address string, err error) {
	target = cmp.Or(target, os.Getenv("REDIS_URL"), defaultURL)
	if !strings.Contains(target, "://") {
		addrs := strings.Split(target, ",")
		for i, addr := range addrs {
			addrs[i] = strings.TrimSpace(addr)
			if host, port, err := net.SplitHostPort(addrs[i]); err != nil || host == "" || port == "" || strings.Contains(host, "@") {
				return nil, "", errTarget
			}
		}
		opts := &redis.UniversalOptions{Addrs: addrs, ContextTimeoutEnabled: true}
		return redis.NewUniversalClient(opts), strings.Join(addrs, ","), nil
	}
	u, err := url.Parse(target)
	if err != nil {
		return nil, "", errTarget
	}
	if u.Query().Has("addr") {
		opts, err := redis.ParseClusterURL(target)
		if err != nil {
			return nil, "", errTarget
		}
		opts.ContextTimeoutEnabled = true
		return redis.NewClusterClient(opts), strings.Join(opts.Addrs, ","), nil
	}
	opts, err := redis.ParseURL(target)
	if err != nil {
		return nil, "", errTarget
	}
	opts.ContextTimeoutEnabled = true
	return redis.NewClient(opts), opts.Addr, nil
}
