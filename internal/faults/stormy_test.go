//go:build !race

package faults_test

import "time"

// stormy are the connections of a storm, on four nodes. Their grace is longer
// than a storm takes.
const (
	stormy = 10_000
	grace  = 14 * time.Second
)
