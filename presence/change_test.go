package presence_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

func TestReasonsReadAsTextInJSON(t *testing.T) {
	for _, reason := range []presence.Reason{
		presence.Left, presence.RemovedByOther, presence.Disconnected, presence.TimedOut,
		presence.Pruned, presence.Switched, presence.Drained, presence.Unknown,
	} {
		text, err := json.Marshal(reason)
		if err != nil {
			t.Fatal(err)
		}
		var back presence.Reason
		if err := json.Unmarshal(text, &back); err != nil || back != reason {
			t.Errorf("%s reads back as %v, %v", text, back, err)
		}
	}
}

// A key counts in place of the user for the handler, too.
func TestTheHandlerIsToldOfKeys(t *testing.T) {
	redistest.Each(t, func(t *testing.T, s *redistest.Server) {
		n := newNode(t, s, presence.Options{})
		var channels []string
		for _, m := range []presence.Member{{Key: "visitor"}, {User: "ann", Key: "ann/phone"}, {User: "ann", Key: "ann/phone"}} {
			c := n.open(t)
			if _, _, err := n.Add(t.Context(), "lobby", c, m); err != nil {
				t.Fatal(err)
			}
			channels = append(channels, c)
		}
		for _, c := range channels {
			if _, err := n.Remove(t.Context(), "lobby", c); err != nil {
				t.Fatal(err)
			}
		}
		var came, went []string
		for _, c := range n.heard(t, 6) {
			came, went = append(came, c.UsersCame...), append(went, c.UsersWent...)
		}
		if want := []string{"visitor", "ann/phone"}; !slices.Equal(came, want) || !slices.Equal(went, want) {
			t.Errorf("%q came, %q went, want %q", came, went, want)
		}
	})
}
