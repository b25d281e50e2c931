package presence_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/prune"
)

// A fleet is restarted one node after the other, under load. Each of its regulars
// comes back to another node before the grace has ended, and a watcher on a node
// that stays is told of nobody who went, but for the visitors, who really do.
func TestRollingRestart(t *testing.T) {
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		const (
			nodes, regulars = 4, 60
			grace           = 30 * time.Second
		)
		opts := presence.Options{MaxAge: time.Hour} // nobody is touched here
		fleet := make([]*node, nodes)
		for i := range fleet {
			fleet[i] = newNode(t, s, opts)
		}
		at := map[*node][]string{} // the regulars who are connected to it
		enter := func(user string) {
			n := fleet[rand.IntN(nodes)]
			n.add(t, "lobby", n.open(t), user)
			at[n] = append(at[n], user)
		}
		for i := range regulars {
			enter(fmt.Sprint("regular ", i))
		}
		visits := 0
		visit := func() {
			visits++
			n := fleet[rand.IntN(nodes)]
			c := n.open(t)
			n.add(t, "lobby", c, fmt.Sprint("visitor ", visits))
			if _, err := n.Remove(t.Context(), "lobby", c); err != nil {
				t.Fatal(err)
			}
		}
		stays := newNode(t, s, opts)
		pruner, err := prune.New(stays.Tracker, nil)
		if err != nil {
			t.Fatal(err)
		}
		sweep := func() {
			if _, err := pruner.Presences(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		watching := watchUsers(t, stays, "lobby")

		for i, old := range fleet {
			fleet[i] = newNode(t, s, opts)
			if err := old.Drain(t.Context(), grace); err != nil {
				t.Fatal(err)
			}
			if _, open := old.Layer.Channel(old.Layer.NodeID() + "!1"); open {
				t.Error("a channel is not told to go elsewhere")
			}
			for _, user := range at[old] {
				time.Sleep(grace / time.Duration(len(at[old])+1))
				sweep()
				visit()
				enter(user)
			}
		}
		time.Sleep(grace)
		sweep()
		counts, err := stays.Counts(t.Context(), "lobby")
		if err != nil || counts.Presences != regulars || counts.Users != regulars {
			t.Errorf("%+v, %v", counts, err)
		}
		came, went := watching.until(t, counts.Revision)
		if visits < regulars || len(came) != len(went) {
			t.Errorf("%d visits, %d came, %d went", visits, len(came), len(went))
		}
		for _, user := range append(came, went...) {
			if !strings.HasPrefix(user, "visitor") {
				t.Errorf("told of %s, who stayed", user)
			}
		}
	})
}

// An application follows the room for each connection, and ends the connection with
// a code of its own when the following fails. In a deploy that comes too late to matter.
func TestFollowersEndLast(t *testing.T) {
	for name, end := range map[string]func(context.Context, *node) error{
		"drain": func(ctx context.Context, n *node) error { return n.Drain(ctx, time.Minute) },
		"close": func(ctx context.Context, n *node) error { return n.Close(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
				stays, goes := newNode(t, s, presence.Options{}), newNode(t, s, presence.Options{})
				var followers sync.WaitGroup
				var channels []*groups.Channel
				for range 5 {
					ch, err := goes.Layer.NewChannel()
					if err != nil {
						t.Fatal(err)
					}
					channels = append(channels, ch)
					goes.add(t, "lobby", ch.Name(), "ann")
					list, err := goes.Watch(t.Context(), "lobby", nil)
					if err != nil {
						t.Fatal(err)
					}
					counts, err := goes.WatchCounts(t.Context(), "lobby", nil)
					if err != nil {
						t.Fatal(err)
					}
					follow := func(next func() error) {
						for {
							if err := next(); err != nil {
								if !errors.Is(err, presence.ErrClosed) {
									t.Error(err)
								}
								ch.CloseWith(groups.CloseError{Code: 1013})
								_, _ = goes.LeaveAll(context.Background(), ch.Name(), presence.TimedOut)
								return
							}
						}
					}
					followers.Go(func() {
						follow(func() error { _, err := list.Next(t.Context()); return err })
					})
					followers.Go(func() {
						follow(func() error { _, err := counts.Next(t.Context()); return err })
					})
					followers.Go(func() {
						follow(func() error { return list.WaitFor(t.Context(), 1<<60) })
					})
				}
				watching := watch(t, stays, "lobby", nil)
				if err := end(t.Context(), goes); err != nil {
					t.Fatal(err)
				}
				followers.Wait()
				if name == "drain" {
					for _, ch := range channels {
						if !errors.Is(ch.Err(), groups.ErrClosed) {
							t.Errorf("the connection was told %v", ch.Err())
						}
					}
					if c, err := stays.Counts(t.Context(), "lobby"); err != nil || c.Presences != len(channels) {
						t.Errorf("in grace: %+v, %v", c, err)
					}
					return
				}
				for left := 0; left < len(channels); {
					for _, gone := range next(t, watching).Removed {
						left++
						if gone.Reason != presence.Drained {
							t.Errorf("left because of %v", gone.Reason)
						}
					}
				}
			})
		})
	}
}

// userWatch is what a watcher has been told of users.
type userWatch struct {
	w      *presence.Watcher
	cancel context.CancelFunc
	done   sync.WaitGroup

	came, went []string // guarded by done
}

func watchUsers(t *testing.T, n *node, room string) *userWatch {
	t.Helper()
	w, err := n.Watch(t.Context(), room, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	u := &userWatch{w: w, cancel: cancel}
	u.done.Go(func() {
		for {
			d, err := w.Next(ctx)
			if err != nil {
				return
			}
			u.came = append(u.came, d.UsersCame...)
			u.went = append(u.went, d.UsersWent...)
		}
	})
	return u
}

// until ends the watch once it has seen a revision.
func (u *userWatch) until(t *testing.T, revision presence.Revision) (came, went []string) {
	t.Helper()
	if err := u.w.WaitFor(t.Context(), revision); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // of the bubble: what is there is read by then
	u.cancel()
	u.done.Wait()
	u.w.Close()
	return u.came, u.went
}
