package redistest_test

import "testing"

// A spy is a test within a test, which may fail.
type spy struct {
	testing.TB
	failed   bool
	cleanups []func()
}

func (s *spy) Cleanup(f func())      { s.cleanups = append(s.cleanups, f) }
func (s *spy) Errorf(string, ...any) { s.failed = true }
func (s *spy) Failed() bool          { return s.failed }
func (s *spy) Logf(string, ...any)   {}
func (s *spy) Helper()               {}

// end ends the test within.
func (s *spy) end() {
	for i := len(s.cleanups) - 1; i >= 0; i-- {
		s.cleanups[i]()
	}
}
