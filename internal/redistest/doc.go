// Package redistest starts the servers that this module's tests run on.
//
// There are four kinds, and [Each] runs a test function on all of them:
//
//   - [Mini], an embedded miniredis: no process, no sharded pub/sub, and scripts
//     may touch any key;
//   - [Real], a redis-server process on a free loopback port;
//   - a cluster of three masters and their replicas, where a script that crosses
//     slots is refused;
//   - a master and a replica behind three sentinels, whom clients ask for it.
//
// A package starts the last two once. [Bubble] runs a test inside testing/synctest
// with a miniredis that is reached through memory, so that minutes pass in
// milliseconds.
//
// For failovers there are [Replicated], a master and a replica behind one
// address, [Sentinels], which watch over such a pair, and [ClusterWithReplicas];
// in what [Each] lends nobody takes a master's place. [Cluster] has no replicas,
// so that the slots of a master that is gone are nobody's. [RealTLS] has
// certificates, and [Server.SetUser] users. A cluster's slots migrate, at once or
// in steps; it grows; its masters are replaced or isolated.
//
// The methods of [Server] break a server: stop, kill, freeze, restart it, keep it
// busy, let it refuse; and [SlowLog] and CPU tell what it was busy with. A [Link]
// breaks the network between a server and one of its clients, of a cluster and behind
// sentinels too. A [Proc]
// is a node in a process of its own, which can be killed and frozen too.
//
//	func TestMain(m *testing.M) { redistest.Main(m) }
//
//	func TestPing(t *testing.T) {
//		redistest.Each(t, func(t *testing.T, s *redistest.Server) {
//			client := s.NewClient(t)
//			if err := client.Ping(t.Context()).Err(); err != nil {
//				t.Fatal(err)
//			}
//		})
//	}
//
// A server dies with the test that asked for it, and on Linux with the test
// binary too, however that ends. Tests that need redis-server are skipped where
// it is missing, unless ROLLCALL_REQUIRE_SERVERS=1 turns that into a failure.
package redistest
