package redistest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
)

// refused fails the test unless a write is refused with an error that begins
// with prefix.
func refused(t testing.TB, client redis.UniversalClient, prefix string) {
	t.Helper()
	if err := client.Set(t.Context(), "key", "value", 0).Err(); !redis.HasErrorPrefix(err, prefix) {
		t.Fatalf("not %s: %v", prefix, err)
	}
}

func accepted(t testing.TB, client redis.UniversalClient) {
	t.Helper()
	redistest.Eventually(t, patience, func() error {
		return client.Set(t.Context(), "key", "value", 0).Err()
	})
}

func TestDebugSleepAndPause(t *testing.T) {
	for name, pause := range map[string]func(*redistest.Server, time.Duration){
		"sleep": (*redistest.Server).DebugSleep,
		"pause": (*redistest.Server).ClientPause,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Real(t)
			client := s.NewClient(t, brisk)
			ping(t, client)
			begin := time.Now()
			pause(s, 3*time.Second)
			mustFail(t, client, name)
			accepted(t, client)
			if took := time.Since(begin); took < 3*time.Second {
				t.Fatalf("it lasted %v", took)
			}
		})
	}
}

func TestClientPauseWrites(t *testing.T) {
	s := redistest.Real(t)
	client := s.NewClient(t, brisk)
	s.ClientPauseWrites(time.Hour)
	mustFail(t, client, "paused")
	if err := client.Get(t.Context(), "paused").Err(); !errors.Is(err, redis.Nil) {
		t.Fatalf("a read: %v", err)
	}
	s.ClientUnpause()
	accepted(t, client)
}

func TestBusyScript(t *testing.T) {
	s := redistest.Real(t)
	client := s.NewClient(t, brisk)
	s.BusyScript()
	refused(t, client, "BUSY")
	s.ScriptKill()
	accepted(t, client)
}

func TestReadOnly(t *testing.T) {
	s := redistest.Real(t)
	client := s.NewClient(t, brisk)
	s.ReadOnly()
	refused(t, client, "READONLY")
	s.Promote()
	accepted(t, client)
}

func TestLoad(t *testing.T) {
	for name, start := range map[string]func(testing.TB, ...string) *redistest.Server{"redis": redistest.Real, "cluster": redistest.Cluster} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			client := s.NewClient(t, brisk)
			for i := range 100 {
				set(t, client, fmt.Sprint("key", i))
			}
			master := s
			if s.IsCluster() {
				master = s.Node(s.Owner(s.Slot("key")))
			}
			begin := time.Now()
			s.Load(2 * time.Second)
			refused(t, master.NewClient(t, brisk), "LOADING")
			accepted(t, client)
			if took := time.Since(begin); took < 2*time.Second || took > patience {
				t.Fatalf("loaded in %v", took)
			}
			n, err := client.DBSize(t.Context()).Result()
			if s.IsCluster() {
				n -= 3 * 20 // that it loads because there is little else
			}
			if n != 101 || err != nil {
				t.Fatalf("%d keys after it, %v", n, err)
			}
		})
	}
}

func TestBrokenDisk(t *testing.T) {
	s := redistest.Real(t)
	client := s.NewClient(t, brisk)
	s.BreakDisk()
	refused(t, client, "MISCONF")
	s.MendDisk()
	accepted(t, client)
}

func TestConfigRefusals(t *testing.T) {
	for _, c := range []struct{ name, value, prefix string }{
		{"maxmemory", "1", "OOM"},
		{"min-replicas-to-write", "1", "NOREPLICAS"},
		{"requirepass", "secret", "NOAUTH"},
		{"maxclients", "2", "ERR max number of clients"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := redistest.Real(t)
			client := s.NewClient(t, brisk)
			accepted(t, client)
			restore := s.SetConfig(c.name, c.value)
			switch c.name {
			case "requirepass":
				s.DropClients()
				// go-redis says so of its handshake.
				redistest.Eventually(t, patience, func() error {
					if err := client.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), c.prefix) {
						return fmt.Errorf("not %s: %v", c.prefix, err)
					}
					return nil
				})
			case "maxclients":
				second := s.NewClient(t, brisk)
				if err := second.Ping(t.Context()).Err(); err == nil {
					t.Fatal("one client too many")
				}
			default:
				refused(t, client, c.prefix)
			}
			restore()
			restore() // does nothing
			accepted(t, client)
		})
	}
}

func TestConfigIsRestored(t *testing.T) {
	before := map[string]string{}
	for _, round := range []string{"set", "look"} {
		redistest.Each(t, func(t *testing.T, s *redistest.Server) {
			if !s.Real() {
				return
			}
			client := s.Node(0).NewClient(t)
			got, err := client.ConfigGet(t.Context(), "slowlog-max-len").Result()
			if err != nil {
				t.Fatal(err)
			}
			if round == "set" {
				before[s.Name()] = got["slowlog-max-len"]
				s.SetConfig("slowlog-max-len", "7")
			} else if got["slowlog-max-len"] != before[s.Name()] {
				t.Fatalf("%v, not %s", got, before[s.Name()])
			}
		})
	}
}

func TestKillClients(t *testing.T) {
	s := redistest.Real(t)
	ctx, client := t.Context(), s.NewClient(t, brisk)
	sub := client.Subscribe(ctx, "news")
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	conn := client.(*redis.Client).Conn()
	defer conn.Close()
	ping(t, conn)

	s.KillClients("normal")
	if err := conn.Ping(ctx).Err(); err == nil {
		t.Fatal("the connection lives")
	}
	accepted(t, client)
	if err := client.Publish(ctx, "news", "hello").Err(); err != nil {
		t.Fatal(err)
	}
	if msg, err := sub.ReceiveMessage(ctx); err != nil || msg.Payload != "hello" {
		t.Fatalf("the subscriber does not: %v, %v", msg, err)
	}
	s.KillClients("pubsub")
	ping(t, client)
	if msg, err := sub.Receive(ctx); err == nil {
		t.Fatalf("the subscriber lives: %v", msg)
	}
}

func TestKillClientsEvery(t *testing.T) {
	s := redistest.Real(t)
	client := s.NewClient(t, brisk)
	ping(t, client)
	conn := client.(*redis.Client).Conn()
	defer conn.Close()
	stop := s.KillClientsEvery(time.Millisecond, "normal")
	for range 3 {
		redistest.Eventually(t, patience, func() error {
			if conn.Ping(t.Context()).Err() == nil {
				return errors.New("it lives")
			}
			return nil
		})
		_ = conn.Close()
		conn = client.(*redis.Client).Conn()
	}
	stop()
	conn = client.(*redis.Client).Conn()
	redistest.Eventually(t, patience, func() error { return client.Ping(t.Context()).Err() })
}

func TestScriptFlush(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		ctx, client := t.Context(), s.NewClient(t)
		cached := func() error {
			return client.EvalSha(ctx, redis.NewScript("return 1").Hash(), []string{"key"}).Err()
		}
		load := func() {
			if err := client.Eval(ctx, "return 1", []string{"key"}).Err(); err != nil {
				t.Fatal(err)
			}
		}
		load()
		if err := cached(); err != nil {
			t.Fatal(err)
		}
		s.ScriptFlush()
		if err := cached(); !redis.HasErrorPrefix(err, "NOSCRIPT") {
			t.Fatalf("not flushed: %v", err)
		}
		if !s.Real() {
			return
		}
		load()
		stop := s.ScriptFlushEvery(time.Millisecond)
		redistest.Eventually(t, patience, func() error {
			if cached() == nil {
				return errors.New("cached")
			}
			return nil
		})
		stop()
		load()
		if err := cached(); err != nil {
			t.Fatalf("it goes on: %v", err)
		}
	})
}

func TestRepeatedFaultThatNeverPasses(t *testing.T) {
	failed := failure(t, func(t testing.TB) {
		s := redistest.Real(t)
		s.KillClientsEvery(time.Millisecond, "nonsense")
		redistest.Eventually(t, patience, func() error {
			info, err := s.NewClient(t).Info(context.Background(), "commandstats").Result()
			if err == nil && !strings.Contains(info, "cmdstat_client|kill") {
				err = errors.New("not tried")
			}
			return err
		})
	})
	if !strings.Contains(failed, "Unknown client type") {
		t.Fatalf("%q", failed)
	}
}

func TestSlowLogAndCPU(t *testing.T) {
	s := redistest.Real(t)
	ctx, client := t.Context(), s.NewClient(t)
	log := s.SlowLog(10 * time.Millisecond)
	if slow := log.Longest(); slow.Took != 0 {
		t.Fatalf("slow before anything: %v", slow)
	}
	before := s.CPU()
	spin := `local t = redis.call("TIME")
		local stop = t[1] * 1000 + t[2] / 1000 + ARGV[1]
		repeat t = redis.call("TIME") until t[1] * 1000 + t[2] / 1000 > stop`
	for _, ms := range []int{30, 60, 15} {
		if err := client.Eval(ctx, spin, []string{"room"}, ms).Err(); err != nil && !errors.Is(err, redis.Nil) {
			t.Fatal(err)
		}
	}
	if err := client.Do(ctx, "DEBUG", "SLEEP", "0.2").Err(); err != nil {
		t.Fatal(err)
	}
	slow := log.Longest()
	if slow.Took < 60*time.Millisecond || !strings.EqualFold(slow.Args[0], "EVAL") || slow.Args[3] != "room" {
		t.Fatalf("the slowest: %v", slow)
	}
	if used := s.CPU() - before; used <= 0 {
		t.Fatalf("used %v", used)
	}
}

func TestFaultsThatMiniredisLacks(t *testing.T) {
	failed := failure(t, func(t testing.TB) { redistest.Mini(t).ReadOnly() })
	if failed != "needs a real server" {
		t.Fatalf("%q", failed)
	}
}
