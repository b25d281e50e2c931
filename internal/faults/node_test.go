package faults_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// The times of a node are short, so that a row takes seconds, and long enough for
// a busy machine.
const (
	lease  = 2 * time.Second
	maxAge = 6 * time.Second
	flush  = 400 * time.Millisecond
	sweep  = 300 * time.Millisecond
	pool   = 10 // connections to Redis
)

// callTime is how long an application's call may take, and callBound how long it
// then takes at most on a busy machine.
const (
	callTime  = 2 * time.Second
	callBound = callTime + 4*time.Second
)

var rooms = []string{"lobby", "garden"}

// nodeArgs are what a node is started with.
type nodeArgs struct {
	Addrs      []string
	Cluster    bool
	MasterName string // if the addresses are those of sentinels
	Routes     map[string]string
	ID         string
	Rooms      []string // that it watches
	MaxAge     time.Duration
	Sweep      time.Duration
	Drain      time.Duration // the grace at its end; 0: all leave
	Quiet      bool          // it tells of nothing but what is wrong
}

// event is what a node tells of. Times are in µs of the machine's clock.
type event struct {
	At       int64
	Kind     string   // came, going, diff, change, stalled, closing, closed, refused or wrong
	Room     string   `json:",omitempty"`
	Channel  string   `json:",omitempty"`
	Added    []string `json:",omitempty"`
	Removed  []string `json:",omitempty"` // "channel reason"
	UserWent []string `json:",omitempty"`
	Revision int64    `json:",omitempty"` // of what stalled or closed: µs that it took
	Text     string   `json:",omitempty"`
}

// node is the child process.
type node struct {
	parent  *redistest.Parent
	args    nodeArgs
	layer   *groups.Layer
	tracker *presence.Tracker
	pruner  *prune.Pruner
	ctx     context.Context // until it is told to end
	work    sync.WaitGroup
	calm    context.CancelFunc
	loading sync.WaitGroup

	mu      sync.Mutex
	people  map[string]*person           // by channel: who is connected
	told    map[string]map[string]string // by room: what the diffs add up to
	watched map[string]*presence.Watcher
	longest time.Duration
	slowest string

	clock   sync.WaitGroup // which is watched until the node has ended
	unwatch context.CancelFunc
	stood   atomic.Int64 // ns in which this process stood still
}

func (n *node) emit(e event) {
	if n.args.Quiet && slices.Contains([]string{"came", "going", "diff", "change"}, e.Kind) {
		return
	}
	e.At = time.Now().UnixMicro()
	n.parent.Emit(e)
}

func (n *node) wrong(format string, args ...any) {
	n.emit(event{Kind: "wrong", Text: fmt.Sprintf(format, args...)})
}

func nodeMain(ctx context.Context, p *redistest.Parent) error {
	n := &node{parent: p, ctx: ctx, people: map[string]*person{}, told: map[string]map[string]string{}, watched: map[string]*presence.Watcher{}}
	if err := p.Args(&n.args); err != nil {
		return err
	}
	opts := &redis.UniversalOptions{
		Addrs: n.args.Addrs, IsClusterMode: n.args.Cluster, MasterName: n.args.MasterName, ContextTimeoutEnabled: true,
		PoolSize: pool, DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
	}
	redis.SetLogger(quiet{})
	redistest.Via(n.args.Routes)(opts)
	client := redis.NewUniversalClient(opts)
	defer client.Close()
	log, err := zap.NewDevelopment(zap.WithCaller(false), zap.AddStacktrace(zap.FatalLevel))
	if err != nil {
		return err
	}
	if n.layer, err = groups.New(ctx, client, &groups.Options{NodeID: n.args.ID, Linger: time.Second, Logger: log}); err != nil {
		return err
	}
	n.tracker, err = presence.New(ctx, n.layer, &presence.Options{
		Lease: lease, MaxAge: n.args.MaxAge, FlushInterval: flush, OnChange: n.changed,
	})
	if err != nil {
		_ = n.layer.Close(ctx)
		if errors.Is(err, presence.ErrNodeTaken) {
			n.emit(event{Kind: "refused"})
			return nil
		}
		return err
	}
	if n.pruner, err = prune.New(n.tracker, &prune.Options{Interval: n.args.Sweep, Logger: log}); err != nil {
		return err
	}
	n.work.Go(func() { _ = n.pruner.Run(ctx) }) // its only error is the context's
	n.work.Go(n.touching)
	watching, unwatch := context.WithCancel(context.Background())
	n.unwatch = unwatch
	n.clock.Go(func() { n.watchClock(watching) })
	for _, room := range n.args.Rooms {
		if err := n.watch(room); err != nil {
			return err
		}
	}
	n.handle()
	if err := p.Serve(ctx); err != nil {
		return err
	}
	return n.end()
}

// quiet keeps the client's lines, one for each refusal, out of the log.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func (n *node) handle() {
	redistest.Handle(n.parent, "ready", func(context.Context, int) (string, error) { return n.layer.NodeID(), nil })
	redistest.Handle(n.parent, "join", func(_ context.Context, j joining) (string, error) { return n.join(j) })
	redistest.Handle(n.parent, "leave", func(_ context.Context, l leaving) (int, error) { return 0, n.leave(l) })
	redistest.Handle(n.parent, "crowd", func(_ context.Context, c crowd) (int, error) { return 0, n.crowd(c) })
	redistest.Handle(n.parent, "load", func(_ context.Context, every time.Duration) (int, error) { n.load(every); return 0, nil })
	redistest.Handle(n.parent, "hold", func(_ context.Context, connections int) (int, error) { return 0, n.hold(connections) })
	redistest.Handle(n.parent, "census", func(context.Context, int) (map[string]int, error) { return n.census(), nil })
	redistest.Handle(n.parent, "calm", func(context.Context, int) (int, error) { n.stopLoad(); return 0, nil })
	redistest.Handle(n.parent, "empty", func(context.Context, int) (int, error) { return 0, n.empty() })
	redistest.Handle(n.parent, "send", func(ctx context.Context, s sending) (int, error) { return 0, n.send(ctx, s) })
	redistest.Handle(n.parent, "report", func(ctx context.Context, _ int) (report, error) { return n.report(ctx) })
	redistest.Handle(n.parent, "used", func(context.Context, int) (used, error) { return n.used(), nil })
	redistest.Handle(n.parent, "health", func(context.Context, int) (string, error) { return string(n.tracker.Health().State), nil })
}

// end shuts the node down, as a deploy does.
func (n *node) end() error {
	n.emit(event{Kind: "closing"})
	start, stood := time.Now(), n.stood.Load()
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	var err error
	if n.args.Drain > 0 {
		err = n.tracker.Drain(ctx, n.args.Drain)
	} else {
		err = n.tracker.Close(ctx)
	}
	if again := n.tracker.Close(ctx); again != nil {
		n.wrong("closed twice: %v", again)
	}
	_ = n.layer.Close(ctx)
	_ = n.layer.Close(ctx)
	n.stopLoad()
	n.work.Wait()
	took := time.Since(start)
	if took > callBound {
		last(2 * tick)
		took -= time.Duration(n.stood.Load() - stood)
	}
	n.unwatch()
	n.clock.Wait()
	n.emit(event{Kind: "closed", Text: fmt.Sprint(err), Revision: took.Microseconds()})
	if took > callBound {
		n.wrong("closing took %v", took)
	}
	return nil
}

// changed notes what the change handler is told.
func (n *node) changed(_ context.Context, _ *presence.Tracker, c presence.Change) {
	e := event{Kind: "change", Room: c.Room, Revision: int64(c.Counts.Revision), UserWent: c.UsersWent}
	for _, p := range c.Added {
		e.Added = append(e.Added, p.Channel)
	}
	for _, d := range c.Removed {
		e.Removed = append(e.Removed, d.Channel+" "+d.Reason.String())
	}
	if len(e.Added)+len(e.Removed) > 0 {
		n.emit(e)
	}
}

// stall is for how long a process must stand still for others to rightly take it
// for lost: it signs its lease three times in the time of one.
const stall = lease / 2

const tick = stall / 20 // of who looks for that

// watchClock tells of times in which the machine did not let this process run.
func (n *node) watchClock(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for last := time.Now(); ; last = time.Now() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		took := time.Since(last)
		if took > 2*tick {
			n.stood.Add(int64(took))
		}
		if took > stall {
			n.emit(event{Kind: "stalled", Revision: took.Microseconds()})
		}
	}
}

// used is what a process takes of its machine.
type used struct {
	Goroutines, Files int
	Heap              uint64
	Longest           time.Duration
	Slowest           string
}

func (n *node) used() used {
	runtime.GC()
	runtime.GC() // what the first one has found in pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, _ := os.ReadDir("/proc/self/fd")
	n.mu.Lock()
	defer n.mu.Unlock()
	return used{runtime.NumGoroutine(), len(files), m.HeapAlloc, n.longest, n.slowest}
}

// report is all that a node knows: its own connections, and what it takes the
// rooms for, by channel with "user info".
type report struct {
	Own   map[string]map[string]string
	Rooms map[string]roomReport
}

type roomReport struct {
	Redis, View, Told map[string]string
	Counts, InView    string
}

func (n *node) report(ctx context.Context) (report, error) {
	r := report{Own: map[string]map[string]string{}, Rooms: map[string]roomReport{}}
	for _, room := range n.args.Rooms {
		s, err := n.tracker.Snapshot(ctx, room)
		if err != nil {
			return r, err
		}
		n.mu.Lock()
		w, told := n.watched[room], maps.Clone(n.told[room])
		own := map[string]string{}
		for channel, p := range n.people {
			if slices.Contains(p.rooms, room) {
				own[channel] = p.user + " " + p.info[room]
			}
		}
		n.mu.Unlock()
		view := w.Snapshot()
		r.Own[room] = own
		r.Rooms[room] = roomReport{members(s), members(view), told, counts(s.Counts), counts(w.Counts())}
	}
	return r, nil
}

func members(s presence.Snapshot) map[string]string {
	m := make(map[string]string, len(s.Presences))
	for _, p := range s.Presences {
		m[p.Channel] = who(p)
	}
	return m
}

func who(p presence.Presence) string { return p.User + " " + string(p.Info) }

func counts(c presence.Counts) string {
	return fmt.Sprintf("%d presences, %d users, %d anonymous", c.Presences, c.Users, c.Anonymous)
}

// countOf is what counts must be of these members.
func countOf(members map[string]string) string {
	users, anonymous := map[string]bool{}, 0
	for _, m := range members {
		if user, _, _ := strings.Cut(m, " "); user == "" {
			anonymous++
		} else {
			users[user] = true
		}
	}
	return fmt.Sprintf("%d presences, %d users, %d anonymous", len(members), len(users), anonymous)
}
