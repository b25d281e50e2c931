// Package prune removes what is stale: presences that were not touched for longer than
// their max age, rooms without presences, and the rows of nodes that have nothing left.
//
// Any number of nodes may prune at the same time. They take turns, and what one removes
// and reports, no other does. A presence that is touched in between stays.
//
// [Pruner.Run] prunes for as long as a process runs; the command
// prune/cmd/rollcall-prune does it once, for cron. [Pruner.Stale] and
// [Pruner.EmptyRooms] only list what would be removed.
package prune
