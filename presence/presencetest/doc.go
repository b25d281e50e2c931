// Package presencetest lets an application test what it does with presences,
// without a server and without sleeps: a fleet of nodes on an embedded Redis,
// inside testing/synctest, where a minute passes in milliseconds. Which of two
// goroutines that are due at one moment runs first is open.
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
// A [Socket] takes the place of a websocket, for code that runs connections.
//
// A [StartFunc] has the nodes run the application's own code. Nodes crash, are
// deployed, are cut off and frozen; Redis loses its data or stops answering.
// Assertions wait in fake time, of which [Fleet.Advance] lets some pass.
//
// The rules of synctest hold: inside the test, use no network and start no
// subtests, and end every goroutine before the test does. What a mutex that is
// held waits for stops the clock.
package presencetest
