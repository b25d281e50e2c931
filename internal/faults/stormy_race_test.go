//go:build race

package faults_test

// stormy are the connections of a storm, on four nodes: fewer, as the race
// detector makes all of it several times as slow.
const stormy = 2_000
