package luascripts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// suits returns ErrServer unless INFO describes a server that fits the client.
func (s *Store) suits(info string) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrServer}, args...)...)
	}
	version := field(info, "redis_version")
	major, _ := strconv.Atoi(strings.SplitN(version, ".", 2)[0])
	old, cluster := version != "" && major < 7, field(info, "cluster_enabled")
	switch {
	case old && s.sharded:
		return refuse("version %s, rollcall needs 7.0 or newer on every node of a cluster: an older one has no sharded pub/sub and no flags for scripts", version)
	case old:
		return refuse("version %s, rollcall needs 7.0 or newer: an older one has no flags for scripts", version)
	case cluster == "1" && !s.sharded:
		return refuse("it is a node of a Redis Cluster, or a proxy of one: use a redis.ClusterClient, with the addresses of the nodes; proxies are not supported, as subscriptions do not follow the slots through one")
	case cluster == "0" && s.sharded:
		return refuse(noCluster)
	}
	return nil
}

// notServed explains the error of a server that does not know CLUSTER or INFO.
func notServed(err error) error {
	var answer redis.Error
	if err == nil || errors.Is(err, ErrServer) || !errors.As(err, &answer) {
		return err
	}
	text := strings.ToLower(err.Error())
	switch {
	case strings.Contains(text, "cluster support disabled"):
		return fmt.Errorf("%w: %s: %w", ErrServer, noCluster, err)
	case strings.Contains(text, "unknown command"), strings.Contains(text, "unsupported"):
		return fmt.Errorf("%w: it does not answer INFO, as proxies do not: %w", ErrServer, err)
	}
	return err
}

const noCluster = "a redis.ClusterClient of servers that are no cluster: use redis.NewClient, or redis.NewFailoverClient with Sentinel"

// field returns the value of a line "name:value" of INFO, or "".
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
