package groups_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
)

// answer is what a server that is not there would say to INFO.
type answer struct {
	info string
	err  error
}

func (a answer) DialHook(next redis.DialHook) redis.DialHook { return next }

func (a answer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if s, ok := cmd.(*redis.StringCmd); ok && cmd.Name() == "info" {
			s.SetVal(a.info)
			return a.err
		}
		return next(ctx, cmd)
	}
}

func (a answer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func version(v string) answer {
	return answer{info: "# Server\r\nredis_version:" + v + "\r\nredis_mode:standalone\r\n"}
}

func wantServer(t testing.TB, err error, reason string) {
	t.Helper()
	if !errors.Is(err, groups.ErrServer) || errors.Is(err, groups.ErrUnavailable) || !strings.Contains(err.Error(), reason) {
		t.Errorf("got %v, want one that says %q", err, reason)
	}
}

func TestServerVersion(t *testing.T) {
	s := redistest.Mini(t)
	for v, ok := range map[string]bool{
		"2.8.24": false, "5.0.14": false, "6.2.99": false, "nonsense": false,
		"7.0.0": true, "7.4.1": true, "8.0.0": true, "10.0.0": true, "255.255.255": true,
	} {
		client := s.NewClient(t)
		client.AddHook(version(v))
		l, err := groups.New(t.Context(), client, nil)
		switch {
		case !ok:
			wantServer(t, err, "version "+v)
		case err != nil:
			t.Errorf("%s: %v", v, err)
		default:
			if err := l.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

// redisError is what a server answers instead of a reply.
type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

func TestProxyIsRefused(t *testing.T) {
	s := redistest.Mini(t)
	for _, err := range []error{
		redisError("ERR unknown command 'INFO'"),
		redisError("ERR unsupported command"),
	} {
		client := s.NewClient(t)
		client.AddHook(answer{err: err})
		_, got := groups.New(t.Context(), client, nil)
		wantServer(t, got, "proxies")
	}
	client := s.NewClient(t)
	client.AddHook(answer{err: redisError("LOADING Redis is loading the dataset in memory")})
	_, err := groups.New(t.Context(), client, nil)
	wantErr(t, "loading", err, groups.ErrUnavailable)
}

func TestRingIsRefused(t *testing.T) {
	s := redistest.Mini(t)
	ring := redis.NewRing(&redis.RingOptions{
		Addrs: map[string]string{"one": s.Addrs[0]},
		NewClient: func(o *redis.Options) *redis.Client {
			o.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
			return redis.NewClient(o)
		},
	})
	defer ring.Close()
	_, err := groups.New(t.Context(), ring, nil)
	wantServer(t, err, "redis.Ring")
}

func TestClientThatDoesNotFitTheServer(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		if !s.Real() {
			t.Skip("miniredis does not tell what it is")
		}
		if s.IsCluster() {
			_, err := groups.New(t.Context(), s.Node(1).NewClient(t), nil)
			wantServer(t, err, "use a redis.ClusterClient")

			// One old master is enough, and it is not the one that is asked first.
			old := redis.NewClusterClient(&redis.ClusterOptions{Addrs: s.Addrs})
			defer old.Close()
			old.OnNewNode(func(node *redis.Client) {
				if node.Options().Addr == s.Addrs[2] {
					node.AddHook(version("6.2.14"))
				}
			})
			_, err = groups.New(t.Context(), old, nil)
			wantServer(t, err, "version 6.2.14, rollcall needs 7.0 or newer on every node of a cluster: an older one has no sharded pub/sub")
			return
		}
		cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: s.Addrs})
		defer cluster.Close()
		_, err := groups.New(t.Context(), cluster, nil)
		wantServer(t, err, "a redis.ClusterClient of servers that are no cluster")

		// As redis.NewFailoverClusterClient is made of.
		failover := redis.NewClusterClient(&redis.ClusterOptions{ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
			return []redis.ClusterSlot{{End: 16383, Nodes: []redis.ClusterNode{{Addr: s.Addrs[0]}}}}, nil
		}})
		defer failover.Close()
		_, err = groups.New(t.Context(), failover, nil)
		wantServer(t, err, "a redis.ClusterClient of servers that are no cluster")
	})
}
