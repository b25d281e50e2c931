package main

import (
	"context"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
)

// readTime bounds how long a reader waits for Redis.
const readTime = 3 * time.Second

// frame is what a client receives.
type frame struct {
	Type    string `json:"type"`
	Payload any    `json:"payload"`
}

// roomList says who is in a room: the payload of "presence".
type roomList struct {
	ChannelName string            `json:"channel_name"`
	Members     []listMember      `json:"members"`
	Lurkers     int               `json:"lurkers"`
	Revision    presence.Revision `json:"revision"`
}

type listMember struct {
	ID string `json:"id"`
}

// roomLine is what somebody said: the payload of "message".
type roomLine struct {
	ChannelName string  `json:"channel_name"`
	User        *string `json:"user"` // null if anonymous
	Text        string  `json:"text"`
}

func listOf(s presence.Snapshot) roomList {
	list := roomList{
		ChannelName: s.Room,
		Members:     []listMember{},
		Lurkers:     s.Counts.Anonymous,
		Revision:    s.Counts.Revision,
	}
	for _, user := range s.Users() {
		list.Members = append(list.Members, listMember{user})
	}
	return list
}

// changed is presence_changed: it sends the room the list of who is in it now. Two
// nodes may do so at the same moment; see deliver.
func (n *node) changed(ctx context.Context, _ *presence.Tracker, c presence.Change) {
	if len(c.Updated) > 0 && len(c.Added)+len(c.Removed) == 0 {
		return // somebody is typing; who is in the room has not changed
	}
	n.supervisor.send(nodeReport{Line: describe(c)})
	if c.Counts.Presences == 0 {
		return // nobody is left to tell
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	snapshot, err := n.tracker.Snapshot(ctx, c.Room)
	if err == nil {
		err = n.broadcast(ctx, c.Room, "presence", listOf(snapshot))
	}
	if err != nil {
		n.log.Warn("a room was not told of a change", zap.String("room", c.Room), zap.Error(err))
	}
}

func (n *node) broadcast(ctx context.Context, room, typ string, payload any) error {
	message, err := groups.NewJSON(typ, payload)
	if err != nil {
		return err
	}
	return n.layer.GroupSend(ctx, room, message)
}

// serveRoom answers with the list that the room's members get, as this node reads it
// now.
func (n *node) serveRoom(w http.ResponseWriter, r *http.Request) {
	room := r.PathValue("room")
	if err := checkNames(room, ""); err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readTime)
	defer cancel()
	snapshot, err := n.tracker.Snapshot(ctx, room)
	if err != nil {
		writeError(w, http.StatusServiceUnavailable, err)
		return
	}
	writeJSON(w, http.StatusOK, listOf(snapshot))
}

func (n *node) serveRooms(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readTime)
	defer cancel()
	names := []string{}
	for name, err := range n.tracker.Rooms(ctx) {
		if err != nil {
			writeError(w, http.StatusServiceUnavailable, err)
			return
		}
		names = append(names, name)
	}
	slices.Sort(names)
	writeJSON(w, http.StatusOK, slices.Compact(names))
}
