// Package heartbeat connects websocket connections to presences: it keeps a presence
// alive as long as its connection, and removes it afterwards.
//
//   - [Serve] runs a connection from accept to leave, over nhooyr.io/websocket,
//     github.com/coder/websocket or anything else that is a [Conn].
//   - [Handler] is the application's side of it, [Options] are its limits.
//   - [CloseError] tells the peer why it was sent away.
//
// The parts of Serve, for other websocket libraries:
//
//   - [TouchPresence] decorates a message handler: it touches, and swallows heartbeats.
//   - [RemovePresence] decorates a disconnect handler: it first leaves all rooms, with
//     a context that is still alive.
//   - [KeepAlive] pings, and notices pongs and a dead peer.
//   - [IsHeartbeat] recognises a heartbeat.
//
// A heartbeat is the text message "heartbeat", with its quotes, which a browser sends
// regularly: ws.send(JSON.stringify("heartbeat")). Under Serve it need not, as browsers
// answer pings by themselves.
//
// In an HTTP handler:
//
//	ch, err := layer.NewChannel() // an error: answer 503, the node is closing
//	...
//	conn, err := websocket.Accept(w, r, nil)
//	...
//	err = heartbeat.Serve(r.Context(), conn, tracker, ch, heartbeat.Handler[websocket.MessageType]{
//		Connect: func(ctx context.Context) error {
//			_, _, err := tracker.Add(ctx, "lobby", ch.Name(), presence.Member{User: user})
//			return err
//		},
//	}, nil)
package heartbeat
