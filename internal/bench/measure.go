package main

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// metric names what is measured, with its unit.
type metric string

const (
	kops    metric = "k ops/s"
	p50     metric = "p50 µs"
	p99     metric = "p99 µs"
	cpuOp   metric = "Redis CPU µs/op"
	bytesOf metric = "bytes/presence"
	topic   metric = "bytes/topic"
	nsOp    metric = "ns/op"
	allocs  metric = "allocs/op"
)

// sample is what one turn of one side has measured.
type sample map[metric]float64

// work is n times do, by a number of callers at once.
type work struct {
	callers int
	n       int
	do      func(i int) error
}

// run carries the work out and measures it.
func (b *bench) run(ctx context.Context, w work) (sample, error) {
	took := make([][]time.Duration, w.callers)
	for c := range took {
		took[c] = make([]time.Duration, 0, 2*w.n/w.callers+16)
	}
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var callers sync.WaitGroup
	begin := make(chan struct{})
	for c := range w.callers {
		callers.Go(func() {
			<-begin
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= w.n {
					return
				}
				start := time.Now()
				if err := w.do(i); err != nil {
					failed.Store(&err)
					return
				}
				took[c] = append(took[c], time.Since(start))
			}
		})
	}
	before, err := cpu(ctx, b.client)
	if err != nil {
		return nil, err
	}
	start, processBefore := time.Now(), processCPU()
	close(begin)
	callers.Wait()
	elapsed, processed := time.Since(start), processCPU()-processBefore
	after, err := cpu(ctx, b.client)
	if err != nil {
		return nil, err
	}
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	return sample{
		kops:      float64(w.n) / elapsed.Seconds() / 1000,
		p50:       micros(quantile(all, 0.50)),
		p99:       micros(quantile(all, 0.99)),
		processOp: micros(processed) / float64(w.n),
		cpuOp:     micros(after-before) / float64(w.n),
	}, nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// quantile is of a sorted slice.
func quantile[T cmp.Ordered](sorted []T, q float64) T {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// median is by metric.
func median(samples []sample) sample {
	m := sample{}
	for name := range samples[0] {
		var values []float64
		for _, s := range samples {
			values = append(values, s[name])
		}
		slices.Sort(values)
		n := len(values)
		m[name] = (values[(n-1)/2] + values[n/2]) / 2
	}
	return m
}
