// Package groups is the channel layer: mailboxes with fleet-wide names, groups
// of them, and messages to either, from any node to any node over Redis pub/sub.
//
//   - A [Layer] is this process's part of it. Its node id is new at every start.
//   - A [Channel] is the mailbox of one connection, bounded.
//   - A group is a name. It exists while a channel is in it, and its membership
//     is gone with the process that holds the channel.
//
// A message is delivered at most once. Messages from one sender to one group
// arrive in the order in which they were sent. Nothing is stored: what is sent
// while a node has lost its connection to Redis does not reach that node.
package groups
