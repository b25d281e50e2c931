package presence_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/rollcall-go/rollcall/groups"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/presencetest"
)

// What an operator reads of a day without trouble: a line when the node joins, and
// one when it leaves. Of an outage, a line of each kind a second at most, none of
// them an error, and one at its end.
func TestLogsAreForOperators(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	start := func(n *presencetest.Node) error {
		return n.Track(&groups.Options{Logger: zap.New(core)}, nil)
	}
	presencetest.Run(t, 1, start, func(t *testing.T, fleet *presencetest.Fleet) {
		n := fleet.Node(0)
		ann, bob := n.Connect(presence.Member{User: "ann"}, "lobby"), n.Connect(presence.Member{User: "bob"}, "lobby")
		for range 50 {
			if err := n.Layer.GroupSend(t.Context(), "lobby", groups.Message{Type: "hello"}); err != nil {
				t.Fatal(err)
			}
		}
		ann.Disconnect(0)
		bob.Silence()
		fleet.AwaitUsers("lobby")
		fleet.Advance(time.Minute)
		if told := logged(logs); len(told) != 1 || told[0] != "info: node has joined" {
			t.Errorf("without trouble: %q", told)
		}

		logs.TakeAll()
		fleet.FreezeRedis()
		began := time.Now()
		n.Tracker.Touch(bob.Name())
		fleet.Advance(time.Minute)
		fleet.ThawRedis()
		fleet.Advance(10 * time.Second)
		seconds := int(time.Since(began) / time.Second)
		kinds := make(map[string]int)
		for _, line := range logged(logs) {
			kinds[line]++
			if kinds[line] > seconds || strings.HasPrefix(line, "error") {
				t.Errorf("%q for the %dth time in %d s", line, kinds[line], seconds)
			}
		}
		if kinds["warn: lease not renewed"] == 0 || kinds["info: shard answers again"] == 0 {
			t.Errorf("of an outage: %v", kinds)
		}
		logs.TakeAll()
		n.Stop()
		if told := logged(logs); len(told) != 1 || told[0] != "info: node has left" {
			t.Errorf("at the end: %q", told)
		}
	})
}

func logged(logs *observer.ObservedLogs) (lines []string) {
	for _, e := range logs.All() {
		lines = append(lines, fmt.Sprintf("%s: %s", e.Level, e.Message))
	}
	return lines
}

// The page has the adapter for slog as the example has it.
func TestThePageOnLogsHasTheAdapter(t *testing.T) {
	example, err := os.ReadFile("../groups/example_slog_test.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	_, adapter, _ := strings.Cut(string(example), "// slogCore is")
	adapter, _, found := strings.Cut(adapter, "\n// Who logs with slog")
	if want := "```go\n// slogCore is" + adapter + "```\n"; !found || !strings.Contains(string(page), want) {
		t.Errorf("docs/observability.md must contain\n%s", want)
	}
}
