// Package simulation has only tests: fleets on a fake clock, under random faults,
// whose seeds are printed and can be given again.
package simulation
