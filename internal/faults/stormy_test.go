//go:build !race

package faults_test

// stormy are the connections of a storm, on four nodes.
const stormy = 10_000
