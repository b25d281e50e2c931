// Package prune removes what is stale: presences that were not touched for
// longer than their max age, rooms without presences, and the rows of nodes of
// which nothing is left.
//
// Any number of nodes may prune at the same time: they take turns, and what one
// removes, and reports, no other does. A presence that is touched in between stays.
//
// [Pruner.Run] does it for as long as a process runs; the command
// prune/cmd/rollcall-prune does it once, for cron. [Pruner.Stale] and
// [Pruner.EmptyRooms] only tell what would be removed.
package prune
