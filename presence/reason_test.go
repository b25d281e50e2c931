package presence_test

import (
	"encoding/json"
	"testing"

	"github.com/rollcall-go/rollcall/presence"
)

// Nodes ask each other in JSON, and a reason is a part of what they ask.
func TestReasonsAreReadAsTheyAreWritten(t *testing.T) {
	for _, r := range []presence.Reason{presence.Left, presence.RemovedByOther, presence.Disconnected, presence.TimedOut,
		presence.Pruned, presence.Switched, presence.Drained} {
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var got presence.Reason
		if err := json.Unmarshal(data, &got); err != nil || got != r {
			t.Errorf("%s is read as %v, %v", data, got, err)
		}
	}
	var got presence.Reason
	if err := json.Unmarshal([]byte(`"bored"`), &got); err == nil {
		t.Errorf("an unknown reason is read as %v", got)
	}
}
