// Package faults has only tests: fleets whose nodes are processes of their own,
// on servers that really fail. TestFaults has a row for each fault, and tells in a
// line how long it took until all was right again:
//
//	go test -v -run TestFaults ./internal/faults | grep -o 'row [0-9].*'
//
// What must hold:
//
//   - I1: after the fault, each list, count and view is what is really connected,
//     within the bound of the row, and stays so;
//   - I2: nobody is told that a connection went that stayed;
//   - I3: who is gone is told of within the lease, or max age, and a sweep;
//   - I4: the diffs that a watcher is told fit each other and the list;
//   - I5: each call ends in time, and goroutines, connections and keys go back to
//     what they were.
package faults
