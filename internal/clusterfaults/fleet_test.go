package clusterfaults_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/luascripts"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

func TestMain(m *testing.M) {
	logging.Disable() // the client prints a line for each refusal
	redistest.Main(m)
}

// The leases are long for tests, so that a machine that is busy with other suites
// takes no living node for dead.
const (
	lease    = 3 * time.Second
	maxAge   = 20 * time.Second
	sweep    = 200 * time.Millisecond
	hold     = maxAge / 5 // longer than a lease
	patience = 60 * time.Second
	callTime = 2 * time.Second
	// callBound is when a call has ended on a busy machine.
	callBound = 3*callTime + 2*time.Second
)

// fleet is some nodes on one cluster, and who is really connected.
type fleet struct {
	t     *testing.T
	s     *redistest.Server
	times times
	store *luascripts.Store
	rooms []string // one of each shard, by shard
	nodes []*node

	mu     sync.Mutex
	here   map[string]map[string]string // by room and channel: the user of who is there
	strict map[int]bool                 // shards in which nothing may fail
	wrong  []string
	errors map[int]int // by shard: calls that have failed
	calls  map[int]int
	slow   time.Duration // the longest call in a strict shard
}

type times struct{ lease, maxAge time.Duration }

// slow skips a test where only what is fast is asked for.
func slow(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
}

func newFleet(t *testing.T, s *redistest.Server, nodes int) *fleet {
	t.Helper()
	return newFleetWith(t, s, nodes, times{lease, maxAge})
}

func newFleetWith(t *testing.T, s *redistest.Server, nodes int, of times) *fleet {
	t.Helper()
	f := &fleet{t: t, s: s, times: of, here: map[string]map[string]string{}, strict: map[int]bool{}, errors: map[int]int{}, calls: map[int]int{}}
	for range nodes {
		f.nodes = append(f.nodes, f.start())
	}
	for _, n := range f.nodes {
		for _, room := range f.rooms {
			if err := n.watch(room); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 4 {
			var rooms []string
			for j := i; j < len(f.rooms); j += 4 {
				rooms = append(rooms, f.rooms[j])
			}
			if _, err := n.join(user(i), rooms); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.agreed()
	return f
}

func user(i int) string { return []string{"", "ana", "ben", "cyd"}[i%4] }

// start starts a node.
func (f *fleet) start() *node {
	f.t.Helper()
	n := &node{
		fleet: f, client: f.client(),
		told: map[string]map[string]string{}, watched: map[string]*presence.Watcher{},
	}
	n.ctx, n.end = context.WithCancel(context.Background())
	var err error
	if n.layer, err = groups.New(n.ctx, n.client, &groups.Options{Linger: time.Second, Overflow: groups.DropOldest}); err != nil {
		f.t.Fatal(err)
	}
	n.tracker, err = presence.New(n.ctx, n.layer, &presence.Options{Lease: f.times.lease, MaxAge: f.times.maxAge})
	if err != nil {
		_ = n.layer.Close(n.ctx)
		f.t.Fatal(err)
	}
	if n.pruner, err = prune.New(n.tracker, &prune.Options{Interval: sweep}); err != nil {
		f.t.Fatal(err)
	}
	if f.store == nil {
		f.store = n.layer.Store()
		f.rooms = oneOfEach(f.store)
	}
	n.work.Go(func() { _ = n.pruner.Run(n.ctx) }) // its only error is the context's
	n.work.Go(n.touching)
	f.t.Cleanup(n.close)
	return n
}

func (f *fleet) client() redis.UniversalClient {
	return f.s.NewClient(f.t, func(o *redis.UniversalOptions) {
		o.PoolSize, o.ContextTimeoutEnabled = 8, true
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = time.Second, time.Second, time.Second
	})
}

// oneOfEach returns a room of each shard.
func oneOfEach(store *luascripts.Store) []string {
	rooms := make([]string, store.Shards())
	for i, left := 0, len(rooms); left > 0; i++ {
		name := fmt.Sprint("room ", i)
		if at := &rooms[store.Shard(name)]; *at == "" {
			*at = name
			left--
		}
	}
	return rooms
}

// slot is that of a shard.
func (f *fleet) slot(shard int) int { return f.s.Slot(f.store.Meta(shard)) }

// on returns the shards that a master serves.
func (f *fleet) on(master int) (shards []int) {
	for shard := range f.rooms {
		if f.s.Owner(f.slot(shard)) == master {
			shards = append(shards, shard)
		}
	}
	return shards
}

// others are the shards but those.
func (f *fleet) others(hit ...int) (shards []int) {
	for shard := range f.rooms {
		if !slices.Contains(hit, shard) {
			shards = append(shards, shard)
		}
	}
	return shards
}

// mustServe has nothing fail in these shards until end is called.
func (f *fleet) mustServe(shards ...int) (end func()) {
	set := func(strict bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, shard := range shards {
			f.strict[shard] = strict
		}
	}
	set(true)
	return func() { set(false) }
}

func (f *fleet) blame(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.wrong) < 20 {
		f.wrong = append(f.wrong, fmt.Sprintf(format, args...))
	}
}

// load has people come, go and speak everywhere, until it is ended.
func (f *fleet) load() (end func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	var work sync.WaitGroup
	for _, n := range f.nodes {
		for range 2 {
			work.Go(func() { n.churn(ctx) })
		}
		work.Go(func() { n.talk(ctx) })
	}
	end = sync.OnceFunc(func() {
		cancel()
		work.Wait()
	})
	f.t.Cleanup(end)
	return end
}

// lasts lets something last.
func lasts(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// agree compares what each node has with who is connected.
func (f *fleet) agree() error {
	for _, room := range f.rooms {
		ctx, cancel := context.WithTimeout(f.t.Context(), patience)
		s, err := f.nodes[0].tracker.Snapshot(ctx, room)
		cancel()
		if err != nil {
			return err
		}
		f.mu.Lock()
		want := maps.Clone(f.here[room])
		f.mu.Unlock()
		if diff := differ(members(s.Presences), want); diff != "" {
			return fmt.Errorf("Redis, %s in shard %d: %s", room, f.store.Shard(room), diff)
		}
		for i, n := range f.nodes {
			n.mu.Lock()
			told := maps.Clone(n.told[room])
			n.mu.Unlock()
			view := n.watched[room].Snapshot()
			if diff := differ(members(view.Presences), want); diff != "" {
				return fmt.Errorf("the view of node %d, %s in shard %d: %s", i, room, f.store.Shard(room), diff)
			}
			if diff := differ(told, want); diff != "" {
				return fmt.Errorf("what node %d was told, %s in shard %d: %s", i, room, f.store.Shard(room), diff)
			}
			if c := view.Counts; c.Presences != len(want) || c.Healing {
				return fmt.Errorf("node %d counts %+v in %s, want %d", i, c, room, len(want))
			}
		}
	}
	return nil
}

func members(presences []presence.Presence) map[string]string {
	m := make(map[string]string, len(presences))
	for _, p := range presences {
		m[p.Channel] = p.User
	}
	return m
}

func differ(got, want map[string]string) string {
	var wrong []string
	for channel, user := range want {
		if g, ok := got[channel]; !ok || g != user {
			wrong = append(wrong, fmt.Sprintf("lacks %s %q", channel, user))
		}
	}
	for channel, user := range got {
		if _, ok := want[channel]; !ok {
			wrong = append(wrong, fmt.Sprintf("has %s %q", channel, user))
		}
	}
	slices.Sort(wrong)
	if n := len(wrong); n > 4 {
		wrong = append(wrong[:4], fmt.Sprintf("and %d more", n-4))
	}
	if len(wrong) == 0 {
		return ""
	}
	return fmt.Sprint(wrong)
}

// agreed waits until all agree.
func (f *fleet) agreed() {
	f.t.Helper()
	redistest.Eventually(f.t, patience, f.agree)
}

// healed is called when a fault is over, and nobody comes or goes any more: all is
// right, and stays so for longer than a hold. Then the fleet ends.
func (f *fleet) healed() {
	f.t.Helper()
	start := time.Now()
	f.agreed()
	redistest.Eventually(f.t, patience, f.ready)
	took := time.Since(start)
	for until := time.Now().Add(hold + 2*sweep); time.Now().Before(until); lasts(sweep) {
		if err := f.agree(); err != nil {
			f.t.Errorf("not for long: %v", err)
			break
		}
	}
	f.delivered()
	f.check()
	for _, n := range f.nodes {
		n.close()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, text := range f.wrong {
		f.t.Error(text)
	}
	failed, calls := 0, 0
	for shard := range f.rooms {
		failed += f.errors[shard]
		calls += f.calls[shard]
	}
	f.t.Logf("agreed after %v; %d of %d calls failed; the longest where nothing may fail took %v", took, failed, calls, f.slow)
}

// check has the checker look at all that is in Redis.
func (f *fleet) check() {
	f.t.Helper()
	checker, err := prune.NewChecker(f.nodes[0].tracker, &prune.CheckerOptions{Overdue: 5 * lease})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	for problem, err := range checker.Check(ctx) {
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Errorf("the checker finds %v", problem)
	}
}

// delivered sees that what is sent to a room reaches all who are in it.
func (f *fleet) delivered() {
	f.t.Helper()
	for i, n := range f.nodes {
		for _, room := range f.rooms {
			// Redis may confirm a subscription, and then move the slot.
			redistest.Eventually(f.t, patience, func() error { return n.reaches(room, fmt.Sprint("last of ", i), false) })
		}
	}
}

// reaches sends a message to a room, and waits until all there have it, or all who
// are there from the beginning.
func (n *node) reaches(room, kind string, steady bool) error {
	f := n.fleet
	kind = fmt.Sprint(kind, " at ", time.Now().UnixNano())
	ctx, cancel := context.WithTimeout(f.t.Context(), callTime)
	defer cancel()
	if err := n.layer.GroupSend(ctx, room, groups.Message{Type: kind}); err != nil {
		return err
	}
	f.mu.Lock()
	want := maps.Clone(f.here[room])
	f.mu.Unlock()
	for channel := range want {
		p := f.person(channel)
		if steady && (p == nil || len(p.rooms) == 1) {
			continue
		}
		if p == nil {
			return errors.New("who is here has no mailbox")
		}
		if err := p.heard(ctx, kind); err != nil {
			return fmt.Errorf("%s in %s: %w", channel, room, err)
		}
	}
	return nil
}
