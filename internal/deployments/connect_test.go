package deployments_test

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

func TestPassword(t *testing.T) {
	s := redistest.Real(t, "--requirepass", "secret")
	basics(t, func() redis.UniversalClient {
		return s.NewClient(t, func(o *redis.UniversalOptions) { o.Password = "secret" })
	})
	for _, password := range []string{"", "wrong"} {
		client := s.NewClient(t, func(o *redis.UniversalOptions) { o.Password = password })
		if _, err := groups.New(t.Context(), client, nil); err == nil {
			t.Errorf("password %q was taken", password)
		}
	}
}

func TestTLS(t *testing.T) {
	s, addr, config := redistest.RealTLS(t)
	through := func(o *redis.UniversalOptions) { o.Addrs, o.TLSConfig = []string{addr}, config }
	everything(t, func() redis.UniversalClient { return s.NewClient(t, through) }, s.NewClient(t))

	// Without a certificate of its own, nobody is let in.
	stranger := config.Clone()
	stranger.Certificates = nil
	client := s.NewClient(t, through, func(o *redis.UniversalOptions) { o.TLSConfig, o.MaxRetries = stranger, -1 })
	if _, err := groups.New(t.Context(), client, nil); err == nil {
		t.Error("a stranger was let in")
	}
}

// All that there is behind Sentinel, and what a failover leaves: who is connected
// is there again, with the new master, and no watcher was told that they went.
func TestSentinel(t *testing.T) {
	s := redistest.Sentinels(t)
	s.DownAfter(time.Minute) // until one is killed
	newClient := func() redis.UniversalClient {
		return s.NewClient(t, func(o *redis.UniversalOptions) {
			o.DialTimeout, o.ReadTimeout = time.Second, time.Second
		})
	}
	everything(t, newClient, s.Master.NewClient(t))

	a, b := basics(t, newClient)
	touched := keepTouching(t, a, b)
	w, err := b.Watch(t.Context(), "lobby", nil)
	a.must(err)
	t.Cleanup(w.Close)
	s.DownAfter(time.Second)
	s.Master.Kill()
	s.AwaitFailOver()
	zed, err := a.Layer.NewChannel()
	a.must(err)
	redistest.Eventually(t, patience, func() error {
		_, _, err := a.Add(t.Context(), "lobby", zed.Name(), presence.Member{User: "zed"})
		return err
	})
	a.present("lobby", 3)
	redistest.Eventually(t, patience, func() error {
		if len(w.Snapshot().Presences) != 3 {
			return errors.New("not seen")
		}
		return nil
	})
	redistest.Eventually(t, patience, func() error {
		return a.Layer.GroupSend(t.Context(), "lobby", groups.Message{Type: "after"})
	})
	if m, err := zed.Receive(t.Context()); err != nil || m.Type != "after" {
		t.Errorf("%+v, %v", m, err)
	}
	d, err := w.Next(t.Context())
	if err != nil || len(d.Removed) > 0 {
		t.Errorf("%+v, %v", d, err)
	}
	touched()
}

// keepTouching has everybody in the lobby give signs of life.
func keepTouching(t *testing.T, nodes ...*node) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-end:
				return
			}
			for _, n := range nodes {
				for _, channel := range n.Layer.Members("lobby") {
					n.Touch(channel)
				}
			}
		}
	}()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			close(end)
			<-ended
		}
	}
	t.Cleanup(stop)
	return stop
}

// What is no single source of truth is refused.
func TestRefused(t *testing.T) {
	cluster := redistest.Cluster(t)
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": redistest.Real(t).Addrs[0]}})
	defer ring.Close()
	node := redis.NewClient(&redis.Options{Addr: cluster.Addrs[0]}) // as a proxy looks, too
	defer node.Close()
	lone := redis.NewClusterClient(&redis.ClusterOptions{Addrs: redistest.Real(t).Addrs})
	defer lone.Close()
	for what, client := range map[string]redis.UniversalClient{"ring": ring, "node": node, "no cluster": lone} {
		if _, err := groups.New(t.Context(), client, nil); !errors.Is(err, groups.ErrServer) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
