package faults_test

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// stay is a channel's time of being connected.
type stay struct {
	of          *member
	came, going int64 // µs
}

// stays returns when each channel was connected, by what the nodes have told.
func (f *fleet) stays() map[string]*stay {
	stays := map[string]*stay{}
	for _, m := range f.nodes {
		end := int64(1<<63 - 1)
		if !m.killed.IsZero() {
			end = m.killed.UnixMicro()
		}
		for _, e := range redistest.Events[event](m.Proc) {
			switch e.Kind {
			case "came":
				stays[e.Channel] = &stay{m, e.At, end}
			case "going":
				if s := stays[e.Channel]; s != nil {
					s.going = min(s.going, e.At)
				}
			case "closing":
				for _, s := range stays {
					if s.of == m {
						s.going = min(s.going, e.At)
					}
				}
				end = min(end, e.At)
			}
		}
	}
	return stays
}

// excuseStalls marks the times in which the machine did not let a node run.
func (f *fleet) excuseStalls() {
	for i, m := range f.nodes {
		for _, e := range redistest.Events[event](m.Proc) {
			if took := time.Duration(e.Revision) * time.Microsecond; e.Kind == "stalled" {
				f.t.Logf("row %s: node %d stood still for %v", f.row, i, took)
				awake := time.UnixMicro(e.At)
				m.excused = append(m.excused, span{awake.Add(-took), awake.Add(2 * lease)})
			}
		}
	}
}

// stood is for how long the machine has not let a node run since a time, but for
// what the test has done to it.
func (m *member) stood(since time.Time) (total time.Duration) {
	for _, e := range redistest.Events[event](m.Proc) {
		if e.Kind == "stalled" && e.At > since.UnixMicro() && !m.isExcused(e.At) {
			total += time.Duration(e.Revision) * time.Microsecond
		}
	}
	return total
}

// stood is that of the node that stood still for longest.
func (f *fleet) stood(since time.Time) (longest time.Duration) {
	for _, m := range f.nodes {
		longest = max(longest, m.stood(since))
	}
	return longest
}

func (m *member) isExcused(at int64) bool {
	t := time.UnixMicro(at)
	return slices.ContainsFunc(m.excused, func(s span) bool { return !t.Before(s.from) && t.Before(s.to) })
}

// judge looks for what no node must have told: what the nodes call wrong
// themselves (I4, I5), a departure of a connection that stayed (I2), and a second
// departure.
func (f *fleet) judge() {
	f.t.Helper()
	f.excuseStalls()
	stays := f.stays()
	type change struct {
		at      int64
		added   bool
		excused bool // a node that was taken for lost may put back many at once, without names
	}
	changes := map[string][]change{}
	for i, m := range f.nodes {
		for _, e := range redistest.Events[event](m.Proc) {
			if e.Kind == "wrong" {
				f.t.Errorf("row %s: node %d: %s", f.row, i, e.Text)
			}
			if e.Kind != "diff" && e.Kind != "change" {
				continue
			}
			for _, removed := range e.Removed {
				channel, why, _ := strings.Cut(removed, " ")
				s := stays[channel]
				if s != nil && e.At >= s.came && e.At < s.going && !s.of.isExcused(e.At) {
					f.t.Errorf("row %s: node %d was told by a %s that %s left %s (%s), who stayed", f.row, i, e.Kind, channel, e.Room, why)
				}
				if e.Kind == "change" {
					changes[e.Room+" "+channel] = append(changes[e.Room+" "+channel], change{e.Revision, false, s != nil && s.of.isExcused(e.At)})
				}
			}
			for _, channel := range e.Added {
				if e.Kind == "change" {
					changes[e.Room+" "+channel] = append(changes[e.Room+" "+channel], change{at: e.Revision, added: true})
				}
			}
		}
	}
	for who, of := range changes {
		slices.SortStableFunc(of, func(a, b change) int { return cmp.Compare(a.at, b.at) })
		for i := 1; i < len(of) && !f.rewound; i++ {
			if !of[i].added && !of[i-1].added && !of[i-1].excused {
				f.t.Errorf("row %s: a second departure of %s: %v", f.row, who, of)
			}
		}
	}
}

// departures returns how often the members of a node departed and came again, by
// what watches and what handlers were told since a time.
func (f *fleet) departures(of *member, since time.Time, kind string) (left, came map[string]int) {
	stays := f.stays()
	left, came = map[string]int{}, map[string]int{}
	for i, m := range f.nodes {
		for _, e := range redistest.Events[event](m.Proc) {
			if e.Kind != kind || e.At < since.UnixMicro() {
				continue
			}
			by := "" // all together
			if kind == "diff" {
				by = string(rune('0'+i)) + " "
			}
			for _, removed := range e.Removed {
				channel, _, _ := strings.Cut(removed, " ")
				if s := stays[channel]; s != nil && s.of == of {
					left[by+e.Room+" "+channel]++
				}
			}
			for _, channel := range e.Added {
				if s := stays[channel]; s != nil && s.of == of {
					came[by+e.Room+" "+channel]++
				}
			}
		}
	}
	return left, came
}

// checkRedis is called at the end of each row, while people are connected: the
// data must be sound.
func (f *fleet) checkRedis() {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	reader, err := presence.NewReader(ctx, f.client, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	checker, err := prune.NewChecker(reader, &prune.CheckerOptions{Overdue: 5 * lease})
	if err != nil {
		f.t.Fatal(err)
	}
	for problem, err := range checker.Check(ctx) {
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Errorf("row %s: the checker finds %v", f.row, problem)
	}
}

// left finds what is in Redis though nobody is left, but for the settings of a
// shard, and rooms that are yet to be pruned.
func (f *fleet) left(ctx context.Context) {
	f.t.Helper()
	keys, err := keys(ctx, f.client)
	if err != nil {
		f.t.Errorf("row %s: %v", f.row, err)
	}
	for _, key := range keys {
		_, name, _ := strings.Cut(key, "}:")
		kind, _, _ := strings.Cut(name, ":")
		if !slices.Contains([]string{"meta", "rooms", "empty", "room", "sweep"}, kind) {
			f.t.Errorf("row %s: left in Redis: %q", f.row, key)
		}
	}
}

func keys(ctx context.Context, client redis.UniversalClient) ([]string, error) {
	var all []string
	err := masters(ctx, client, func(ctx context.Context, c *redis.Client) error {
		some, err := c.Keys(ctx, "presence:*").Result()
		all = append(all, some...)
		return err
	})
	return all, err
}

// masters calls f with a client of each master, one after the other.
func masters(ctx context.Context, client redis.UniversalClient, f func(context.Context, *redis.Client) error) error {
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		return f(ctx, client.(*redis.Client))
	}
	var mu sync.Mutex
	return cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		return f(ctx, c)
	})
}

// statistic adds up numbers of INFO of all masters.
func statistic(ctx context.Context, client redis.UniversalClient, names ...string) (total int, err error) {
	err = masters(ctx, client, func(ctx context.Context, c *redis.Client) error {
		info, err := c.Info(ctx).Result()
		total += sum(info, names...)
		return err
	})
	return total, err
}

func sum(info string, names ...string) (total int) {
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if n, err := strconv.Atoi(value); err == nil && slices.Contains(names, name) {
			total += n
		}
	}
	return total
}
