package presence_test

import (
	"flag"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/internal/nodetest"
	"github.com/rollcall-go/rollcall/internal/redistest"
	"github.com/rollcall-go/rollcall/presence"
)

func TestMain(m *testing.M) {
	// A history of the model is worth many cases. The command line may say otherwise.
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
	redistest.Main(m)
}

// node is one process of a fleet under test, and what its handlers heard.
type node struct {
	*nodetest.Node
	nodetest.Recorder
}

func newNode(t testing.TB, s *redistest.Server, opts presence.Options) *node {
	t.Helper()
	return startNode(t, s.NewClient(t), nil, opts)
}

// startNode starts a node whose Redis a test may take away.
func startNode(t testing.TB, client redis.UniversalClient, of *groups.Options, opts presence.Options) *node {
	t.Helper()
	n := &node{}
	n.Node = nodetest.Start(t, client, nodetest.Options{Groups: of, Presence: n.Record(opts), MayFail: true})
	return n
}

func (n *node) open(t testing.TB) string {
	t.Helper()
	return n.Open(t).Name()
}

func (n *node) add(t *testing.T, room, channel, user string) presence.Revision {
	t.Helper()
	_, revision, err := n.Add(t.Context(), room, channel, presence.Member{User: user})
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// heard waits for n calls of the change handler, and returns them.
func (n *node) heard(t *testing.T, want int) []presence.Change {
	t.Helper()
	return n.Heard(t, patience, want)
}
