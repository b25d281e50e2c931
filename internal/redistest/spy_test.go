package redistest_test

import (
	"fmt"
	"runtime"
	"testing"
)

// A spy is a test within a test, which may fail.
type spy struct {
	testing.TB
	failed   string // how, if it did
	cleanups []func()
}

func (s *spy) Cleanup(f func())               { s.cleanups = append(s.cleanups, f) }
func (s *spy) Errorf(format string, a ...any) { s.failed = fmt.Sprintf(format, a...) }
func (s *spy) Fatalf(format string, a ...any) { s.Errorf(format, a...); runtime.Goexit() }
func (s *spy) Fatal(a ...any)                 { s.Errorf("%s", fmt.Sprint(a...)); runtime.Goexit() }
func (s *spy) Failed() bool                   { return s.failed != "" }
func (s *spy) Logf(string, ...any)            {}
func (s *spy) Helper()                        {}

// failure runs a test within t and returns how it failed, "" if it did not.
func failure(t testing.TB, test func(t testing.TB)) string {
	s := &spy{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for i := len(s.cleanups) - 1; i >= 0; i-- {
				s.cleanups[i]()
			}
		}()
		test(s)
	}()
	<-done
	return s.failed
}
