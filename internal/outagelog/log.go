// Package outagelog keeps the log of an outage short: a line when something goes away,
// one each minute while it stays away, and one when it is back, however many tries
// there are in between. What goes away together shares a line.
package outagelog

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Remind is how often a lasting outage is logged.
const Remind = time.Minute

// Options of a Log.
type Options struct {
	Logger *zap.Logger
	Field  string        // of the names of what is away, or back
	Away   string        // the message, a warning
	Back   string        // the message, an info
	Gather time.Duration // how long to wait for others before a line is written
	// Forget is how long after its last try something is no longer wanted. Zero means
	// never.
	Forget time.Duration
}

// Log is safe for concurrent use. It writes while Run does.
type Log[K cmp.Ordered] struct {
	opts Options
	news chan struct{}

	mu    sync.Mutex
	away  map[K]*absence
	fresh map[K]error         // went away since the last line, maybe back again
	back  map[K]time.Duration // came back since the last line, with how long each was away
}

// absence is the absence of one thing.
type absence struct {
	since, tried time.Time
	cause        error
}

// New returns a Log.
func New[K cmp.Ordered](o Options) *Log[K] {
	return &Log[K]{
		opts: o, news: make(chan struct{}, 1),
		away: make(map[K]*absence), fresh: make(map[K]error), back: make(map[K]time.Duration),
	}
}

// Away notes that something did not answer.
func (l *Log[K]) Away(name K, cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	a := l.away[name]
	if a == nil {
		a = &absence{since: now}
		l.away[name], l.fresh[name] = a, cause
		l.wake()
	}
	a.tried, a.cause = now, cause
}

// Back notes that something answers.
func (l *Log[K]) Back(name K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.away[name]; a != nil {
		delete(l.away, name)
		l.back[name] = time.Since(a.since)
		l.wake()
	}
}

func (l *Log[K]) wake() {
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// Run writes the log until ctx ends.
func (l *Log[K]) Run(ctx context.Context) {
	timer := time.NewTimer(Remind)
	defer timer.Stop()
	for {
		remind := true
		select {
		case <-l.news:
			remind = false
			timer.Reset(l.opts.Gather)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		l.tell(remind)
		timer.Reset(Remind)
	}
}

func (l *Log[K]) tell(remind bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.news: // these lines include it
	default:
	}
	now := time.Now()
	for name, a := range l.away {
		if l.opts.Forget > 0 && now.Sub(a.tried) > l.opts.Forget {
			delete(l.away, name)
		}
	}
	if remind || len(l.fresh) > 0 {
		l.tellAway(now)
	}
	if len(l.back) > 0 {
		l.opts.Logger.Info(l.opts.Back, zap.Any(l.opts.Field, slices.Sorted(maps.Keys(l.back))),
			zap.Duration("after", slices.Max(slices.Collect(maps.Values(l.back)))))
	}
	clear(l.fresh)
	clear(l.back)
}

// tellAway logs everything that is away or was since the last line, with the first
// cause.
func (l *Log[K]) tellAway(now time.Time) {
	causes, longest := maps.Clone(l.fresh), time.Duration(0)
	for name, a := range l.away {
		causes[name], longest = a.cause, max(longest, now.Sub(a.since))
	}
	if len(causes) == 0 {
		return
	}
	names := slices.Sorted(maps.Keys(causes))
	l.opts.Logger.Warn(l.opts.Away, zap.Any(l.opts.Field, names), zap.Duration("for", longest), zap.Error(causes[names[0]]))
}
