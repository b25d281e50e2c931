package presence

import (
	"cmp"
	"context"
	"sync"
)

// concurrently calls f for each item until the context ends, for many at a time so that
// their writes share batches. It returns the first error.
func concurrently[T any](ctx context.Context, items []T, f func(T) error) error {
	var work sync.WaitGroup
	var mu sync.Mutex
	var failed error
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		failed = cmp.Or(failed, err)
	}
	slots := make(chan struct{}, maxOps)
	for _, item := range items {
		slots <- struct{}{}
		if ctx.Err() != nil {
			fail(unavailable(ctx.Err()))
			break
		}
		work.Go(func() {
			defer func() { <-slots }()
			fail(f(item))
		})
	}
	work.Wait()
	return failed
}
