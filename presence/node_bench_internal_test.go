//go:build unix

package presence

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"
)

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What a node takes for each of its connections, in two rooms each: one of a
// hundred, and one that nobody shares. While it is measured nobody comes, goes or
// sends; each connection gives a sign of life every 25 s.
func BenchmarkNode(b *testing.B) {
	for _, connections := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(connections), func(b *testing.B) {
			t, _ := benchFleet(b)
			var bytes, busy float64
			for b.Loop() {
				before := heap()
				channels := occupy(b, t, connections)
				bytes += float64(heap()-before) / float64(connections)

				const measured = 10 * time.Second
				start, used := time.Now(), cpu(b)
				tick := time.NewTicker(100 * time.Millisecond)
				for n := 0; time.Since(start) < measured; n++ {
					for i := n % 250; i < len(channels); i += 250 {
						t.Touch(channels[i])
					}
					<-tick.C
				}
				tick.Stop()
				busy += float64(cpu(b)-used) / float64(time.Since(start))
				leaveAll(b, t, channels)
			}
			b.ReportMetric(bytes/float64(b.N), "bytes/connection")
			b.ReportMetric(100*busy/float64(b.N), "%core")
		})
	}
}

func occupy(b *testing.B, t *Tracker, connections int) []string {
	b.Helper()
	channels := make([]string, connections)
	each(connections, func(i int) {
		ch, err := t.layer.NewChannel()
		if err != nil {
			b.Error(err)
			return
		}
		channels[i] = ch.Name()
		for _, room := range []string{fmt.Sprint("shared ", i/100), fmt.Sprint("own ", i)} {
			if _, _, err := t.Add(b.Context(), room, ch.Name(), Member{User: benchUser(i)}); err != nil {
				b.Error(err)
			}
		}
	})
	return channels
}

func leaveAll(b *testing.B, t *Tracker, channels []string) {
	b.Helper()
	each(len(channels), func(i int) {
		if _, err := t.LeaveAll(b.Context(), channels[i], Left); err != nil {
			b.Error(err)
		}
		if ch, ok := t.layer.Channel(channels[i]); ok {
			_ = ch.Close()
		}
	})
}

// each calls f for each of n, many at a time.
func each(n int, f func(i int)) {
	var work sync.WaitGroup
	slots := make(chan struct{}, 512)
	for i := range n {
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	work.Wait()
}
