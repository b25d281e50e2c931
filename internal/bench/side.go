package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/rollcall-go/rollcall/groups"
)

// side is one of the libraries compared, as one node. Members are numbered, and
// each is a connection of a user of its own with an info of infoSize bytes.
type side interface {
	// grow makes members up to n, which are in no room yet.
	grow(n int) error
	// subscribe makes the node hear the rooms.
	subscribe(ctx context.Context, rooms []string) error
	join(ctx context.Context, room string, member int) error
	// joinFirst is join where the node does not hear the room yet.
	joinFirst(ctx context.Context, room string, member int) error
	leave(ctx context.Context, room string, member int) error
	leaveAll(ctx context.Context, rooms []string, member int) error
	// snapshot returns how many are in the room.
	snapshot(ctx context.Context, room string) (int, error)
	// counts returns how many connections and users are in the room.
	counts(ctx context.Context, room string) (presences, users int, err error)
	close()
}

const (
	ours = "rollcall"
	two  = "rollcall, 2 shards" // and so two batches of a node under way
	peer = "centrifuge"         // no counts of users
	um   = "centrifuge um"      // with its user mapping
	maps = "centrifuge map"     // its map presence: atomic, with revisions

	hgetall = "HGETALL" // a floor: that alone, of rollcall's rooms
)

func openSide(ctx context.Context, name, addr string) (side, error) {
	switch name {
	case ours:
		return newRollcall(ctx, addr, nil)
	case two:
		return newRollcallOf(ctx, addr, &groups.Options{Shards: 2}, nil)
	case peer, um:
		return newCentrifuge(addr, name == um)
	case maps:
		return newCentrifugeMap(addr)
	case hgetall:
		r, err := newRollcall(ctx, addr, nil)
		return wholeRooms{r}, err
	}
	return nil, fmt.Errorf("no side %q", name)
}

const infoSize = 64

var infoBytes = []byte(`"` + strings.Repeat("i", infoSize-2) + `"`)

func userName(member int) string { return fmt.Sprintf("user-%07d", member) }

func roomName(i int) string { return fmt.Sprintf("room-%06d", i) }

func roomNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = roomName(i)
	}
	return names
}
