package outagelog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/rollcall-go/rollcall/internal/outagelog"
)

// run has f do things to a Log, a second being what it gathers.
func run(t *testing.T, forget time.Duration, f func(l *outagelog.Log[int], expect func(lines ...string))) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.DebugLevel)
		l := outagelog.New[int](outagelog.Options{
			Logger: zap.New(core), Field: "shards", Away: "away", Back: "back", Gather: time.Second, Forget: forget,
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); l.Run(ctx) }()
		f(l, func(want ...string) {
			t.Helper()
			var got []string
			for _, e := range logs.TakeAll() {
				m := e.ContextMap()
				line := fmt.Sprint(e.Level, " ", e.Message, " ", m["shards"])
				for _, field := range []string{"for", "after", "error"} {
					if v, ok := m[field]; ok {
						line += fmt.Sprint(" ", v)
					}
				}
				got = append(got, line)
			}
			if !slices.Equal(got, want) {
				t.Errorf("have %q, want %q", got, want)
			}
		})
		cancel()
		<-done
	})
}

var errDown, errOther = errors.New("down"), errors.New("other")

func TestAnOutageIsALineAtItsBeginEachMinuteAndAtItsEnd(t *testing.T) {
	run(t, 0, func(l *outagelog.Log[int], expect func(...string)) {
		l.Back(1)                                   // it was never away
		time.Sleep(10*time.Minute + 10*time.Second) // not just when a reminder would be due
		expect()
		for range 2*60*4 + 20 { // each tries four times a second
			for _, shard := range []int{4, 2, 3} {
				l.Away(shard, errDown)
			}
			time.Sleep(250 * time.Millisecond)
		}
		expect("warn away [2 3 4] 1s down", "warn away [2 3 4] 1m1s down", "warn away [2 3 4] 2m1s down")
		l.Back(2)
		l.Back(4)
		time.Sleep(500 * time.Millisecond)
		l.Away(7, errOther)
		time.Sleep(time.Second)
		expect("warn away [3 7] 2m6s down", "info back [2 4] 2m5s")
		l.Back(3)
		time.Sleep(2 * time.Second)
		expect("info back [3] 2m6.5s")
		l.Back(7)
		time.Sleep(time.Hour)
		expect("info back [7] 3s")
	})
}

func TestAShortOutageIsToldOf(t *testing.T) {
	run(t, 0, func(l *outagelog.Log[int], expect func(...string)) {
		l.Away(1, errDown)
		time.Sleep(time.Millisecond)
		l.Back(1)
		time.Sleep(time.Hour)
		expect("warn away [1] 0s down", "info back [1] 1ms")
	})
}

func TestWhatNobodyTriesIsNotAway(t *testing.T) {
	run(t, 3*time.Minute, func(l *outagelog.Log[int], expect func(...string)) {
		l.Away(1, errDown)
		time.Sleep(time.Hour)
		expect("warn away [1] 1s down", "warn away [1] 1m1s down", "warn away [1] 2m1s down")
		l.Back(1)
		l.Away(2, errDown)
		time.Sleep(2 * time.Second)
		expect("warn away [2] 1s down")
	})
}
