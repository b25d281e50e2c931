package redistest

import "testing"

// Each runs f as a subtest on every kind of server: a miniredis and a
// redis-server, both new, and a cluster with replicas and a master behind
// Sentinel, both empty. In a package whose TestMain is [Main], tests share those
// two one after another: a test that counts connections, or wants masters to be
// replaced, takes [Cluster], [ClusterWithReplicas] or [Sentinels] instead.
func Each(t *testing.T, f func(t *testing.T, s *Server)) {
	t.Helper()
	EachSingle(t, f)
	t.Run(clusterName, func(t *testing.T) { f(t, sharedCluster.lend(t)) })
	t.Run(sentinelName, func(t *testing.T) { f(t, sharedSentinel.lend(t)) })
}

// EachSingle is [Each] for what needs a single server that clients know by its
// address: a new miniredis and a new redis-server.
func EachSingle(t *testing.T, f func(t *testing.T, s *Server)) {
	t.Helper()
	t.Run(miniName, func(t *testing.T) { f(t, Mini(t)) })
	t.Run(realName, func(t *testing.T) { f(t, Real(t)) })
}
