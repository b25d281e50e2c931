// Package groups is the channel layer. It has mailboxes with fleet-wide names and
// groups of them, and sends messages to either, from any node to any node, over Redis
// pub/sub.
//
//   - A [Layer] is this process's part of it. Its node id is new at every start.
//   - A [Channel] is the bounded mailbox of one connection.
//   - A group is a name. It exists while a channel is in it. A membership ends with the
//     process that holds the channel.
//
// A message is delivered at most once. Messages from one sender to one group arrive in
// the order in which they were sent. Nothing is stored: a node that has lost its
// connection to Redis misses what is sent meanwhile.
package groups
