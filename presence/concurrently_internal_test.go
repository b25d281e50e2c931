package presence

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestConcurrentlyIsBoundedAndReturnsTheFirstError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun, ended atomic.Int64
		proceed, failed := make(chan struct{}), make(chan error)
		items := make([]int, maxOps+10)
		go func() {
			failed <- concurrently(t.Context(), items, func(int) error {
				begun.Add(1)
				<-proceed
				return fmt.Errorf("%d", ended.Add(1))
			})
		}()
		synctest.Wait()
		if n := begun.Load(); n != maxOps {
			t.Errorf("%d at a time", n)
		}
		for range items {
			proceed <- struct{}{}
			synctest.Wait()
		}
		if err := <-failed; err == nil || err.Error() != "1" || ended.Load() != int64(len(items)) {
			t.Errorf("%v after %d", err, ended.Load())
		}
	})
}

func TestConcurrentlyEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var calls atomic.Int64
	err := concurrently(ctx, make([]int, 10*maxOps), func(int) error {
		calls.Add(1)
		cancel()
		return nil
	})
	if n := calls.Load(); !errors.Is(err, context.Canceled) || n == 0 || n > 2*maxOps {
		t.Errorf("%v after %d", err, n)
	}
	if err := concurrently(ctx, []int(nil), func(int) error { return nil }); err != nil {
		t.Errorf("without items: %v", err)
	}
}
