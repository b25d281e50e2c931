package main

import (
	"cmp"
	"context"
	"iter"

	"github.com/rollcall-go/rollcall/prune"
)

type problemRow struct {
	Kind    prune.Kind `json:"kind"`
	Shard   int        `json:"shard"`
	Room    string     `json:"room,omitempty"`
	Node    string     `json:"node,omitempty"`
	Channel string     `json:"channel,omitempty"`
	Key     string     `json:"key,omitempty"`
	What    string     `json:"what,omitempty"`
	Mended  bool       `json:"mended"`
	Why     string     `json:"why,omitempty"`

	text string
}

func (p problemRow) cells() []any {
	state := "found"
	switch {
	case p.Mended:
		state = "mended"
	case p.Why != "":
		state = "left: " + p.Why
	}
	return []any{state, p.text}
}

func (c *ctl) check(ctx context.Context) error {
	checker, err := prune.NewChecker(c.reader, nil)
	if err != nil {
		return err
	}
	return c.problems(checker.Check(ctx))
}

func (c *ctl) repair(ctx context.Context) error {
	checker, err := prune.NewChecker(c.reader, nil)
	if err != nil {
		return err
	}
	return c.problems(checker.Repair(ctx))
}

// problems prints the problems, even with an error, and returns errProblems if some are
// left.
func (c *ctl) problems(all iter.Seq2[prune.Problem, error]) error {
	found, left := 0, 0
	var failed error
	for p, err := range all {
		if err != nil {
			failed = err
			break
		}
		r := problemRow{
			Kind: p.Kind, Shard: p.Shard, Room: p.Room, Node: p.Node, Channel: p.Channel, Key: p.Key,
			What: p.What, Mended: p.Mended, text: p.String(),
		}
		if p.Why != nil {
			r.Why = p.Why.Error()
		}
		c.out.row(r)
		found++
		if !p.Mended {
			left++
		}
	}
	c.out.line("%d found, %d left", found, left)
	if failed == nil && left > 0 {
		return errProblems
	}
	return failed
}

type prunedRow struct {
	Room    string   `json:"room"`
	Removed int      `json:"removed"`
	Users   []string `json:"users_gone,omitempty"`
	Deleted bool     `json:"deleted"`
}

func (p prunedRow) cells() []any {
	if p.Deleted {
		return []any{quoted(p.Room), "deleted"}
	}
	cells := []any{quoted(p.Room), p.Removed}
	for _, user := range p.Users {
		cells = append(cells, quoted(user))
	}
	return cells
}

// prune prints what one sweep removed, even with an error.
func (c *ctl) prune(ctx context.Context) error {
	pruner, err := prune.New(c.reader, nil)
	if err != nil {
		return err
	}
	c.out.head("ROOM", "REMOVED", "USERS GONE")
	changes, failed := pruner.Presences(ctx)
	for _, change := range changes {
		c.out.row(prunedRow{Room: change.Room, Removed: len(change.Removed), Users: change.UsersWent})
	}
	rooms, err := pruner.Rooms(ctx)
	for _, room := range rooms {
		c.out.row(prunedRow{Room: room, Deleted: true})
	}
	return cmp.Or(failed, err)
}
