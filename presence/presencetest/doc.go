// Package presencetest lets an application test its use of presences without a server
// and without sleeps. It runs a fleet of nodes on an embedded Redis, inside
// testing/synctest, where a minute passes in milliseconds. If two goroutines are due at
// the same moment, either may run first.
//
//	func TestACrashIsNoticed(t *testing.T) {
//		presencetest.Run(t, 3, nil, func(t *testing.T, fleet *presencetest.Fleet) {
//			fleet.Node(0).Connect(presence.Member{User: "ann"}, "lobby")
//			fleet.Node(1).Connect(presence.Member{User: "bob"}, "lobby")
//			fleet.Node(0).Crash()
//			fleet.AwaitUsers("lobby", "bob")
//		})
//	}
//
// A [Socket] replaces a websocket, for code that serves connections.
//
// With a [StartFunc], the nodes run the application's own code. Nodes can crash, be
// deployed, cut off and frozen; Redis can lose its data or stop answering. Assertions
// wait in fake time, and [Fleet.Advance] lets some pass.
//
// The rules of synctest apply: inside the test, use no network, start no subtests, and
// end every goroutine before the test ends. Waiting for a locked mutex stops the clock.
package presencetest
