package presence_test

import (
	"fmt"
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
// one when it leaves. Of an outage, a line with all shards when it begins, one each
// minute, and one at its end.
func TestLogsAreForOperators(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	start := func(n *presencetest.Node) error {
		return n.Track(&groups.Options{Logger: zap.New(core), Shards: 4}, nil)
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
		const minutes = 5
		for range minutes {
			n.Tracker.Touch(bob.Name())
			fleet.Advance(time.Minute)
		}
		fleet.ThawRedis()
		fleet.Advance(10 * time.Second)
		kinds := make(map[string]int)
		for _, e := range logs.All() {
			kinds[fmt.Sprintf("%s: %s", e.Level, e.Message)]++
			if shards, ok := e.ContextMap()["shards"]; ok && fmt.Sprint(shards) != "[0 1 2 3]" {
				t.Errorf("%s: shards %v", e.Message, shards)
			}
		}
		for line, most := range map[string]int{
			"warn: leases not renewed": minutes + 1, "info: shards answer again": 1,
			"warn: subscriber connections lost": minutes + 1, "info: subscriber connections are back": 1,
		} {
			if kinds[line] == 0 || kinds[line] > most {
				t.Errorf("%q %d times, want up to %d", line, kinds[line], most)
			}
			delete(kinds, line)
		}
		for line, n := range kinds {
			if n > 1 || strings.HasPrefix(line, "error") {
				t.Errorf("%q %d times", line, n)
			}
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
