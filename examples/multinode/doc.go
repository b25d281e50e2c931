// Multinode is a fleet on one machine: a few nodes, each a process with its own
// websockets, one Redis, and a page to look at it.
//
//	go run ./examples/multinode
//
// The program that one starts is the supervisor. It runs itself once more for each
// node, with the node's configuration on standard input.
//
// # Protocol
//
// A client opens ws://NODE/ws/ROOM?user=NAME and is in the room until it closes;
// without a user it is anonymous. It needs no other message to stay, as it answers
// pings. Each text that it sends is a line to the room, except for two:
//
//	"heartbeat"                        only shows a sign of life
//	{"type":"typing","payload":true}   the visitor is typing; false: no longer
//
// A visitor counts as typing for four seconds, or until the next line: a client repeats
// the message every second or two while keys are pressed.
//
// Everything that it receives is {"type":TYPE,"payload":PAYLOAD}. First the room as it
// is:
//
//	snapshot {"channel_name":"garden","you":"gx3kq!7","revision":1700000000000001,
//	    "counts":{"presences":3,"users":1,"anonymous":1},"users":["ada"],
//	    "presences":[{"channel":"gx3kq!7","user":"ada","joined_at":"2026-01-02T15:04:05.678Z",
//	        "info":{"node":1}}, ...]}
//
// and then, whenever there is one, the difference from what it was told so far:
//
//	diff {"channel_name":"garden","revision":1700000000200004,"counts":{...},
//	    "added":[presence...],"updated":[presence...],
//	    "removed":[presence with "reason":"timed out"...],
//	    "users_came":["leo"],"users_went":[],"resync":false}
//
// A presence is one connection, identified by its channel; "you" is the client's own. A
// user, null if anonymous, may have several, comes with the first and goes with the
// last. In its info, "node" is the number of the node that holds it, and "typing" is
// true while its visitor is typing: a change of that is in "updated", and nobody has
// left or joined. The info of another program's presence may be null, or anything. The
// reasons are those of presence.Reason.
//
// To apply a diff, take out "removed", then put in "added" and "updated", by channel.
// It always fits: nothing is added that is there, nothing is removed or updated that is
// not, and "counts" are those of the result. If "resync" is true, the node had missed
// changes and has read the room again.
//
// Diffs come at least a tenth of a second apart. A client that reads slowly gets fewer,
// each with the net effect of what happened meanwhile. A client that comes back, to
// whichever node, begins with a new snapshot, and needs nothing of what it had.
//
// In addition, and maybe before the snapshot, each change of who is there sends the
// list of users to everybody in the room, as in django-channels-presence. A client that
// does not want it passes the parameter presence=off.
//
//	presence {"channel_name":"garden","members":[{"id":"ada"}],"lurkers":1,"revision":1700000000000001}
//
// And what anybody says:
//
//	message {"channel_name":"garden","user":"ada","text":"good morning"}
package main
