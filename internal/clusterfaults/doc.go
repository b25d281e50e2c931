// Package clusterfaults has only tests: a loaded fleet on a Redis Cluster whose
// slots move and whose masters fail. What must hold after each fault, and during
// it for the shards that it does not hit:
//
//   - each list, count and view is who is really connected, and stays so;
//   - nobody was told that a connection went that stayed;
//   - the diffs that a watcher was told fit each other and the list;
//   - each call ended in time, with an error that can be told;
//   - the checker finds nothing.
package clusterfaults
