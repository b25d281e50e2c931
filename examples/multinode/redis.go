package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// openRedis makes a client for the value of -redis: a URL, an address, or the addresses
// of a cluster, separated by commas.
func openRedis(spec string) (redis.UniversalClient, error) {
	// Connection trouble that matters is returned as errors.
	logging.Disable()

	opts := &redis.UniversalOptions{
		DialTimeout:           2 * time.Second,
		ContextTimeoutEnabled: true,
	}
	for _, part := range strings.Split(spec, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		if !strings.Contains(part, "://") {
			opts.Addrs = append(opts.Addrs, part)
			continue
		}
		parsed, err := redis.ParseURL(part)
		if err != nil {
			return nil, fmt.Errorf("-redis %s: %w", redisName(spec), err)
		}
		opts.Addrs = append(opts.Addrs, parsed.Addr)
		opts.Username, opts.Password = parsed.Username, parsed.Password
		opts.DB, opts.TLSConfig = parsed.DB, parsed.TLSConfig
		if parsed.Network == "unix" {
			return redis.NewClient(parsed), nil
		}
	}
	if len(opts.Addrs) == 0 {
		return nil, fmt.Errorf("-redis %q names no address", spec)
	}
	return redis.NewUniversalClient(opts), nil
}

// redisName returns the spec for people to read, without secrets.
func redisName(spec string) string {
	parts := strings.Split(spec, ",")
	for i, part := range parts {
		if u, err := url.Parse(strings.TrimSpace(part)); err == nil && u.Host != "" {
			parts[i] = u.Host
		} else if at := strings.LastIndexByte(part, '@'); at >= 0 {
			parts[i] = part[at+1:] // does not parse as a URL, but may have a password in it
		}
	}
	return strings.Join(parts, ", ")
}

// checkRedis says how to pass another address if this one does not answer.
func checkRedis(ctx context.Context, spec string) error {
	client, err := openRedis(spec)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if err := client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("redis at %s does not answer: %w\n"+
			"Pass another one with -redis redis://HOST:PORT or in REDIS_URL; without both, one is embedded", redisName(spec), err)
	}
	return nil
}
