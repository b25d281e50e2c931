// Package prune removes what is stale: presences that were not touched for
// longer than their max age, rooms without presences, and the rows of nodes of
// which nothing is left.
//
// Any number of nodes may prune at the same time: what one removes, and
// reports, no other does. A presence that is touched in between stays.
package prune
