// Package redisarg reads the argument by which the commands find Redis.
package redisarg

import (
	"cmp"
	"context"
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
var errTarget = errors.New("-redis is neither host:port, nor a URL such as redis://user:password@host:6379/0, nor either with more addresses after commas")

// Flag adds -redis to a command's flags. What it defaults to is not the flag's own
// default: help would show a password.
func Flag(set *flag.FlagSet, target *string) {
	set.StringVar(target, "redis", "", "`URL` of Redis, redis://user:password@host:port (rediss: TLS), or host:port.\n"+
		"One address of a cluster will do; more go after commas: redis://user:password@host:port,host:port\n"+
		"Behind Sentinel: redis://sentinel:port,sentinel:port?master_name=NAME&username=USER&password=PASSWORD\n"+
		"(default $REDIS_URL or "+defaultURL+")")
}

// Connect returns a client for a URL or for addresses, and the address to show. No
// target is the environment's REDIS_URL, and without that a Redis on this machine. It
// asks a single server whether it is one of a cluster; what does not answer is for the
// caller to find out. The client obeys the context's deadline, so that a server that
// does not answer is no reason to hang.
func Connect(ctx context.Context, target string) (client redis.UniversalClient, address string, err error) {
	target, query, err := parse(cmp.Or(target, os.Getenv("REDIS_URL"), defaultURL))
	switch {
	case err != nil:
		return nil, "", err
	case query.Has("master_name"):
		return watched(target)
	case query.Has("addr"):
		return cluster(target)
	}
	opts, err := redis.ParseURL(target)
	if err != nil {
		return nil, "", errTarget
	}
	opts.ContextTimeoutEnabled = true
	single := redis.NewClient(opts)
	if info, _ := single.Info(ctx, "cluster").Result(); strings.Contains(info, "cluster_enabled:1") {
		single.Close()
		return cluster(target)
	}
	return single, opts.Addr, nil
}

// watched returns a client of the master that sentinels name.
func watched(target string) (redis.UniversalClient, string, error) {
	opts, err := redis.ParseFailoverURL(target)
	if err != nil || opts.MasterName == "" {
		return nil, "", errTarget
	}
	opts.ContextTimeoutEnabled = true
	return redis.NewFailoverClient(opts), opts.MasterName + " of " + strings.Join(opts.SentinelAddrs, ","), nil
}

func cluster(target string) (redis.UniversalClient, string, error) {
	opts, err := redis.ParseClusterURL(target)
	if err != nil {
		return nil, "", errTarget
	}
	opts.ContextTimeoutEnabled = true
	return redis.NewClusterClient(opts), strings.Join(opts.Addrs, ","), nil
}

// parse returns the URL that go-redis reads, which has all addresses but the first in
// its query, and that query.
func parse(target string) (string, url.Values, error) {
	scheme, rest, isURL := strings.Cut(target, "://")
	if !isURL {
		for addr := range strings.SplitSeq(target, ",") {
			host, port, err := net.SplitHostPort(strings.TrimSpace(addr))
			if err != nil || host == "" || port == "" || strings.Contains(host, "@") {
				return "", nil, errTarget
			}
		}
		scheme, rest = "redis", target
	}
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	hosts := strings.LastIndex(rest[:end], "@") + 1
	first, others, several := strings.Cut(rest[hosts:end], ",")
	u, err := url.Parse(scheme + "://" + rest[:hosts] + strings.TrimSpace(first) + rest[end:])
	if err != nil {
		return "", nil, errTarget
	}
	query := u.Query()
	if several {
		for addr := range strings.SplitSeq(others, ",") {
			query.Add("addr", strings.TrimSpace(addr))
		}
		u.RawQuery = query.Encode()
	}
	return u.String(), query, nil
}
