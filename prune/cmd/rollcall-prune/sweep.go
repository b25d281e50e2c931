package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// sweep prunes, or with -dry-run prints what that would do.
func sweep(ctx context.Context, client redis.UniversalClient, f flags, out io.Writer) error {
	reader, err := presence.NewReader(ctx, client, &presence.ReaderOptions{Prefix: f.prefix})
	if err != nil {
		return err
	}
	// No node has registered here, which is where others learn that the data
	// is not theirs to change.
	pruner, err := prune.New(reader, nil)
	if err != nil {
		return err
	}
	r := report{out: out, dryRun: f.dryRun}
	if f.dryRun {
		err = r.look(ctx, pruner, f)
	} else {
		err = r.prune(ctx, pruner, f)
	}
	r.summary(f.rooms, err != nil)
	if err != nil || !f.forget {
		return err
	}
	if err := reader.Store().Forget(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s forgotten\n", count(reader.Store().Shards(), "shard"))
	return nil
}

// report prints what is done, or would be, and counts it.
type report struct {
	out                       io.Writer
	dryRun                    bool
	presences, rooms, deleted int
}

func (r *report) prune(ctx context.Context, p *prune.Pruner, f flags) error {
	sweep := p.Presences
	if f.age != 0 {
		sweep = func(ctx context.Context) ([]presence.Change, error) { return p.PresencesOlderThan(ctx, f.age) }
	}
	changes, failed := sweep(ctx)
	for _, c := range changes { // even with an error
		r.changed(c.Room, len(c.Removed), c.UsersWent)
	}
	if !f.rooms {
		return failed
	}
	rooms, err := p.Rooms(ctx)
	for _, room := range rooms {
		r.roomDeleted(room)
	}
	return cmp.Or(failed, err)
}

func (r *report) look(ctx context.Context, p *prune.Pruner, f flags) error {
	stale, failed := p.Stale(ctx, f.age)
	var empty []string
	for _, s := range stale {
		r.changed(s.Room, len(s.Channels), s.Users)
		if s.Left == 0 {
			empty = append(empty, s.Room) // the sweep of rooms would find it empty
		}
	}
	if !f.rooms {
		return failed
	}
	already, err := p.EmptyRooms(ctx)
	empty = append(empty, already...)
	slices.Sort(empty)
	for _, room := range slices.Compact(empty) {
		r.roomDeleted(room)
	}
	return cmp.Or(failed, err)
}

// changed prints a room. Names may hold anything, including control characters of a
// terminal, so they are quoted.
func (r *report) changed(room string, removed int, users []string) {
	r.rooms++
	r.presences += removed
	fmt.Fprintf(r.out, "room %q: %s %s", room, count(removed, "presence"), r.verb("removed"))
	before := "; users gone: "
	for _, user := range users {
		fmt.Fprintf(r.out, "%s%q", before, user)
		before = ", "
	}
	fmt.Fprintln(r.out)
}

func (r *report) roomDeleted(room string) {
	r.deleted++
	fmt.Fprintf(r.out, "room %q: %s\n", room, r.verb("deleted"))
}

func (r *report) summary(withRooms, incomplete bool) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s %s", count(r.presences, "presence"), count(r.rooms, "room"), r.verb("removed"))
	if withRooms {
		fmt.Fprintf(&b, ", %s %s", count(r.deleted, "room"), r.verb("deleted"))
	}
	if incomplete {
		b.WriteString(", then failed")
	}
	fmt.Fprintln(r.out, b.String())
}

func (r *report) verb(participle string) string {
	if r.dryRun {
		return "would be " + participle
	}
	return participle
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
