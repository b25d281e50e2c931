package clusterbench

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/nodetest"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

func TestMain(m *testing.M) { redistest.Main(m) }

const (
	rooms   = 512
	callers = 1024
	touched = 500 // channels in a call
	piped   = 100 // messages in a pipeline
)

// BenchmarkOperations has joins, leaves, sends and touches of 512 rooms, by 1,024
// callers at a time of one node, who share scripts, and by one, who shares none, on one
// Redis and on clusters of one to three masters.
func BenchmarkOperations(b *testing.B) {
	for _, of := range []struct {
		name  string
		start func(b *testing.B) *redistest.Server
	}{
		{"redis", func(b *testing.B) *redistest.Server { return redistest.Real(b) }},
		{"masters=1", func(b *testing.B) *redistest.Server { return redistest.ClusterOf(b, 1) }},
		{"masters=2", func(b *testing.B) *redistest.Server { return redistest.ClusterOf(b, 2) }},
		{"masters=3", func(b *testing.B) *redistest.Server { return redistest.ClusterOf(b, 3) }},
	} {
		b.Run(of.name, func(b *testing.B) {
			s := of.start(b)
			n := newNode(b, s)
			b.Run("join", func(b *testing.B) { n.joins(b, s, callers) })
			b.Run("join-alone", func(b *testing.B) { n.joins(b, s, 1) })
			b.Run("leave", func(b *testing.B) { n.leaves(b, s, callers) })
			b.Run("leave-alone", func(b *testing.B) { n.leaves(b, s, 1) })
			b.Run("send", func(b *testing.B) { n.sends(b, s, callers) })
			b.Run("send-alone", func(b *testing.B) { n.sends(b, s, 1) })
			b.Run("touch", func(b *testing.B) { n.touches(b, s) })
		})
	}
}

type node struct {
	*nodetest.Node
	names []string
}

func newNode(b *testing.B, s *redistest.Server) *node {
	b.Helper()
	n := &node{}
	for i := range rooms {
		n.names = append(n.names, "room "+strconv.Itoa(i))
	}
	n.Node = nodetest.Start(b, s.NewClient(b), nodetest.Options{MayFail: true})
	return n
}

// joins measures how new channels come.
func (n *node) joins(b *testing.B, s *redistest.Server, callers int) {
	channels := n.channels(b)
	m := run(b, s, callers, n.enter(channels))
	m.reportMemory(b, b.N)
	b.StopTimer()
	parallel(b, b.N, n.leave(channels))
}

// leaves measures how they go, one room each.
func (n *node) leaves(b *testing.B, s *redistest.Server, callers int) {
	channels := n.channels(b)
	parallel(b, b.N, n.enter(channels))
	run(b, s, callers, n.leave(channels))
}

func (n *node) channels(b *testing.B) []string {
	b.Helper()
	names := make([]string, b.N)
	for i := range names {
		names[i] = n.Open(b).Name()
	}
	return names
}

// enter adds a channel to a room, with an info of 64 bytes and a user of its own.
func (n *node) enter(channels []string) func(ctx context.Context, i int) error {
	info := make([]byte, 64)
	return func(ctx context.Context, i int) error {
		_, _, err := n.Add(ctx, n.names[i%rooms], channels[i], presence.Member{User: "user " + channels[i], Info: info})
		return err
	}
}

func (n *node) leave(channels []string) func(ctx context.Context, i int) error {
	return func(ctx context.Context, i int) error {
		_, err := n.LeaveAll(ctx, channels[i], presence.Left)
		return err
	}
}

// sends sends 64 bytes to a group that this node hears.
func (n *node) sends(b *testing.B, s *redistest.Server, callers int) {
	ch := n.Open(b)
	for _, name := range n.names {
		if err := n.Layer.GroupAdd(b.Context(), name, ch.Name()); err != nil {
			b.Fatal(err)
		}
	}
	m := groups.Message{Type: "line", Payload: make([]byte, 64)}
	run(b, s, callers, func(ctx context.Context, i int) error { return n.Layer.GroupSend(ctx, n.names[i%rooms], m) })
	b.StopTimer()
	_ = ch.Close()
}

// touches writes when channels were last seen, 500 in a call, as a node does that
// has so many in a shard.
func (n *node) touches(b *testing.B, s *redistest.Server) {
	store := n.Store()
	shorts := make([]string, touched)
	var members []redis.Z
	for i := range shorts {
		shorts[i] = strconv.Itoa(i)
		members = append(members, redis.Z{Member: shorts[i]})
	}
	for shard := range store.Shards() {
		if err := store.Client().ZAdd(b.Context(), store.Presences(shard, "another"), members...).Err(); err != nil {
			b.Fatal(err)
		}
	}
	calls := max(store.Shards(), b.N/touched)
	m := newMeter(b, s)
	parallel(b, calls, func(ctx context.Context, i int) error {
		_, err := store.Touch(ctx, i%store.Shards(), "another", shorts)
		return err
	})
	m.report(b, calls*touched)
	b.StopTimer()
	for shard := range store.Shards() {
		store.Client().Del(context.Background(), store.Presences(shard, "another"))
	}
}

// BenchmarkMessage publishes on 16 topics, each with one subscriber, in pipelines
// of 100: on topics of sharded pub/sub, as rollcall does on a cluster, and on plain
// ones, which each master passes on to all others.
func BenchmarkMessage(b *testing.B) {
	for _, masters := range []int{1, 2, 3} {
		b.Run(fmt.Sprint("masters=", masters), func(b *testing.B) {
			s := redistest.ClusterOf(b, masters)
			of := make([]*redis.Client, masters)
			for i, addr := range s.Addrs {
				of[i] = redis.NewClient(&redis.Options{Addr: addr})
				b.Cleanup(func() { _ = of[i].Close() })
			}
			var topics []string
			var owners []*redis.Client
			for i := range 16 {
				topics = append(topics, fmt.Sprint("topic ", i))
				owners = append(owners, of[s.Owner(s.Slot(topics[i]))])
			}
			data := make([]byte, 64)
			for _, kind := range []string{"sharded", "plain"} {
				b.Run(kind, func(b *testing.B) {
					for i, topic := range topics {
						if kind == "sharded" {
							drain(b, owners[i].SSubscribe(b.Context(), topic))
						} else {
							drain(b, owners[i].Subscribe(b.Context(), topic))
						}
					}
					m := newMeter(b, s)
					parallel(b, b.N/piped, func(ctx context.Context, i int) error {
						pipe := owners[i%16].Pipeline()
						for range piped {
							if kind == "sharded" {
								pipe.SPublish(ctx, topics[i%16], data)
							} else {
								pipe.Publish(ctx, topics[i%16], data)
							}
						}
						_, err := pipe.Exec(ctx)
						return err
					})
					m.report(b, b.N/piped*piped)
				})
			}
		})
	}
}

// BenchmarkFanout publishes 250 bytes, as many as the event of a join has, on a
// topic that so many connections hear: in pipelines of 100, of which each connection is
// sent all at once, and alone.
func BenchmarkFanout(b *testing.B) {
	s := redistest.ClusterOf(b, 1)
	c := redis.NewClient(&redis.Options{Addr: s.Addrs[0]})
	b.Cleanup(func() { _ = c.Close() })
	data := make([]byte, 250)
	for _, subscribers := range []int{1, 16, 64} {
		for kind, piped := range map[string]int{"piped": piped, "alone": 1} {
			b.Run(fmt.Sprintf("subscribers=%d/%s", subscribers, kind), func(b *testing.B) {
				topic := fmt.Sprint("topic of ", subscribers)
				for range subscribers {
					drain(b, c.SSubscribe(b.Context(), topic))
				}
				m := newMeter(b, s)
				for range b.N / piped {
					pipe := c.Pipeline()
					for range piped {
						pipe.SPublish(b.Context(), topic, data)
					}
					if _, err := pipe.Exec(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				m.report(b, b.N/piped*piped)
			})
		}
	}
}

// BenchmarkMigration moves a shard to another master, with rooms of a hundred: for
// so long it is away.
func BenchmarkMigration(b *testing.B) {
	s := redistest.ClusterOf(b, 2)
	n := newNode(b, s)
	store := n.Store()
	var names []string
	for i := 0; len(names) < max(1, b.N/100); i++ {
		if name := fmt.Sprint("room ", i); store.Shard(name) == 0 {
			names = append(names, name)
		}
	}
	parallel(b, b.N, func(ctx context.Context, i int) error {
		ch, err := n.Layer.NewChannel()
		if err == nil {
			m := presence.Member{User: "user " + ch.Name(), Info: make([]byte, 64)}
			_, _, err = n.Add(ctx, names[i%len(names)], ch.Name(), m)
		}
		return err
	})
	slot := s.Slot(store.Meta(0))
	b.ResetTimer()
	s.MigrateSlot(slot, (s.Owner(slot)+1)%2)
	b.StopTimer()
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N), "us/presence")
	b.ReportMetric(0, "ns/op")
}

func drain(b *testing.B, ps *redis.PubSub) {
	b.Helper()
	if _, err := ps.Receive(b.Context()); err != nil {
		b.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			if _, err := ps.Receive(context.Background()); err != nil {
				return
			}
		}
	})
	b.Cleanup(func() {
		_ = ps.Close()
		work.Wait()
	})
}

// run measures b.N calls, so many at a time.
func run(b *testing.B, s *redistest.Server, callers int, f func(ctx context.Context, i int) error) meter {
	b.Helper()
	m := newMeter(b, s)
	rounds(b, b.N, callers, f)
	m.report(b, b.N)
	return m
}

// parallel makes n calls, 1,024 at a time.
func parallel(b *testing.B, n int, f func(ctx context.Context, i int) error) {
	b.Helper()
	rounds(b, n, callers, f)
}

// rounds makes n calls. All of a round begin together, so that they share as many calls
// of Redis however fast that is.
func rounds(b *testing.B, n, callers int, f func(ctx context.Context, i int) error) {
	b.Helper()
	for first := 0; first < n; first += callers {
		var work sync.WaitGroup
		for i := first; i < min(n, first+callers); i++ {
			work.Go(func() {
				if err := f(context.Background(), i); err != nil {
					b.Error(err)
				}
			})
		}
		work.Wait()
	}
}

// usage is what each master has used so far.
type usage struct {
	cpu    time.Duration
	net    int64 // bytes from and to clients
	memory int64
}

type meter struct {
	s      *redistest.Server
	before []usage
}

func newMeter(b *testing.B, s *redistest.Server) meter {
	b.Helper()
	return meter{s, read(b, s)}
}

func read(b *testing.B, s *redistest.Server) []usage {
	b.Helper()
	var all []usage
	for i := range s.Nodes() {
		node := s.Node(i)
		c := redis.NewClient(&redis.Options{Addr: node.Addrs[0]})
		info, err := c.InfoMap(b.Context()).Result()
		if err != nil {
			b.Fatal(err)
		}
		_ = c.Close()
		number := func(section, name string) int64 {
			n, err := strconv.ParseInt(info[section][name], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
		all = append(all, usage{
			cpu:    node.CPU(),
			net:    number("Stats", "total_net_input_bytes") + number("Stats", "total_net_output_bytes"),
			memory: number("Memory", "used_memory"),
		})
	}
	return all
}

// report tells what n operations have cost since: seconds of CPU for a million, and
// bytes for one.
func (m meter) report(b *testing.B, n int) {
	b.Helper()
	var busiest, all time.Duration
	var net int64
	for i, now := range read(b, m.s) {
		used := now.cpu - m.before[i].cpu
		busiest, all = max(busiest, used), all+used
		net += now.net - m.before[i].net
	}
	million := 1e6 / float64(n)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(busiest.Seconds()*million, "busiest-s/M")
	b.ReportMetric(all.Seconds()*million, "all-s/M")
	b.ReportMetric(float64(net)/float64(n), "net-B/op")
}

// reportMemory tells how many bytes each of n things takes that are new since.
func (m meter) reportMemory(b *testing.B, n int) {
	b.Helper()
	var memory int64
	for i, now := range read(b, m.s) {
		memory += now.memory - m.before[i].memory
	}
	b.ReportMetric(float64(memory)/float64(n), "memory-B/op")
}
