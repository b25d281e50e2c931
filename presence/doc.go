// Package presence records who is in which room, for a whole fleet of processes,
// in one Redis.
//
//   - A [Tracker] is a node's part of it: it adds, touches and removes the
//     presences of the node's channels, and calls the change handler.
//   - A [Reader], which every Tracker is too, only asks: it works without a
//     channel layer, for a cron job or an admin tool.
//   - A [Presence] is one channel in one room. A user may have many.
//   - A [Change] is what one step did to one room.
//
// The clock is Redis's. A presence that is not touched for Options.MaxAge is
// taken by package prune.
package presence
