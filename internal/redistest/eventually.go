package redistest

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// The wait between two looks of Eventually doubles from the first to the last.
const (
	firstPoll = time.Millisecond
	lastPoll  = 50 * time.Millisecond
)

// Eventually calls condition until it returns nil, and fails the test with its
// last error once timeout has passed. Inside a [Bubble] that is fake time.
//
// Condition runs on the test's goroutine and is called at least once.
func Eventually(t testing.TB, timeout time.Duration, condition func() error) {
	t.Helper()
	if err := poll(timeout, condition); err != nil {
		t.Fatalf("not within %v: %v", timeout, err)
	}
}

// stopPolling wraps an error that no waiting will mend.
type stopPolling struct{ error }

func (e stopPolling) Unwrap() error { return e.error }

// poll is Eventually without a test.
func poll(timeout time.Duration, condition func() error) error {
	deadline := time.Now().Add(timeout)
	for wait := firstPoll; ; wait = min(2*wait, lastPoll) {
		err := condition()
		if errors.As(err, &stopPolling{}) {
			return err
		}
		if err == nil || !time.Now().Before(deadline) {
			return err
		}
		time.Sleep(min(wait, time.Until(deadline)))
	}
}

// Advance lets d of fake time pass and then waits until all goroutines of the
// bubble are idle, so that what was due has been done. It panics outside a
// [Bubble].
func Advance(t testing.TB, d time.Duration) {
	t.Helper()
	synctest.Wait()
	time.Sleep(d)
	synctest.Wait()
}
