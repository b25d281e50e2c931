package faults_test

import (
	"github.com/rollcall-go/rollcall/presence"
)

// watch follows a room as long as the node runs, and holds each diff against
// those before it.
func (n *node) watch(room string) error {
	w, err := n.tracker.Watch(n.ctx, room, nil)
	if err != nil {
		return err
	}
	told := map[string]string{}
	for _, p := range w.Start().Presences {
		told[p.Channel] = who(p)
	}
	n.told[room], n.watched[room] = told, w
	n.work.Go(func() {
		defer w.Close()
		for {
			d, err := w.Next(n.ctx)
			if err != nil {
				return
			}
			n.apply(room, told, d)
		}
	})
	return nil
}

func (n *node) apply(room string, told map[string]string, d presence.Diff) {
	e := event{Kind: "diff", Room: room, Revision: int64(d.Counts.Revision), UserWent: d.UsersWent}
	n.mu.Lock()
	var wrong []string
	for _, p := range d.Removed {
		if _, ok := told[p.Channel]; !ok {
			wrong = append(wrong, "leave of "+p.Channel+", who was not there")
		}
		delete(told, p.Channel)
		e.Removed = append(e.Removed, p.Channel+" "+p.Reason.String())
	}
	for _, p := range d.Added {
		if _, ok := told[p.Channel]; ok {
			wrong = append(wrong, "join of "+p.Channel+", who was there")
		}
		told[p.Channel] = who(p)
		e.Added = append(e.Added, p.Channel)
	}
	for _, p := range d.Updated {
		if _, ok := told[p.Channel]; !ok {
			wrong = append(wrong, "update of "+p.Channel+", who was not there")
		}
		told[p.Channel] = who(p)
	}
	if got, want := counts(d.Counts), countOf(told); got != want {
		wrong = append(wrong, "told "+got+", and the diffs are "+want)
	}
	n.mu.Unlock()
	if len(e.Added)+len(e.Removed)+len(e.UserWent) > 0 {
		n.emit(e)
	}
	for _, text := range wrong {
		n.wrong("%s: %s", room, text)
	}
}
