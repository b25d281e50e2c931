//go:build race

package faults_test

import "time"

// stormy are the connections of a storm, on four nodes: fewer, as the race
// detector makes all of it several times as slow. Their grace is longer than a
// storm takes.
const (
	stormy = 2_000
	grace  = 8 * time.Second
)
