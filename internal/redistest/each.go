package redistest

import "testing"

// Each runs f as a subtest on a miniredis and on a redis-server, both new.
func Each(t *testing.T, f func(t *testing.T, s *Server)) {
	t.Helper()
	t.Run(miniName, func(t *testing.T) { f(t, Mini(t)) })
	t.Run(realName, func(t *testing.T) { f(t, Real(t)) })
}

// EachWithCluster is [Each] and a subtest on an empty cluster. In a package
// whose TestMain is [Main], tests share that cluster one after another: those
// that reconfigure it, move slots or count connections take [Cluster] instead.
func EachWithCluster(t *testing.T, f func(t *testing.T, s *Server)) {
	t.Helper()
	Each(t, f)
	t.Run(clusterName, func(t *testing.T) { f(t, sharedCluster(t)) })
}
