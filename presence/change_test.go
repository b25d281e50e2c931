package presence_test

import (
	"encoding/json"
	"testing"

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
