// Package presence records who is in which room, for a whole fleet of processes, in one
// Redis.
//
//   - A [Tracker] is a node's part of it: it adds, touches and removes the presences of
//     the node's channels, and calls the change handler.
//   - A [Reader] only asks. It works without a channel layer, for a cron job or an
//     admin tool. Every Tracker is one too.
//   - A [Presence] is one channel in one room. A user may have many.
//   - A [Change] is what one step did to one room.
//
// All times are by the clock of Redis. Package prune removes a presence that has not
// been touched for Options.MaxAge.
package presence
