// Package nodetest starts nodes for this module's tests: each a layer and a tracker,
// which are closed when the test ends. What its handlers hear, a [Recorder] keeps.
//
//	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
//		n := nodetest.Start(t, s.NewClient(t), nodetest.Options{})
//		channel := n.Enter(t, "lobby", "ann")
//		n.Touch(channel.Name())
//	})
//
// All of it may be called concurrently, except that what takes a test may fail it, and
// so belongs on the test's goroutine.
package nodetest
