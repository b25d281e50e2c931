package recipes

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"nhooyr.io/websocket"

	"github.com/rollcall-go/rollcall/presence/presencetest"
)

// page is one that shows who is in its room.
type page struct {
	*presencetest.Socket[websocket.MessageType, websocket.StatusCode]
	users []string
	told  []people // since the list
}

func openPage(t *testing.T, n *presencetest.Node, user string) *page {
	t.Helper()
	channel, err := n.Layer.NewChannel()
	if err != nil {
		t.Fatal(err)
	}
	p := &page{Socket: presencetest.NewSocket[websocket.MessageType, websocket.StatusCode]()}
	n.Go(func(ctx context.Context) { _ = ServePeople(ctx, p, n.Tracker, channel, "lobby", user) })
	return p
}

// shows does what the page's script does with what it gets.
func (p *page) shows(t *testing.T) []string {
	t.Helper()
	for _, data := range p.Received() {
		var m people
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		if m.Users != nil {
			p.users, p.told = m.Users, nil
			continue
		}
		p.told = append(p.told, m)
		for _, user := range m.Came {
			if slices.Contains(p.users, user) {
				t.Errorf("%s came twice", user)
			}
		}
		p.users = slices.DeleteFunc(append(p.users, m.Came...), func(user string) bool { return slices.Contains(m.Went, user) })
	}
	slices.Sort(p.users)
	return p.users
}

func TestPeopleAreShown(t *testing.T) {
	presencetest.Run(t, 3, nil, func(t *testing.T, fleet *presencetest.Fleet) {
		show := func(pages []*page, want ...string) func() error {
			return func() error {
				for i, p := range pages {
					if got := p.shows(t); !slices.Equal(got, want) {
						return fmt.Errorf("page %d shows %q, not %q", i, got, want)
					}
				}
				return nil
			}
		}
		ann := openPage(t, fleet.Node(0), "ann")
		fleet.Advance(time.Second)
		bob, again := openPage(t, fleet.Node(1), "bob"), openPage(t, fleet.Node(0), "ann")
		fleet.Eventually(time.Second, show([]*page{ann, bob, again}, "ann", "bob"))
		if len(ann.told) != 1 || len(again.told) > 1 { // a second ann is nobody new
			t.Errorf("ann was told %+v, and again %+v", ann.told, again.told)
		}
		fleet.Throughout(2*time.Minute, show([]*page{ann, bob, again}, "ann", "bob")) // longer than a handler may take
		fleet.Flush()
		fleet.Throughout(time.Minute, show([]*page{ann, bob, again}, "ann", "bob"))
		bob.Leave(websocket.StatusGoingAway)
		fleet.Eventually(time.Second, show([]*page{ann, again}, "ann"))

		// A deploy: her pages are told to go elsewhere, and nobody sees her leave.
		carl := openPage(t, fleet.Node(2), "carl")
		fleet.Eventually(time.Second, show([]*page{ann, again, carl}, "ann", "carl"))
		fleet.Node(0).Deploy(30 * time.Second)
		for _, p := range []*page{ann, again} {
			if code := p.CloseCode(); code != websocket.StatusGoingAway {
				t.Errorf("closed with %d", code)
			}
		}
		fleet.Throughout(10*time.Second, show([]*page{carl}, "ann", "carl"))
		ann = openPage(t, fleet.Node(1), "ann")
		fleet.Advance(time.Second)
		fleet.Throughout(time.Minute, show([]*page{ann, carl}, "ann", "carl"))
	})
}
