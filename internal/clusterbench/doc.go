// Package clusterbench has only benchmarks: what an operation costs the busiest
// master of clusters of several sizes, and what a message costs all masters
// together.
//
//	go test -run '^$' -bench . -benchtime 20000x -count 5 ./internal/clusterbench
//
// All numbers are Redis's own CPU time, which hardly depends on what else the
// machine does: on a machine of few cores, the time that passes says nothing of
// what more masters are good for.
package clusterbench
